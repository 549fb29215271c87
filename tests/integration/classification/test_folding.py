"""Folded hot events on a real Postgres: one master for all members, who is one from the start, and the way back."""

import asyncio
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event

from benchmarks.storm import call as storm
from libs.shared import run
from libs.shared.bus import Bus
from libs.shared.contracts.classification import (
    HotEventClosed,
    HotEventDissolved,
    HotEventFolded,
    HotEventJoined,
    HotEventLeft,
    HotEventOpened,
    ReviewRequested,
    TicketClassified,
    TicketSplit,
)
from libs.shared.contracts.intake import TicketReceived
from libs.shared.events import uuid7
from services.classification import packs, registry, watch
from services.classification.current import current, look
from services.classification.main import service
from tests.integration.classification.conftest import received
from tests.integration.classification.test_hot_event import TEXT, about, hear, of_kind, opened, send, watched
from tests.integration.classification.test_review import post, reviewers
from tests.running import Harness, eventually

NOW = datetime.now(UTC)
AREA = storm.OUTAGES[0][0]
UNCLEAR = "能不能快点"
ARRIVED = "SELECT unnest(ticket_ids) AS ticket_id FROM arrival"


def caller(text: str = TEXT, **fields: Any) -> TicketReceived:
    """One more ticket about the first outage."""
    return received(text, ticket_id=uuid7(datetime.now(UTC)), place={"area_code": AREA}, **fields)


async def folded(h: Harness, calls: list[storm.Call]) -> HotEventFolded:
    """An event of these calls, folded by a person if not by itself; what was said is forgotten."""
    await hear(h, calls)
    said = await h.said()
    if not of_kind(said, HotEventFolded):
        [found] = of_kind(said, HotEventOpened)
        async with h.client("s1", "supervise") as http:
            assert (await send(http, f"{found.hot_event_id}/fold")).status_code == 200
        await watched(h)
        said = await h.said()
    [event] = of_kind(said, HotEventFolded)
    assert isinstance(event, HotEventFolded)
    return event


async def test_a_storm_of_twenty_thousand_calls_becomes_three_folded_events_with_nobody_elses_tickets(
    classification: Harness,
) -> None:
    calls = storm.calls(7, 20_000, 2_000, NOW, minutes=10)
    await hear(classification, calls)
    said = await classification.said()
    events = {each.hot_event_id: each for each in of_kind(said, HotEventFolded)}
    assert len(events) == 3
    assert len({each.area_code for each in events.values()}) == 3
    outage = {call.ticket_id: call.outage for call in calls}
    members: dict[UUID, set[UUID]] = defaultdict(set)
    for each in of_kind(said, HotEventJoined):
        if each.folded:
            assert each.ticket_id not in members[each.hot_event_id], "told once"
            members[each.hot_event_id].add(each.ticket_id)
    assert members.keys() == events.keys()
    counts = {key: Counter(outage[ticket_id] for ticket_id in tickets) for key, tickets in members.items()}
    assert all(len(count) == 1 and None not in count for count in counts.values()), counts
    assert sum(count.total() for count in counts.values()) >= 0.95 * 20_000
    for each in events.values():
        place = next(name for area, name, _ in storm.OUTAGES if area.startswith(each.area_code))
        assert "停电" in each.title or place[:2] in each.title
        assert place in each.text
        assert not any(map(str.isdigit, each.title))
    rows = await classification.rows("SELECT hot_event_id, members FROM hot_event WHERE folded_at IS NOT NULL")
    assert {row.hot_event_id: row.members for row in rows} == {key: count.total() for key, count in counts.items()}
    assert not await classification.rows("SELECT 1 FROM arrival")
    alone = [each for each in of_kind(said, TicketClassified) if outage[each.ticket_id] is not None]
    assert sum(each.hot_event is None for each in alone) <= 0.1 * 20_000, "the others never got a work order"


