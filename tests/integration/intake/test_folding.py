"""A hot event that was folded: its master is a ticket of its own, made once; its members say whose they are."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx

from libs.shared.contracts.classification import HotEventFolded, Situation
from libs.shared.contracts.dispatch import TicketMerged, TicketReleased, WorkOrderCancelled
from libs.shared.contracts.intake import Ticket, TicketReceived
from libs.shared.events import Envelope, Event, uuid7
from tests.integration.intake.conftest import post, taken, ticket
from tests.running import TRACEPARENT, Harness

OPENED = datetime(2026, 11, 20, 8, tzinfo=UTC)


def folded(hot_event_id: UUID, **changes: Any) -> HotEventFolded:
    """What classification says of that hot event; each time another event id."""
    said = HotEventFolded(
        **{
            "hot_event_id": hot_event_id,
            "situation": Situation(code="C04-1", name="小区停电", path=("a", "b", "c")),
            "title": "幸福小区 停电",
            "text": "2栋停电\n3栋也停电",
            "area_code": "430102",
            "star": 5,
            "sensitive": True,
            "opened_at": OPENED,
            "members": 20,
            "by": "classification",
            **changes,
        }
    )
    now = datetime.now(UTC)
    return said.enveloped(Envelope(uuid7(now), "classification", now, 1, TRACEPARENT))


def made(said: Sequence[Event]) -> list[Ticket]:
    return [each.ticket for each in said if isinstance(each, TicketReceived)]


def merged(ticket_id: UUID, master_id: UUID) -> TicketMerged:
    return TicketMerged(
        ticket_id=ticket_id, master_id=master_id, hot_event=True, agent_id="agent-7", channel="95598", title="停电",
        members=21, by="classification", reason=None,
    )  # fmt: skip


async def test_the_master_of_a_folded_hot_event_is_a_ticket(h: Harness, platform: httpx.AsyncClient) -> None:
    master = uuid7(datetime.now(UTC))
    [said] = await h.hear(folded(master))
    assert isinstance(said, TicketReceived)
    assert (said.key, said.envelope.version, said.envelope.traceparent) == (str(master), 1, TRACEPARENT)
    assert said.ticket.hot_event == said.ticket_id == master
    assert (said.ticket.channel, said.ticket.external_ref) == ("proactive", f"hot-event-{master}")
    assert (said.ticket.customer.star, said.ticket.customer.sensitive) == (5, True)
    assert (said.ticket.place.area_code, said.ticket.opened_at) == ("430102", OPENED)
    shown = (await platform.get(f"/v1/tickets/{master}")).json()
    assert (shown["stage"], shown["title"], shown["text"]) == ("received", "幸福小区 停电", "2栋停电\n3栋也停电")
    assert (shown["hot_event"], shown["master_id"], shown["agent_id"]) == (str(master), None, None)
    found = await platform.get("/v1/tickets", params={"channel": "proactive", "external_ref": f"hot-event-{master}"})
    assert [each["ticket_id"] for each in found.json()["items"]] == [str(master)]


async def test_a_fold_that_comes_again_makes_nothing_more(h: Harness) -> None:
    master = uuid7(datetime.now(UTC))
    first = folded(master)
    assert len(made(await h.hear(first))) == 1
    assert await h.hear(first) == []
    assert await h.hear(folded(master, members=40)) == []  # another event id
    assert len(await h.rows("SELECT 1 FROM ticket")) == 1
    assert len(await h.rows("SELECT 1 FROM reference")) == 1


async def test_two_hot_events_of_one_batch_have_two_masters(h: Harness) -> None:
    ids = [uuid7(datetime.now(UTC)) for _ in range(2)]
    said = made(await h.hear(*(folded(each) for each in ids)))
    assert {each.hot_event for each in said} == set(ids)


async def test_a_number_that_is_somebody_elses_is_passed_over(h: Harness, platform: httpx.AsyncClient) -> None:
    master = uuid7(datetime.now(UTC))
    await taken(platform, channel="proactive", external_ref=f"hot-event-{master}")
    await h.said()
    assert [each.external_ref for each in made(await h.hear(folded(master)))] == [f"hot-event-{master}-2"]
    assert await h.hear(folded(master)) == []
    assert len(await h.rows("SELECT 1 FROM ticket")) == 2


async def test_an_ordinary_ticket_is_no_master(h: Harness, platform: httpx.AsyncClient) -> None:
    ticket_id = (await post(platform, ticket())).json()["ticket_id"]
    [said] = await h.said()
    assert isinstance(said, TicketReceived)
    assert said.ticket.hot_event is None
    assert (await platform.get(f"/v1/tickets/{ticket_id}")).json()["hot_event"] is None


async def test_a_merged_ticket_names_its_master_takes_amendments_and_is_released(
    h: Harness, platform: httpx.AsyncClient
) -> None:
    ticket_id, master = await taken(platform), uuid7(datetime.now(UTC))
    await h.hear(folded(master))
    cancelled = WorkOrderCancelled(ticket_id=ticket_id, work_order_id=UUID(int=1), department="d", reason="merged")
    await h.hear(merged(ticket_id, master), cancelled)
    shown = (await platform.get(f"/v1/tickets/{ticket_id}")).json()
    assert (shown["stage"], shown["master_id"]) == ("merged", str(master))
    assert list(shown["reached"]) == ["received", "merged"]
    found = (await platform.get("/v1/tickets", params={"stage": "merged"})).json()["items"]
    assert [each["ticket_id"] for each in found] == [str(ticket_id)]
    added = await platform.post(
        f"/v1/tickets/{ticket_id}/amendments", json={"text": "还没来电"}, headers={"Idempotency-Key": "1"}
    )
    assert added.status_code == 202
    await h.hear(TicketReleased(ticket_id=ticket_id, master_id=master, by="li", reason=None))
    shown = (await platform.get(f"/v1/tickets/{ticket_id}")).json()
    assert (shown["stage"], shown["master_id"]) == ("classified", None)
