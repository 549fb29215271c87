"""Counts what was classified: occasions that add up to a cumulative problem, and requests by day and situation.

One process holds the lease `cumulative`. A look is one transaction that locks LOCK, takes a page of what was classified
since the last one and moves `counted` behind it: whatever is cut off or done by two processes is counted once. It stays
LAG behind the clock, for a transaction is seen at its commit under the time it began; by then the watch for hot events
has said, too, which tickets are about one cause.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Row
from sqlalchemy.exc import SQLAlchemyError

from libs.shared.contracts.classification import CumulativeProblemFound
from libs.shared.contracts.intake import Customer, Ticket, TicketReceived
from libs.shared.db import Poison, Transaction
from libs.shared.keep import born
from libs.shared.service import Running
from libs.shared.telemetry import log
from services.classification import store
from services.classification.current import Prediction, current
from services.classification.domain import cumulative, fact, place
from services.classification.domain.cumulative import CumulativeRule, Occasion, Request, Where
from services.classification.domain.matrix import Matrix
from services.classification.store.cumulative import Kept

LOCK = "occasions"  # stream that a look holds; sorts behind every ticket's
LAG = timedelta(minutes=2)  # longer than any transaction may last
PAGE = 1000  # tickets of one look
LEASE_SECONDS = 15.0
LOOK_SECONDS = 10.0
FORGET_SECONDS = 3600.0
DAYS_KEPT = 400  # of requests by day and situation
NAMED = 20  # tickets in CumulativeProblemFound
GRIEVANCES = frozenset({"opinion", "suggestion", "complaint"})  # 抱怨类
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

Counted = dict[tuple[CumulativeRule, Where], list[Request]]


async def run(running: Running) -> None:
    """Hold the lease and look until the process stops; errors of the database are retried."""
    loop = asyncio.get_running_loop()
    renew_at = forget_at = 0.0  # monotonic
    owner = False
    while not running.stopping.is_set():
        try:
            if loop.time() >= renew_at:
                owner = await running.hold("cumulative", LEASE_SECONDS)
                renew_at = loop.time() + LEASE_SECONDS / 3
            if not owner:
                await running.pause(renew_at - loop.time())
                continue
            if loop.time() >= forget_at:
                await store.cumulative.forget(running, (running.now() - timedelta(days=DAYS_KEPT)).date())
                forget_at = loop.time() + FORGET_SECONDS
            if not await look(running):
                await running.pause(min(LOOK_SECONDS, renew_at - loop.time()))
        except (SQLAlchemyError, OSError, TimeoutError, Poison) as error:
            log.warning("cumulative.retry", error=type(error).__name__)
            renew_at = 0.0
            await running.pause(1.0)
    if owner:
        await running.release("cumulative")


async def look(running: Running) -> bool:
    """Count a page of what was classified until LAG ago; gives whether there may be more."""
    matrix = (await current(running).in_force()).matrix
    async with running.transaction(keys=[LOCK]) as tx:
        return await count(tx, matrix)


async def count(tx: Transaction, matrix: Matrix) -> bool:
    """The same in a transaction that holds LOCK. Ten statements at most, whatever there is to count."""
    since = await store.cumulative.counted(tx) or BEGINNING
    rows = await store.cumulative.classified(tx, since, tx.now - LAG, PAGE)
    if rows:
        await _count(tx, matrix, [row for row in rows if row.state == "classified" and not row.own])
        await store.cumulative.count_until(tx, rows[-1].classified_at)
    return len(rows) >= PAGE


async def _count(tx: Transaction, matrix: Matrix, rows: Sequence[Row[Any]]) -> None:
    zone = ZoneInfo(matrix.timezone)
    days = [((born(row.id).astimezone(zone).date(), row.situation), row.business_type in GRIEVANCES) for row in rows]
    tickets, grievances = Counter(cell for cell, _ in days), Counter(cell for cell, grieved in days if grieved)
    if tickets:
        await store.cumulative.add_days(tx, {cell: (count, grievances[cell]) for cell, count in tickets.items()})
    if requests := await _requests(tx, matrix, rows):
        await _take(tx, matrix, requests)


async def _requests(tx: Transaction, matrix: Matrix, rows: Sequence[Row[Any]]) -> Counted:
    """What counts for which rule, and where; repeats do not."""
    about: dict[UUID, tuple[str, list[CumulativeRule]]] = {}
    for row in rows:
        index = matrix.by_code.get(row.situation)
        if row.repeat_of is None and index is not None:
            situation = matrix.situations[index]
            rules = [rule for rule in matrix.cumulative if cumulative.covers(rule, situation)]
            if rules:
                about[row.id] = situation.code, rules
    found: Counted = defaultdict(list)
    for row in await store.cumulative.tickets(tx, list(about)) if about else ():
        ticket = Ticket.model_validate(row.ticket)
        located = place.locate(matrix, ticket).ticket
        code, rules = about[row.id]
        for rule in rules:
            where = cumulative.where(rule, located)
            if where and ticket.opened_at > tx.now - timedelta(days=rule.days):
                found[rule, where].append(Request(row.id, ticket.opened_at, code, row.hot_event_id))
    return found


async def _take(tx: Transaction, matrix: Matrix, requests: Counted) -> None:
    """Put requests into occasions; where these have become enough, and no problem is open there, one is found."""
    keys: dict[int, tuple[CumulativeRule, Where]] = {cumulative.key(*each): each for each in requests}
    by_key: dict[int, list[Request]] = defaultdict(list)
    for (rule, where), these in requests.items():
        by_key[cumulative.key(rule, where)] += these  # one address may be written in two ways
    known: dict[int, list[Occasion]] = defaultdict(list)
    for each in await store.cumulative.occasions(tx, list(keys), tx.now - timedelta(days=cumulative.LONGEST)):
        known[each.key].append(each.occasion)
    changed = [
        Kept(key, occasion)
        for key, these in by_key.items()
        for occasion in cumulative.take(keys[key][0], known[key], these)
    ]
    await store.cumulative.keep(tx, changed)
    enough = {key: found for key in keys if (found := cumulative.enough(keys[key][0], known[key], tx.now))}
    if enough:
        already = await store.cumulative.open_keys(tx, list(enough))
        new = {key: found for key, found in enough.items() if key not in already}
        if new:
            await _say(tx, matrix, [(key, *keys[key], found) for key, found in new.items()])


async def _say(
    tx: Transaction, matrix: Matrix, found: Sequence[tuple[int, CumulativeRule, Where, list[Occasion]]]
) -> None:
    """Keep problems and say them: intake makes the proactive ticket."""
    named = {key: _named(occasions) for key, _, _, occasions in found}
    customers = await store.cumulative.customers(tx, sorted({each for ids in named.values() for each in ids}))
    rows = []
    for key, rule, where, occasions in found:
        situation = cumulative.situation(matrix, rule, occasions)
        those = [Customer.model_validate(customers[each]) for each in named[key] if each in customers]
        event = CumulativeProblemFound(
            problem_id=tx.new_id(),
            rule=rule.code,
            name=rule.name,
            situation=fact.situation(situation),
            **asdict(where),
            star=max((each.star for each in those), default=1),
            sensitive=any(each.sensitive for each in those),
            title=cumulative.title(rule, occasions),
            text=cumulative.text(matrix, rule, occasions),
            tickets=named[key],
            count=len(occasions),
            days=rule.days,
            matrix_version=matrix.version,
        )
        tx.publish(event)
        plain = event.model_dump(exclude={"situation", "star", "sensitive"})
        rows.append(plain | {"key": key, "situation": situation.code, "times": rule.times})
        log.info("cumulative_problem_found", problem=str(event.problem_id), rule=rule.code, count=event.count)
    await store.cumulative.add(tx, rows)


def _named(occasions: Sequence[Occasion]) -> tuple[UUID, ...]:
    """The first ticket of each occasion, then further ones; the latest occasions first."""
    firsts = [each.tickets[0] for each in reversed(occasions)]
    more = [ticket for each in reversed(occasions) for ticket in each.tickets[1:]]
    return tuple((*firsts, *more)[:NAMED])


async def named(
    events: Sequence[TicketReceived], predictions: Sequence[Prediction], running: Running
) -> Sequence[Prediction]:
    """The predictions; a proactive ticket is what its problem is, repeats nothing and makes nothing hot."""
    ids = [event.ticket_id for event in events if event.ticket.cumulative]
    if not ids:
        return predictions
    problems = await store.cumulative.found(running, ids)
    return [
        await _decided(event, each, problems[event.ticket_id], running) if event.ticket_id in problems else each
        for event, each in zip(events, predictions, strict=True)
    ]


async def _decided(event: TicketReceived, found: Prediction, problem: Row[Any], running: Running) -> Prediction:
    matrix = await current(running).matrix(problem.matrix_version)
    kind = matrix.situations[matrix.by_code[problem.situation]].business_type
    verdict = fact.decided(event.ticket, matrix, problem.situation, kind, None)
    return found.apart().named(verdict, matrix, cumulative.BY)