async def test_an_event_folds_by_itself_when_it_has_members_enough(classification: Harness) -> None:
    await classification.take([classification.record(caller()) for _ in range(12)])
    await watched(classification)
    assert of_kind(await classification.said(), HotEventFolded) == []
    stars = [{"star": star, "sensitive": star == 2} for star in (1, 4, 2)]
    early = NOW - timedelta(hours=2)
    await classification.hear(*(caller(customer=each, opened_at=early) for each in stars))
    await classification.hear(*(caller() for _ in range(4)))
    await watched(classification)
    assert await classification.said() == []
    await classification.take([classification.record(caller())])
    await watched(classification)
    said = await classification.said()
    [event] = of_kind(said, HotEventFolded)
    assert (event.members, event.by, event.area_code) == (20, "classification", AREA[:9])
    assert (event.star, event.sensitive, event.opened_at) == (4, True, early)
    assert "梧桐里" in event.text
    assert len(event.text) < 2000
    told = [each for each in of_kind(said, HotEventJoined) if each.folded]
    assert len(told) == len({each.ticket_id for each in told}) == 20
    assert {each.hot_event_id for each in told} == {event.hot_event_id}
    await watched(classification)
    assert await classification.said() == []


async def test_no_event_folds_by_itself_where_the_matrix_says_zero(classification: Harness, tmp_path: Path) -> None:
    changed = tmp_path / "changed.yaml"
    changed.write_text(packs.text("power_95598").replace("fold_from: 20", "fold_from: 0"), encoding="utf-8")
    await registry.load_matrix(classification.running, str(changed), by="owner", reason="never by itself")
    await hear(classification, about(0, 90))
    said = await classification.said()
    assert len(of_kind(said, HotEventJoined)) > 20
    assert of_kind(said, HotEventFolded) == []


async def test_a_person_folds_an_event_of_any_size_once(classification: Harness) -> None:
    opening, ids = await opened(classification)
    path = str(opening.hot_event_id)
    async with classification.client("s1", "supervise") as http:
        answer = await send(http, f"{path}/fold")
        assert answer.json() == {"hot_event_id": path, "folded_by": "s1", "members": 12}
        [event] = await classification.said()
        assert isinstance(event, HotEventFolded)
        assert (event.hot_event_id, event.title, event.by) == (opening.hot_event_id, opening.title, "s1")
        await watched(classification)
        told = await classification.said()
        assert [each.ticket_id for each in of_kind(told, HotEventJoined) if each.folded] == sorted(ids)
        assert {each.decided_by for each in of_kind(told, TicketClassified)} <= {"hot_event"}
        assert (await send(http, f"{path}/fold")).json()["folded_by"] == "s1"
        await watched(classification)
        assert await classification.said() == []
        shown = (await http.get(f"/v1/hot-events/{path}")).json()
        assert (shown["state"], shown["folded_by"], shown["dissolved_at"]) == ("open", "s1", None)
        assert shown["folded_at"]
        await send(http, f"{path}/close")
        assert (await send(http, f"{path}/fold")).status_code == 200, "it is"


async def test_closed_and_empty_events_are_not_folded(classification: Harness) -> None:
    event, ids = await opened(classification)
    async with classification.client("s1", "supervise") as http:
        await send(http, f"{event.hot_event_id}/leave", tickets=[str(each) for each in ids])
        empty = await send(http, f"{event.hot_event_id}/fold")
        assert (empty.status_code, empty.json()["title"]) == (409, "No members")
        await send(http, f"{event.hot_event_id}/close")
        refused = await send(http, f"{event.hot_event_id}/fold")
        assert (refused.status_code, refused.json()["closed_by"]) == (409, "s1")
        assert (await send(http, f"{uuid4()}/fold")).status_code == 404


async def test_a_ticket_that_fits_a_folded_event_is_its_member_when_it_is_classified(classification: Harness) -> None:
    event = await folded(classification, about(0, 90))
    sure, other = caller(), received("上个月电费算错了，请退还多收的", place={"area_code": AREA})
    said = await classification.hear(sure, other)
    assert [(type(each), each.key) for each in said] == [
        (TicketClassified, str(sure.ticket_id)),
        (HotEventJoined, str(sure.ticket_id)),
        (TicketClassified, str(other.ticket_id)),
    ]
    first, joined, second = said
    assert isinstance(first, TicketClassified)
    assert isinstance(joined, HotEventJoined)
    assert isinstance(second, TicketClassified)
    assert (first.hot_event, second.hot_event) == (event.hot_event_id, None)
    assert (joined.hot_event_id, joined.folded, joined.by) == (event.hot_event_id, True, "classification")
    assert joined.similarity > 0.25
    [row] = await classification.rows(ARRIVED)
    assert row.ticket_id == other.ticket_id
    [row] = await classification.rows("SELECT members FROM hot_event")
    assert row.members == event.members + 1
    assert await classification.hear(sure, received(TEXT, ticket_id=sure.ticket_id, place={"area_code": AREA})) == []
    await watched(classification)
    assert await classification.said() == []


