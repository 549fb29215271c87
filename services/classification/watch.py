"""The watch for hot events: takes what has arrived, joins it to open events, opens new ones, folds those that have
grown large, closes those gone calm.

One process holds the lease `hot_events`. Losing it in mid-work is harmless: a step is one transaction that locks LOCK
and finds all it needs in the database, so whoever comes second goes on from there.

Whoever changes hot events locks in this order: LOCK, the streams of tickets and events, the rows of events.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.exc import SQLAlchemyError

from libs.shared.contracts.classification import HotEventClosed, HotEventFolded, HotEventJoined, HotEventOpened
from libs.shared.db import Poison, Transaction
from libs.shared.keep import first_id
from libs.shared.service import Running
from libs.shared.telemetry import log
from services.classification import review, store
from services.classification.current import Slices, current
from services.classification.domain import fact, hot_event
from services.classification.domain.hot_event import BY, Arrival, Cell, Event, Group
from services.classification.domain.matrix import Matrix
from services.classification.domain.sketch import Sketch

LOCK = "#hot-events"  # stream that whoever changes hot events holds; sorts before every ticket's
BATCH = 1000  # arrivals in one transaction, and those that classification added together with the last
LEASE_SECONDS = 6.0
LOOK_SECONDS = 1.0  # between two looks for arrivals: what an event's members say is read anew for each
WHOLE_SECONDS = 10.0  # how often it looks from the beginning, for those that were added late
CLOSE_SECONDS = 10.0
FORGET_SECONDS = 3600.0
FORGOTTEN_WEEKS = 26
SHARE = 4  # arrivals that are looked at together came within this share of the window
FIRST_TICKETS = 20  # named in HotEventOpened
TOLD = 500  # members that are told in one transaction that their event is folded
GROUPED = 500  # tickets of a cell and window that are grouped, the latest
TITLE_TEXTS = 30  # texts that make the title
START = UUID(int=0)
_MINUTE = 60_000 << 80  # between two UUIDv7


async def run(running: Running) -> None:
    """Hold the lease and watch until the process stops; errors of the database are retried."""
    loop = asyncio.get_running_loop()
    renew_at = close_at = whole_at = forget_at = 0.0  # monotonic
    floor = START  # what was taken lies below: rows that are gone, but not cleaned away while a snapshot is held
    owner = False
    while not running.stopping.is_set():
        try:
            if loop.time() >= renew_at:
                owner = await running.hold("hot_events", LEASE_SECONDS)
                renew_at = loop.time() + LEASE_SECONDS / 3
            if not owner:
                await running.pause(renew_at - loop.time())
                continue
            if loop.time() >= whole_at:
                floor, whole_at = START, loop.time() + WHOLE_SECONDS
            if loop.time() >= close_at:
                await close_calm(running)
                close_at = loop.time() + CLOSE_SECONDS
            if loop.time() >= forget_at:
                week = hot_event.hour_of(first_id(running.now())) // hot_event.HOURS
                await store.hot_event.forget(running, week - FORGOTTEN_WEEKS)
                forget_at = loop.time() + FORGET_SECONDS
            last = await tick(running, floor)
            floor = last or floor
            if not await fold_due(running) and last is None:
                await running.pause(LOOK_SECONDS)
        except (SQLAlchemyError, OSError, TimeoutError, Poison) as error:
            log.warning("hot_events.retry", error=type(error).__name__)
            renew_at = whole_at = 0.0
            await running.pause(1.0)
    if owner:
        await running.release("hot_events")


async def tick(running: Running, floor: UUID = START) -> UUID | None:
    """Handle the next arrivals behind that id, in one transaction; gives the id behind which the others are, None where
    none wait.
    """
    first = await store.hot_event.waiting(running, floor)
    if first is None:
        return None
    matrix = (await current(running).in_force()).matrix
    share = matrix.rules.hot_event.minutes * _MINUTE // SHARE
    async with running.transaction(keys=[LOCK]) as tx:
        arrivals, last = await store.hot_event.take(tx, floor, BATCH, matrix.categories)
        for _, together in groupby(arrivals, lambda each: (each.ticket_id.int - arrivals[0].ticket_id.int) // share):
            await _watch(tx, matrix, list(together))
    return last or first


async def fold_due(running: Running) -> bool:
    """Fold the open events that have members enough, and tell the next members of folded ones; False: nothing to do.

    A step is a transaction, and what is left to be told stands in the event's row: a killed process loses none.
    """
    rule = (await current(running).in_force()).matrix.rules.hot_event
    rows = await store.hot_event.due(running, rule.fold_from or None)
    for row in rows:
        if row.folded_at:
            async with running.transaction(keys=[LOCK]) as tx:
                await tell(tx, row.hot_event_id)
        else:
            async with running.transaction(keys=[LOCK, str(row.hot_event_id)]) as tx:
                await fold(tx, row.hot_event_id)
    return bool(rows)


async def fold(tx: Transaction, hot_event_id: UUID, *, by: str = BY) -> bool:
    """Fold an event, whose stream is locked, and say what its master is to be; its members are told later, in steps.

    False where it is closed, folded already, or without members.
    """
    event = await store.hot_event.fold(tx, hot_event_id, by=by)
    if event is None:
        return False
    matrix = await current(tx.running).matrix(event.matrix_version)
    whole = await store.hot_event.whole(tx, hot_event_id)
    tx.publish(
        HotEventFolded(
            hot_event_id=hot_event_id,
            situation=fact.situation(matrix.situations[matrix.by_code[event.situation]]),
            title=event.title,
            text=hot_event.told(list(zip(whole.titles or (), whole.texts or (), strict=True))) or event.title,
            area_code=event.place,
            star=whole.star or 1,
            sensitive=bool(whole.sensitive),
            opened_at=whole.opened_at or event.opened_at,
            members=event.members,
            by=by,
        )
    )
    log.info("hot_event_folded", hot_event=str(hot_event_id), members=event.members)
    return True


async def tell(tx: Transaction, hot_event_id: UUID) -> None:
    """Tell the next members of a folded event so; those that wait for a reviewer are what the event is."""
    rows = await store.hot_event.untold(tx, hot_event_id, TOLD)
    await tx.lock(str(row.ticket_id) for row in rows)
    if rows and (event := await store.hot_event.one(tx, hot_event_id)):
        await _settle(tx, event, [row.ticket_id for row in rows])
    for row in rows:
        tx.publish(joined(row, folded=True))
    await store.hot_event.tell(tx, hot_event_id, rows[-1].ticket_id if len(rows) == TOLD else None)


async def _settle(tx: Transaction, event: Row[Any], tickets: list[UUID]) -> None:
    """Tickets of a folded event are what it is; nobody need be asked. Args: `event`: its situation, matrix_version."""
    matrix = await current(tx.running).matrix(event.matrix_version)
    await review.settle(tx, tickets, matrix, event.situation, by=hot_event.DECIDER)


async def _watch(tx: Transaction, matrix: Matrix, arrivals: list[Arrival]) -> None:
    rule = matrix.rules.hot_event
    calm = timedelta(minutes=rule.calm_minutes)
    events = await store.hot_event.near(tx, (each.cell.place for each in arrivals), tx.now - calm)
    joined, left = await _nearest(matrix, arrivals, events)
    windows = _windows(matrix, left)
    opened: list[tuple[Event, float]] = []
    taken: set[UUID] = {each.ticket_id for each, _, _ in joined}
    for group, usual in await _groups(tx, matrix, windows, left, taken):
        members = [(each, likeness) for each, likeness in group.members if each.ticket_id not in taken]
        event = hot_event.same(rule, group, events)
        if event is None and len(members) >= rule.least:
            event = Event(tx.new_id(), group.cell, group.cluster)
            events.append(event)
            opened.append((event, usual))
        if event:
            joined += [(each, event, likeness) for each, likeness in members]
            taken |= {each.ticket_id for each, _ in members}
    if opened:
        whole = {event.cell.place: windows[event.cell.place] for event, _ in opened}
        crowds = await store.hot_event.crowds(tx, whole, matrix.categories)
        more = {each.ticket_id: each for each in (*left, *(each for crowd in crowds.values() for each in crowd))}
        rest = [each for ticket_id, each in more.items() if ticket_id not in taken]
        joined += (await _nearest(matrix, rest, events))[0]
    joined = [each for each in joined if each[1].open]
    if joined:
        await tx.lock(map(str, {key for each, event, _ in joined for key in (each.ticket_id, event.hot_event_id)}))
    for event, usual in opened:
        first = sorted((each for each, its, _ in joined if its is event), key=lambda each: each.ticket_id)
        await _open(tx, event, first, (usual, rule.minutes))
    await join(tx, [(each.ticket_id, event.hot_event_id, likeness) for each, event, likeness in joined])
    await store.hot_event.learn(tx, Counter((cell, each.hour) for each in arrivals for cell in each.cell.both))


def _windows(matrix: Matrix, arrivals: list[Arrival]) -> dict[str, tuple[UUID, UUID]]:
    """The places where these arrived, each with the window that ends with the last of them."""
    last = {each.cell.place: each.ticket_id for each in arrivals}
    minutes = matrix.rules.hot_event.minutes * _MINUTE
    return {place: (UUID(int=max(ticket_id.int - minutes, 0)), ticket_id) for place, ticket_id in last.items()}


Joined = list[tuple[Arrival, Event, float]]


async def _nearest(matrix: Matrix, arrivals: Iterable[Arrival], events: list[Event]) -> tuple[Joined, list[Arrival]]:
    """The arrivals that belong to open events, and the others."""
    joined: Joined = []
    left = []
    near: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        near[event.cell.place].append(event)
    slices = Slices()
    for each in arrivals:
        await slices.rest()
        here = near.get(each.cell.place)
        found = hot_event.nearest(matrix.rules.hot_event, each.cell, each.words, here) if here else None
        if found:
            joined.append((each, *found))
            found[0].cluster.add(each.words)
        else:
            left.append(each)
    return joined, left


async def _groups(
    tx: Transaction, matrix: Matrix, windows: dict[str, tuple[UUID, UUID]], came: list[Arrival], members: set[UUID]
) -> list[tuple[Group, float]]:
    """What is hot in these cells now that these came, with what is usual there; the largest first."""
    rule, categories = matrix.rules.hot_event, matrix.categories
    every = await store.hot_event.count(tx, windows, categories) if windows else {}
    fresh: dict[Cell, list[Sketch]] = defaultdict(list)
    for each in came:
        for cell in each.cell.both:
            if every[cell] >= rule.least:
                fresh[cell].append(each.sketch)
    if not fresh:
        return []
    known = await store.hot_event.usual(tx, list(fresh))
    hours = {cell: hot_event.hour_of(windows[cell.place][1]) for cell in fresh}
    usual = {cell: hot_event.expected(known.get(cell, []), hours[cell], rule.minutes) for cell in fresh}
    hot = [cell for cell in fresh if hot_event.is_hot(rule, every[cell], usual[cell])]
    places = {cell.place: windows[cell.place] for cell in hot}
    crowds = await store.hot_event.crowds(tx, places, categories) if hot else {}
    found, slices = [], Slices()
    for cell in hot:
        await slices.rest()
        crowd = [each for each in crowds[cell.place] if each.ticket_id not in members and cell in each.cell.both]
        crowd = crowd[:GROUPED]
        if hot_event.may_group(rule, fresh[cell], (each.sketch for each in crowd)):
            found += [(group, usual[cell]) for group in hot_event.groups(rule, crowd, usual[cell])]
    return sorted(found, key=lambda each: len(each[0].members), reverse=True)


async def _open(tx: Transaction, event: Event, members: list[Arrival], figures: tuple[float, int]) -> None:
    """Keep a new event with these members, and say so; they come after it.

    Args: `figures`: how many are usual, and in how many minutes.
    """
    usual, minutes = figures
    first = tuple(each.ticket_id for each in members)
    rows = await store.hot_event.read(tx, first[:TITLE_TEXTS])
    code = hot_event.surest(members[:TITLE_TEXTS])
    row = next(each for each in rows if each.situation == code)
    matrix = await current(tx.running).matrix(row.matrix_version)
    found = matrix.situations[matrix.by_code[code]]
    title = hot_event.title([f"{each.title}\n{each.text}" for each in rows]) or found.name
    await store.hot_event.add(
        tx,
        event.hot_event_id,
        category=found.category,
        place=event.cell.place,
        situation=code,
        matrix_version=matrix.version,
        title=title,
        opened_with=len(members),
        usual=usual,
        minutes=minutes,
    )
    tx.publish(
        HotEventOpened(
            hot_event_id=event.hot_event_id,
            situation=fact.situation(found),
            area_code=event.cell.place,
            title=title,
            tickets=first[:FIRST_TICKETS],
            count=len(members),
            usual=round(usual, 2),
            minutes=minutes,
            matrix_version=matrix.version,
        )
    )
    log.info("hot_event_opened", hot_event=str(event.hot_event_id), count=len(members), usual=round(usual, 2))


async def join(
    tx: Transaction, members: list[tuple[UUID, UUID, float]], *, by: str = BY, reason: str | None = None
) -> list[UUID]:
    """Make tickets (ticket, event, similarity) members and say so of those that were not; gives these."""
    rows = await store.hot_event.join(tx, members, by=by, reason=reason)
    late = {row.hot_event_id: row for row in rows if row.late}
    for hot_event_id, event in late.items():
        await _settle(tx, event, [row.ticket_id for row in rows if row.hot_event_id == hot_event_id])
    for row in rows:
        tx.publish(joined(row))
    return [row.ticket_id for row in rows]


def joined(row: Row[Any], *, folded: bool = False) -> HotEventJoined:
    """A member's row, said; `folded`: also of one that joined before its event was folded."""
    return HotEventJoined(
        ticket_id=row.ticket_id,
        hot_event_id=row.hot_event_id,
        similarity=round(row.similarity, 4),
        by=row.joined_by,
        folded=folded or row.late,
    )


async def close(tx: Transaction, ids: Iterable[UUID], *, by: str, reason: str | None) -> None:
    """Close events, whose streams are locked, and say so of those that were open."""
    for row in await store.hot_event.close(tx, list(ids), by=by, reason=reason):
        tx.publish(HotEventClosed(hot_event_id=row.hot_event_id, members=row.members, by=by))


async def close_calm(running: Running) -> None:
    """Close the open events that no more tickets than usual have joined for a while."""
    rule = (await current(running).in_force()).matrix.rules.hot_event
    calm = timedelta(minutes=rule.calm_minutes)
    async with running.transaction(keys=[LOCK]) as tx:
        rows = await store.hot_event.lately(tx, first_id(tx.now - calm))
        over = [
            row.hot_event_id
            for row in rows
            if row.opened_at <= tx.now - calm and row.lately <= row.usual * rule.calm_minutes / row.minutes
        ]
        if over:
            await tx.lock(map(str, over))
            await close(tx, over, by=BY, reason="calm")
