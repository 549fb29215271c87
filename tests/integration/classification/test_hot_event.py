"""Hot events on a real Postgres: found by the watch from tickets that the handler has read, changed by people."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from benchmarks.storm import call as storm
from libs.shared.contracts.classification import HotEventClosed, HotEventJoined, HotEventLeft, HotEventOpened
from libs.shared.events import Event, uuid7
from services.classification import watch
from services.classification.current import current
from tests.integration.classification.conftest import received
from tests.running import Harness

NOW = datetime.now(UTC)
BATCH = 500
TEXT = "梧桐里小区全停电了，什么时候来电"


def about(outage: int, most: int, seed: int = 1) -> list[storm.Call]:
    """Calls of the last minutes about one outage: a third of so many."""
    return [call for call in storm.calls(seed, most, 0, NOW) if call.outage == outage]


async def hear(h: Harness, calls: Sequence[storm.Call]) -> None:
    """Calls in batches through the handler, and after each what the watch does with them."""
    for first in range(0, len(calls), BATCH):
        heard = [received(ticket_id=call.ticket_id, **call.fields) for call in calls[first : first + BATCH]]
        await h.take([h.record(each) for each in heard])
        await watched(h)


async def watched(h: Harness) -> None:
    """Everything that has arrived is handled, and what is open known to the process."""
    floor: UUID | None = watch.START
    while floor is not None:
        floor = await watch.tick(h.running, floor)
    while await watch.fold_due(h.running):
        pass
    await current(h.running).look()


def of_kind(events: Sequence[Event], kind: type[Event]) -> list[Any]:
    return [each for each in events if type(each) is kind]


async def opened(h: Harness) -> tuple[HotEventOpened, list[UUID]]:
    """An event of the first outage with twelve members."""
    calls = about(0, 40)[:12]
    await hear(h, calls)
    [event] = of_kind(await h.said(), HotEventOpened)
    return event, [call.ticket_id for call in calls]


async def send(http: httpx.AsyncClient, path: str, **body: Any) -> httpx.Response:
    return await http.post(f"/v1/hot-events/{path}", json=body, headers={"Idempotency-Key": uuid4().hex})


async def test_tickets_from_before_an_event_and_after_it_join_once(classification: Harness) -> None:
    calls = [call for call in storm.calls(2, 60, 0, NOW) if call.outage == 1]
    early, late = calls[:4], calls[4:]
    await hear(classification, early)
    assert of_kind(await classification.said(), HotEventOpened) == []
    await hear(classification, late)
    await hear(classification, calls)
    said = await classification.said()
    [event] = of_kind(said, HotEventOpened)
    joined = [each.ticket_id for each in of_kind(said, HotEventJoined) if not each.folded]
    assert len(joined) == len(set(joined))
    told = [each.ticket_id for each in of_kind(said, HotEventJoined) if each.folded]
    assert sorted(told) == sorted(joined), "it has folded"
    assert {call.ticket_id for call in early} <= set(joined)
    assert set(event.tickets) <= set(joined)
    assert {each.by for each in of_kind(said, HotEventJoined)} == {"classification"}


async def test_what_is_usual_at_that_hour_is_no_event(classification: Harness) -> None:
    calls = [
        received(TEXT, ticket_id=uuid7(NOW - timedelta(seconds=n)), place={"area_code": storm.OUTAGES[0][0]})
        for n in range(15)
    ]
    await classification.hear(calls[0])
    await watched(classification)
    rows = await classification.rows("SELECT * FROM usual")
    assert sorted(row.category for row in rows) == ["", "C01"]
    await classification.rows("DELETE FROM usual")
    for row in rows:
        await classification.rows(
            "INSERT INTO usual SELECT :category, :place, hour, :last, :first, 14, 14 FROM generate_series(0, 167) hour",
            category=row.category,
            place=row.place,
            last=row.week - 1,
            first=row.week - 9,
        )
    await classification.hear(*calls[1:])
    await watched(classification)
    assert of_kind(await classification.said(), HotEventOpened) == []
    await classification.rows("DELETE FROM usual")
    later = uuid7(NOW + timedelta(seconds=1))
    await classification.hear(received(TEXT, ticket_id=later, place={"area_code": storm.OUTAGES[0][0]}))
    await watched(classification)
    [event] = of_kind(await classification.said(), HotEventOpened)
    assert (event.count, event.situation.code[:3]) == (16, "C01")


async def test_tickets_of_hours_read_at_once_are_looked_at_as_they_came(classification: Harness) -> None:
    area, then = storm.OUTAGES[0][0], NOW - timedelta(hours=3)
    early = [received(TEXT, ticket_id=uuid7(then + timedelta(minutes=n)), place={"area_code": area}) for n in range(6)]
    late = received("上个月电费算错了，请退还多收的", ticket_id=uuid7(NOW), place={"area_code": area})
    await classification.hear(*early, late)
    assert len(await classification.rows("SELECT * FROM arrival")) == 1
    await watched(classification)
    said = await classification.said()
    [event] = of_kind(said, HotEventOpened)
    assert sorted(each.ticket_id for each in of_kind(said, HotEventJoined)) == [each.ticket_id for each in early]
    assert (event.count, event.minutes) == (6, 60)


async def test_a_calm_event_closes_by_itself_once(classification: Harness) -> None:
    await opened(classification)
    await watch.close_calm(classification.running)
    assert of_kind(await classification.said(), HotEventClosed) == []
    await classification.rows("UPDATE hot_event SET opened_at = now() - interval '3 hours'")
    await watch.close_calm(classification.running)
    assert of_kind(await classification.said(), HotEventClosed) == [], "tickets still come"
    await classification.rows("UPDATE hot_event SET usual = 100")
    await watch.close_calm(classification.running)
    await watch.close_calm(classification.running)
    [closed] = of_kind(await classification.said(), HotEventClosed)
    assert (closed.by, closed.members) == ("classification", 12)


async def test_ticket_about_something_else_or_elsewhere_does_not_join(classification: Harness) -> None:
    await opened(classification)
    area = storm.OUTAGES[0][0]
    others = [
        received("上个月电费算错了，请退还多收的", ticket_id=uuid7(NOW), place={"area_code": area}),
        received("梧桐里小区全停电了，什么时候来电", ticket_id=uuid7(NOW), place={"area_code": "110101001"}),
        received("。", ticket_id=uuid7(NOW), place={"area_code": area}),
    ]
    await classification.hear(*others)
    await watched(classification)
    assert of_kind(await classification.said(), HotEventJoined) == []


async def test_event_and_its_members_are_read_page_by_page(classification: Harness) -> None:
    event, ids = await opened(classification)
    async with classification.client("s1", "supervise") as http:
        listed = (await http.get("/v1/hot-events")).json()
        assert [each["hot_event_id"] for each in listed["items"]] == [str(event.hot_event_id)]
        assert (await http.get("/v1/hot-events", params={"state": "closed"})).json() == {"items": [], "next": None}
        seen, after = [], None
        while True:
            page = (
                await http.get(
                    f"/v1/hot-events/{event.hot_event_id}", params={"limit": 5} | ({"after": after} if after else {})
                )
            ).json()
            seen += [each["ticket_id"] for each in page["items"]]
            after = page["next"]
            if after is None:
                break
        assert seen == sorted(map(str, ids))
        assert page["situation"]["code"] == event.situation.code
        assert (page["state"], page["members"], page["area_code"]) == ("open", 12, event.area_code)
        assert (await http.get(f"/v1/hot-events/{uuid4()}")).status_code == 404
        assert (await http.get("/v1/hot-events", params={"after": "x"})).status_code == 422
    async with classification.client("a1", "agent") as http:
        assert (await http.get("/v1/hot-events")).status_code == 403


async def test_who_is_taken_out_stays_out_until_a_person_says_otherwise(classification: Harness) -> None:
    event, ids = await opened(classification)
    async with classification.client("s1", "supervise") as http:
        left = await send(http, f"{event.hot_event_id}/leave", tickets=[str(ids[0])], reason="other house")
        assert left.json() == {"hot_event_id": str(event.hot_event_id), "changed": [str(ids[0])], "members": 11}
        again = await send(http, f"{event.hot_event_id}/leave", tickets=[str(ids[0])])
        assert again.json()["changed"] == []
        [said] = await classification.said()
        assert said == HotEventLeft(ticket_id=ids[0], hot_event_id=event.hot_event_id, by="s1")
        more = [call for call in storm.calls(4, 60, 0, NOW) if call.outage == 0][:10]
        await hear(classification, more)
        assert ids[0] not in {each.ticket_id for each in of_kind(await classification.said(), HotEventJoined)}
        [row] = await classification.rows("SELECT * FROM hot_member WHERE ticket_id = :id", id=ids[0])
        assert (row.left_by, row.leave_reason, row.left_at is not None) == ("s1", "other house", True)
        back = await send(http, f"{event.hot_event_id}/join", tickets=[str(ids[0])], reason="same line")
        assert back.json()["changed"] == [str(ids[0])]
        [said] = await classification.said()
        assert isinstance(said, HotEventJoined)
        assert (said.ticket_id, said.by) == (ids[0], "s1")
        [row] = await classification.rows("SELECT * FROM hot_member WHERE ticket_id = :id", id=ids[0])
        assert (row.joined_by, row.join_reason, row.left_at) == ("s1", "same line", None)


async def test_wrong_tickets_are_refused_by_name(classification: Harness) -> None:
    event, ids = await opened(classification)
    other = received("请问电价多少", ticket_id=uuid7(NOW))
    await classification.hear(other)
    path = str(event.hot_event_id)
    async with classification.client("s1", "review") as http:
        for action, reason in (("join", "no such ticket"), ("leave", "never a member")):
            answer = await send(http, f"{path}/{action}", tickets=[str(ids[0]), str(uuid4())])
            assert answer.status_code == 422
            assert [each["field"] for each in answer.json()["errors"]] == ["tickets.1"]
            assert reason in answer.json()["errors"][0]["reason"]
        assert (await send(http, f"{path}/join", tickets=[])).status_code == 422
        assert (await send(http, f"{uuid4()}/join", tickets=[str(ids[0])])).status_code == 404


async def test_closed_event_takes_no_more_tickets(classification: Harness) -> None:
    event, _ = await opened(classification)
    path = str(event.hot_event_id)
    async with classification.client("s1", "supervise") as http:
        for _ in range(2):
            closed = await send(http, f"{path}/close", reason="repaired")
            assert closed.json() == {"hot_event_id": path, "state": "closed", "closed_by": "s1"}
        assert [type(each) for each in await classification.said()] == [HotEventClosed]
        other = received("梧桐里小区全停电了", ticket_id=uuid7(NOW), place={"area_code": storm.OUTAGES[0][0]})
        await classification.hear(other)
        await watched(classification)
        more = [call for call in storm.calls(8, 60, 0, NOW) if call.outage == 0]
        await hear(classification, more)
        said = await classification.said()
        assert of_kind(said, HotEventJoined) == of_kind(said, HotEventOpened) == [], "nor do they open another one"
        refused = await send(http, f"{path}/join", tickets=[str(other.ticket_id)])
        assert (refused.status_code, refused.json()["closed_by"]) == (409, "s1")
    [row] = await classification.rows("SELECT * FROM hot_event")
    assert (row.state, row.closed_by, row.reason, row.closed_at is not None) == ("closed", "s1", "repaired", True)


async def test_ticket_of_one_open_event_is_put_into_no_other(classification: Harness) -> None:
    first, ids = await opened(classification)
    await hear(classification, [call for call in storm.calls(5, 60, 0, NOW) if call.outage == 1])
    [second] = of_kind(await classification.said(), HotEventOpened)
    async with classification.client("s1", "supervise") as http:
        refused = await send(http, f"{second.hot_event_id}/join", tickets=[str(ids[0])])
        assert refused.status_code == 422
        assert "another open event" in refused.json()["errors"][0]["reason"]
        await send(http, f"{first.hot_event_id}/leave", tickets=[str(ids[0])])
        assert (await send(http, f"{second.hot_event_id}/join", tickets=[str(ids[0])])).status_code == 200


@pytest.mark.parametrize("hours", [1, 30])
async def test_slow_tickets_of_one_kind_are_no_event(classification: Harness, hours: int) -> None:
    """As many as make an event, but not in the window."""
    calls = [call for call in storm.calls(6, 60, 0, NOW, minutes=hours * 600) if call.outage == 0][:6]
    await hear(classification, calls)
    assert of_kind(await classification.said(), HotEventOpened) == []