async def test_every_process_soon_knows_what_is_open(classification: Harness) -> None:
    event = await folded(classification, about(0, 90))
    async with run.started(service, classification.running.settings) as (running, app):
        other = Harness(running, app, Bus(running))
        looking = asyncio.create_task(look(running))

        async def knows() -> bool:
            record = other.record(caller())
            await other.take([record._replace(topic=f"{record.topic}.other")])
            said = of_kind(await other.said(), TicketClassified)
            return {each.hot_event for each in said} == {event.hot_event_id}

        await eventually(knows)
        running.stopping.set()
        await looking


async def test_a_ticket_that_fits_an_open_event_joins_at_once_too_but_keeps_its_way(classification: Harness) -> None:
    event, _ = await opened(classification)
    first, joined = await classification.hear(caller())
    assert isinstance(first, TicketClassified)
    assert isinstance(joined, HotEventJoined)
    assert (first.hot_event, joined.hot_event_id, joined.folded) == (None, event.hot_event_id, False)
    assert not await classification.rows("SELECT 1 FROM arrival")


async def test_what_a_process_has_not_yet_seen_of_an_event_does_no_harm(classification: Harness) -> None:
    """It is folded, or closed, and this process still thinks otherwise."""
    event, _ = await opened(classification)
    async with classification.client("s1", "supervise") as http:
        await send(http, f"{event.hot_event_id}/fold")
        await classification.said()
        first, joined = await classification.hear(caller())
        assert isinstance(first, TicketClassified)
        assert isinstance(joined, HotEventJoined)
        assert (first.hot_event, joined.folded) == (event.hot_event_id, True)
        await send(http, f"{event.hot_event_id}/close")
        await classification.said()
        late = caller()
        [alone] = await classification.hear(late)
    assert isinstance(alone, TicketClassified)
    assert alone.hot_event is None
    assert [row.ticket_id for row in await classification.rows(ARRIVED)] == [late.ticket_id]
    assert not await classification.rows("SELECT 1 FROM hot_member WHERE ticket_id = :id", id=late.ticket_id)


async def test_who_joins_while_an_event_is_being_folded_is_told_once(classification: Harness) -> None:
    event, ids = await opened(classification)
    newcomer = caller()
    key = str(event.hot_event_id)
    async with classification.running.transaction(keys=[watch.LOCK, key]) as tx:
        assert await watch.fold(tx, event.hot_event_id)
        taking = asyncio.create_task(classification.take([classification.record(newcomer)]))
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INTO hot_member%'"
        async with asyncio.timeout(20):
            while not await classification.rows(waiting):
                await asyncio.wait({taking}, timeout=0.05)
    await taking
    await watched(classification)
    said = await classification.said()
    [found] = [each for each in of_kind(said, TicketClassified) if each.ticket_id == newcomer.ticket_id]
    assert found.hot_event == event.hot_event_id
    told = [each.ticket_id for each in of_kind(said, HotEventJoined) if each.folded]
    assert sorted(told) == sorted([*ids, newcomer.ticket_id])


async def test_more_members_than_one_step_are_told_each_once_whoever_goes_on(
    classification: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    event, ids = await opened(classification)
    monkeypatch.setattr(watch, "TOLD", 5)
    async with classification.client("s1", "supervise") as http:
        await send(http, f"{event.hot_event_id}/fold")
        await classification.said()
        first = []
        assert await watch.fold_due(classification.running)
        first += await classification.said()
        assert [each.ticket_id for each in of_kind(first, HotEventJoined)] == sorted(ids)[:5]
        await send(http, f"{event.hot_event_id}/leave", tickets=[str(sorted(ids)[7])])
        assert [type(each) for each in await classification.said()] == [HotEventLeft]
        newcomer = caller()
        joined = of_kind(await classification.hear(newcomer), HotEventJoined)
        with pytest.raises(RuntimeError, match="killed"):
            await _killed(classification, event.hot_event_id)
        await send(http, f"{event.hot_event_id}/close")
        while await watch.fold_due(classification.running):
            pass
        rest = of_kind(await classification.said(), HotEventJoined)
    told = [each.ticket_id for each in (*of_kind(first, HotEventJoined), *joined, *rest)]
    assert sorted(told) == sorted({*ids, newcomer.ticket_id} - {sorted(ids)[7]})


async def _killed(h: Harness, hot_event_id: UUID) -> None:
    """A step that comes to its end but not to its commit."""
    async with h.running.transaction(keys=[watch.LOCK]) as tx:
        await watch.tell(tx, hot_event_id)
        raise RuntimeError("killed")


async def test_dissolving_is_said_once_closes_the_event_and_keeps_its_members_listed(classification: Harness) -> None:
    event = await folded(classification, about(0, 40)[:12])
    path = str(event.hot_event_id)
    async with classification.client("s1", "supervise") as http, classification.client("s2", "review") as other:
        answer = await send(http, f"{path}/dissolve", reason="two lines")
        again = await send(other, f"{path}/dissolve", reason="never mind")
        assert answer.json() == again.json() == {"hot_event_id": path, "state": "closed", "dissolved_by": "s1"}
        closed, dissolved = await classification.said()
        assert closed == HotEventClosed(hot_event_id=event.hot_event_id, members=12, by="s1")
        assert dissolved == HotEventDissolved(hot_event_id=event.hot_event_id, by="s1", reason="two lines")
        shown = (await http.get(f"/v1/hot-events/{path}")).json()
        assert (shown["dissolved_by"], shown["dissolve_reason"], shown["members"]) == ("s1", "two lines", 12)
        assert [each["left_at"] for each in shown["items"]] == [None] * 12
        refused = await send(http, f"{path}/fold")
        assert (refused.status_code, refused.json()["dissolved_by"]) == (409, "s1")
        await watched(classification)
        [alone] = await classification.hear(caller())
        assert isinstance(alone, TicketClassified)
        assert alone.hot_event is None


async def test_an_event_that_was_never_folded_is_not_dissolved_and_one_that_has_closed_is(
    classification: Harness,
) -> None:
    event, _ = await opened(classification)
    path = str(event.hot_event_id)
    async with classification.client("s1", "supervise") as http:
        refused = await send(http, f"{path}/dissolve")
        assert (refused.status_code, refused.json()["title"]) == (409, "Not folded")
        await send(http, f"{path}/fold")
        await send(http, f"{path}/close", reason="repaired")
        await classification.said()
        assert (await send(http, f"{path}/dissolve", reason="two lines")).status_code == 200
        assert [type(each) for each in await classification.said()] == [HotEventDissolved]
        shown = (await http.get(f"/v1/hot-events/{path}")).json()
        assert (shown["reason"], shown["dissolve_reason"]) == ("repaired", "two lines")
        await watched(classification)
        assert await classification.said() == [], "nobody is told any more that it is folded"
        assert (await send(http, f"{uuid4()}/dissolve")).status_code == 404


async def test_a_member_of_a_folded_event_is_put_into_no_other_even_when_that_has_closed(
    classification: Harness,
) -> None:
    event = await folded(classification, about(0, 40)[:12])
    await hear(classification, about(1, 60, seed=5))
    [second] = of_kind(await classification.said(), HotEventOpened)
    [row, *_] = await classification.rows(
        "SELECT ticket_id FROM hot_member WHERE hot_event_id = :id", id=event.hot_event_id
    )
    async with classification.client("s1", "supervise") as http:
        await send(http, f"{event.hot_event_id}/close")
        refused = await send(http, f"{second.hot_event_id}/join", tickets=[str(row.ticket_id)])
        assert refused.status_code == 422
        await send(http, f"{event.hot_event_id}/dissolve")
        assert (await send(http, f"{second.hot_event_id}/join", tickets=[str(row.ticket_id)])).status_code == 200


async def test_reviewers_decisions_on_members_name_the_folded_event(classification: Harness) -> None:
    event = await folded(classification, about(0, 90))
    unclear = [caller(UNCLEAR) for _ in range(4)]
    heard = await classification.hear(*unclear)
    assert {type(each) for each in heard} == {ReviewRequested}, "the text must be unclear"
    one, two, three, out = (each.ticket_id for each in unclear)
    async with reviewers(classification) as (li, _), classification.client("s1", "supervise") as http:
        for each in unclear:
            await post(li, f"/v1/reviews/{each.ticket_id}/claim", {})
        await send(http, f"{event.hot_event_id}/join", tickets=[str(each.ticket_id) for each in unclear])
        assert {each.folded for each in of_kind(await classification.said(), HotEventJoined)} == {True}
        await send(http, f"{event.hot_event_id}/leave", tickets=[str(out)])
        await classification.said()
        await post(li, f"/v1/reviews/{one}/decide", {"situation": "C04-1"})
        body = {"tickets": [str(two), str(out)], "situation": "C04-1"}
        await post(li, "/v1/reviews/decide", body)
        said = {each.ticket_id: each.hot_event for each in of_kind(await classification.said(), TicketClassified)}
        assert said == {one: event.hot_event_id, two: event.hot_event_id, out: None}
        await send(http, f"{event.hot_event_id}/dissolve")
        await classification.said()
        await post(li, f"/v1/reviews/{three}/decide", {"situation": "C04-1"})
    [last] = await classification.said()
    assert isinstance(last, TicketClassified)
    assert last.hot_event is None


async def test_nobody_is_asked_about_members_of_a_folded_event_but_whoever_has_claimed_one_is_left_alone(
    classification: Harness,
) -> None:
    opening, _ = await opened(classification)
    waits, claimed, put_in, unlike = (caller(UNCLEAR) for _ in range(4))
    await classification.hear(waits, claimed, put_in, unlike)
    path = str(opening.hot_event_id)
    async with reviewers(classification) as (li, _), classification.client("s1", "supervise") as http:
        await post(li, f"/v1/reviews/{claimed.ticket_id}/claim", {})
        await send(http, f"{path}/join", tickets=[str(each.ticket_id) for each in (waits, claimed)])
        await send(http, f"{path}/fold")
        await watched(classification)
        await classification.said()
        late = await post(li, f"/v1/reviews/{waits.ticket_id}/decide", {"situation": "C04-1"})
        assert (late.status_code, late.json()["decided_by"]) == (409, "hot_event")
        await send(http, f"{path}/join", tickets=[str(put_in.ticket_id)])
    rows = await classification.rows(
        "SELECT id, state, situation, decided_by FROM ticket WHERE ticket->>'text' = :text", text=UNCLEAR
    )
    found = {row.id: (row.state, row.situation, row.decided_by) for row in rows}
    by_event = ("classified", opening.situation.code, "hot_event")
    assert (found[waits.ticket_id], found[put_in.ticket_id]) == (by_event, by_event)
    assert {found[each.ticket_id][0] for each in (claimed, unlike)} == {"review"}
    said = await classification.said()
    assert [(type(each), each.key) for each in said] == [
        (TicketClassified, str(put_in.ticket_id)),
        (HotEventJoined, str(put_in.ticket_id)),
    ]
    [told] = of_kind(said, TicketClassified)
    assert (told.decided_by, told.hot_event) == ("hot_event", opening.hot_event_id)
    left = await classification.rows("SELECT ticket_id FROM review")
    assert {row.ticket_id for row in left} == {claimed.ticket_id, unlike.ticket_id}
    assert not await classification.rows("SELECT 1 FROM decision"), (
        "nobody has said what they are: nothing to learn from"
    )


async def test_a_part_of_a_split_ticket_that_fits_a_folded_event_is_its_member(classification: Harness) -> None:
    event = await folded(classification, about(0, 90))
    whole = received(UNCLEAR, ticket_id=uuid7(NOW), place={"area_code": AREA})
    await classification.hear(whole)
    async with reviewers(classification) as (li, _):
        parts = [{"text": TEXT, "situation": "C04-1"}, {"text": UNCLEAR}]
        await post(li, f"/v1/reviews/{whole.ticket_id}/split", {"parts": parts})
    [split] = of_kind(await classification.said(), TicketSplit)
    about_it: dict[str, Any] = {"place": {"area_code": AREA}, "split_from": whole.ticket_id}
    part = received(TEXT, ticket_id=split.parts[0].ticket_id, **about_it)
    first, _ = await classification.hear(part)
    assert isinstance(first, TicketClassified)
    assert (first.hot_event, first.decided_by) == (event.hot_event_id, "reviewer-li")


def master(event: HotEventFolded) -> TicketReceived:
    """What intake makes of a folded event."""
    return received(
        event.text,
        title=event.title,
        ticket_id=event.hot_event_id,
        channel="proactive",
        external_ref=f"hot-event-{event.hot_event_id}",
        place={"area_code": event.area_code},
        customer={"star": event.star, "sensitive": event.sensitive},
        hot_event=event.hot_event_id,
    )


async def test_a_master_is_what_its_event_is_and_nothing_else(classification: Harness) -> None:
    event = await folded(classification, about(0, 90))
    version = (await current(classification.running).in_force()).matrix.version
    heard = master(event)
    [said] = await classification.hear(heard)
    assert isinstance(said, TicketClassified)
    assert (said.ticket_id, said.situation, said.decided_by) == (event.hot_event_id, event.situation, "hot_event")
    assert (said.probability, said.matrix_version, said.model_version) == (1.0, version, None)
    assert (said.hot_event, said.repeat_of, said.ticket.hot_event) == (None, None, event.hot_event_id)
    assert said.executing_departments
    assert event.hot_event_id not in {row.ticket_id for row in await classification.rows(ARRIVED)}
    for table in ("trace", "hot_member"):
        assert not await classification.rows(f"SELECT 1 FROM {table} WHERE ticket_id = :id", id=event.hot_event_id)
    assert await classification.hear(heard) == []
    async with classification.client("a1", "agent") as http:
        shown = (await http.get(f"/v1/tickets/{event.hot_event_id}/classification")).json()
    assert (shown["situation"]["code"], shown["decided_by"]) == (event.situation.code, "hot_event")


async def test_a_master_is_what_its_event_was_in_the_matrix_of_then_or_by_its_text_where_all_is_gone(
    classification: Harness,
) -> None:
    event = await folded(classification, about(0, 90))
    before = (await current(classification.running).in_force()).matrix.version
    await registry.load_matrix(classification.running, "city_12345", by="owner", reason="moved")
    await current(classification.running).refresh()
    await classification.said()
    [said] = await classification.hear(master(event))
    assert isinstance(said, TicketClassified)
    assert (said.situation, said.matrix_version) == (event.situation, before)
    await classification.rows("UPDATE hot_event SET matrix_version = 'gone'")
    await classification.rows("DELETE FROM ticket WHERE id = :id", id=event.hot_event_id)
    [again] = await classification.hear(master(event))
    assert isinstance(again, TicketClassified | ReviewRequested)
    assert not await classification.rows("SELECT 1 FROM hot_member WHERE ticket_id = :id", id=event.hot_event_id)


async def test_joining_at_once_costs_one_statement_more_whatever_the_batch(classification: Harness) -> None:
    await folded(classification, about(0, 90))
    counts = []
    for size, place in ((5, "110101001"), (5, AREA), (200, AREA)):
        records = [
            classification.record(received(TEXT, ticket_id=uuid7(NOW), place={"area_code": place})) for _ in range(size)
        ]
        statements: list[str] = []
        listener = partial(_note, statements)
        event.listen(classification.running.engine.sync_engine, "before_cursor_execute", listener)
        await classification.take(records)
        event.remove(classification.running.engine.sync_engine, "before_cursor_execute", listener)
        counts.append(len(statements))
    alone, few, many = counts
    assert few == many == alone + 1


def _note(statements: list[str], _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
    statements.append(statement)
