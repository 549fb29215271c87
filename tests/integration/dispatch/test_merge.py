"""Tickets that follow a master: merged by people and released, members of folded hot events, one answer for all."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from libs.shared.contracts import dispatch as says
from libs.shared.contracts.classification import (
    HotEventClosed,
    HotEventDissolved,
    HotEventJoined,
    HotEventLeft,
    TicketClassified,
)
from libs.shared.events import Event, uuid7
from services.dispatch import merging, store
from tests.integration.dispatch.test_court import REASON
from tests.integration.dispatch.world import METER, REPAIR, World, amended, classified, post


async def merged(world: World, ticket_id: UUID, into: UUID, **body: Any) -> dict[str, Any]:
    answer = await post(world.agent, f"/v1/tickets/{ticket_id}/merge", into=str(into), **body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def released(world: World, ticket_id: UUID) -> dict[str, Any]:
    answer = await post(world.supervisor, f"/v1/tickets/{ticket_id}/release", reason="另一处")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def carried_out(world: World) -> None:
    """All that masters and members have to do."""
    await merging.look(world.harness.running)


def master_of(event: UUID) -> TicketClassified:
    """The master of a hot event, as classification says it."""
    found = classified(REPAIR, ticket_id=event, agent_id=None)
    return found.model_copy(update={"ticket": found.ticket.model_copy(update={"hot_event": event})})


def joined(ticket_id: UUID, event: UUID) -> HotEventJoined:
    return HotEventJoined(ticket_id=ticket_id, hot_event_id=event, similarity=0.8, by="classification", folded=True)


async def storm(world: World, count: int) -> tuple[UUID, list[UUID]]:
    """A folded hot event with that many tickets, which had work orders of their own before."""
    event = uuid7(datetime.now(UTC))
    tickets = [classified(METER, agent_id=f"a{number}") for number in range(count)]
    await world.hear(*tickets)
    await world.hear(*(joined(each.ticket_id, event) for each in tickets))
    await world.hear(master_of(event))
    await carried_out(world)
    return event, [each.ticket_id for each in tickets]


def kinds(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


async def test_a_merged_ticket_is_worked_on_by_its_masters_departments_alone(world: World) -> None:
    await world.endpoint("meter")
    await world.endpoint("repair")
    master, ticket = await world.classify(REPAIR), await world.classify(METER)
    await world.arrives("meter", "work_order.assigned")
    found = await merged(world, ticket, master, reason="同一处")
    assert (found["master_id"], found["members"], found["state"]) == (str(master), 1, "open")
    said = await world.harness.said()
    assert kinds([event for event in said if event.key == str(ticket)])[-2:] == ["WorkOrderCancelled", "TicketMerged"]
    [told] = [event for event in said if isinstance(event, says.MasterJoined)]
    assert (told.ticket_id, told.tickets, told.members) == (master, (ticket,), 1)
    assert [(each.star, each.urgency, each.sla_class) for each in told.promised] == [(4, "urgent", "maintenance")]
    [stopped] = await world.arrives("meter", "work_order.cancelled")
    assert (stopped.data["reason"], stopped.data["master_id"]) == ("merged", str(master))
    [more] = await world.arrives("repair", "work_order.joined")
    assert (more.data["members"], [each["ticket_id"] for each in more.data["tickets"]]) == (1, [str(ticket)])
    assert (await world.ticket(ticket))["master_id"] == str(master)
    assert (await world.departments["meter"].get("/v1/work-orders")).json()["items"] == []
    [order] = (await world.departments["repair"].get("/v1/work-orders")).json()["items"]
    path = f"/v1/work-orders/{order['work_order_id']}"
    assert (await world.departments["repair"].get(path)).json()["members"] == 1
    [member] = (await world.departments["repair"].get(f"{path}/members")).json()["items"]
    assert (member["ticket_id"], member["text"]) == (str(ticket), "家里电表走得特别快,请核实。")
    assert (await world.departments["meter"].get(f"{path}/members")).status_code == 404


async def test_the_same_merge_twice_changes_nothing(world: World) -> None:
    master, ticket = await world.classify(REPAIR), await world.classify(METER)
    first = await merged(world, ticket, master)
    assert await merged(world, ticket, master) == first
    assert len(await world.said(says.TicketMerged)) == 1


async def test_one_answer_reaches_every_members_agent_and_members_are_closed_each_by_their_own(world: World) -> None:
    event, tickets = await storm(world, 3)
    await world.work(event, "repair", "线路已修复，已送电")
    await carried_out(world)
    answered = {each.ticket_id: each for each in await world.said(says.TicketAnswered)}
    assert set(answered) == {event, *tickets}
    assert [answered[each].agent_id for each in tickets] == ["a0", "a1", "a2"]
    assert {answer.text for each in answered.values() for answer in each.answers} == {"线路已修复，已送电"}
    assert all(answered[each].measures.first_contact_minutes is not None for each in tickets)
    answer = await post(world.agent, f"/v1/tickets/{tickets[0]}/close", satisfied=True)
    assert answer.status_code == 200, answer.text
    assert [(await world.ticket(each))["state"] for each in tickets] == ["closed", "answered", "answered"]


async def test_reopening_is_joint(world: World) -> None:
    event, tickets = await storm(world, 3)
    await world.work(event, "repair")
    await carried_out(world)
    await post(world.agent, f"/v1/tickets/{tickets[0]}/close", satisfied=True)
    answer = await post(world.agent, f"/v1/tickets/{tickets[1]}/reopen", reason="又停电了")
    assert answer.status_code == 200, answer.text
    await carried_out(world)
    states = [(await world.ticket(each))["state"] for each in (event, *tickets)]
    assert states == ["open", "closed", "open", "open"]
    reopened = {each.ticket_id: each for each in await world.said(says.TicketReopened)}
    assert (reopened[event].master_id, len(reopened[event].work_order_ids)) == (None, 1)
    assert {(reopened[each].master_id, reopened[each].work_order_ids) for each in tickets[1:]} == {(event, ())}
    await world.work(event, "repair", "已更换电缆")
    await carried_out(world)
    texts = [
        answer.text
        for each in await world.said(says.TicketAnswered)
        if each.ticket_id == tickets[2]
        for answer in each.answers
    ]
    assert texts == ["已处理", "已更换电缆"]


async def test_a_member_closed_in_the_first_round_can_be_reopened_with_its_master_closed(world: World) -> None:
    event, [ticket] = await storm(world, 1)
    await world.hear(HotEventClosed(hot_event_id=event, members=1, by="classification"))
    await world.work(event, "repair")
    await carried_out(world)
    await post(world.agent, f"/v1/tickets/{ticket}/close", satisfied=False)
    await world.hear(HotEventClosed(hot_event_id=event, members=1, by="classification"))
    await carried_out(world)
    assert (await world.ticket(event))["state"] == "closed"
    await post(world.agent, f"/v1/tickets/{ticket}/reopen", reason="没修好")
    assert [(await world.ticket(each))["state"] for each in (event, ticket)] == ["open", "open"]


async def test_a_ticket_of_a_folded_event_gets_no_work_order_and_follows_at_once(world: World) -> None:
    event, _ = await storm(world, 1)
    late = classified(METER, agent_id="a9").model_copy(update={"hot_event": event})
    await world.hear(late)
    assert await world.said(Event, late.ticket_id) == []
    await carried_out(world)
    assert kinds(await world.said(Event, late.ticket_id)) == ["TicketMerged"]
    await world.work(event, "repair", "已送电")
    await carried_out(world)
    later = classified(METER, agent_id="a10").model_copy(update={"hot_event": event})
    await world.hear(later)
    await carried_out(world)
    said = await world.said(Event, later.ticket_id)
    assert kinds(said) == ["TicketMerged", "TicketAnswered"]
    assert [each.text for each in said[-1].answers] == ["已送电"]


async def test_members_wait_for_a_master_that_is_still_to_come(world: World) -> None:
    event = uuid7(datetime.now(UTC))
    ticket = classified(METER).model_copy(update={"hot_event": event})
    await world.hear(ticket)
    await carried_out(world)
    assert (await world.orders(ticket.ticket_id))["meter"]["state"] == "assigned"
    await world.hear(master_of(event))
    await carried_out(world)
    assert (await world.orders(ticket.ticket_id))["meter"]["state"] == "cancelled"
    assert (await world.ticket(ticket.ticket_id))["master_id"] == str(event)


async def test_a_released_ticket_gets_its_departments_back(world: World) -> None:
    await world.endpoint("meter")
    master, ticket = await world.classify(REPAIR), await world.classify(METER)
    await merged(world, ticket, master)
    found = await released(world, ticket)
    assert (found["master_id"], found["state"]) == (None, "open")
    assert kinds(await world.said(Event, ticket))[-2:] == ["TicketReleased", "WorkOrderAssigned"]
    assert len(await world.arrives("meter", "work_order.assigned", 2)) == 2
    assert (await world.orders(ticket))["meter"]["state"] == "assigned"
    await world.work(ticket, "meter")
    assert (await world.ticket(ticket))["state"] == "answered"
    assert (await world.ticket(master))["state"] == "open"


async def test_a_ticket_taken_out_of_a_hot_event_or_never_sent_out_gets_its_work_orders(world: World) -> None:
    event, [ticket] = await storm(world, 1)
    late = classified(METER, REPAIR).model_copy(update={"hot_event": event})
    await world.hear(late)
    await world.hear(HotEventLeft(ticket_id=ticket, hot_event_id=event, by="chief"))
    await world.hear(HotEventLeft(ticket_id=late.ticket_id, hot_event_id=event, by="chief"))
    await carried_out(world)
    assert (await world.orders(ticket))["meter"]["state"] == "assigned"
    assert {code: order["state"] for code, order in (await world.orders(late.ticket_id)).items()} == {
        "meter": "assigned",
        "repair": "assigned",
    }


async def test_a_dissolved_event_lets_everybody_go_and_nothing_is_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "STEP", 2)
    event, tickets = await storm(world, 5)
    late = classified(METER).model_copy(update={"hot_event": event})
    await world.hear(late)
    await world.hear(HotEventDissolved(hot_event_id=event, by="chief", reason="三处不同的故障"))
    await carried_out(world)
    for each in (*tickets, late.ticket_id):
        assert (await world.orders(each))["meter"]["state"] == "assigned"
        assert (await world.ticket(each))["master_id"] is None
    assert (await world.ticket(event))["state"] == "closed"
    assert (await world.orders(event))["repair"]["state"] == "closed"
    after = classified(METER).model_copy(update={"hot_event": event})
    await world.hear(after)
    await carried_out(world)
    assert (await world.orders(after.ticket_id))["meter"]["state"] == "assigned"
    assert await store.member.to_do(world.harness.running) == []


async def test_a_master_closed_without_an_answer_lets_its_members_go(world: World) -> None:
    master, ticket = await world.classify(REPAIR), await world.classify(METER)
    await merged(world, ticket, master)
    assert (await post(world.agent, f"/v1/tickets/{master}/close")).status_code == 200
    await carried_out(world)
    assert (await world.orders(ticket))["meter"]["state"] == "assigned"
    [event] = await world.said(says.TicketReleased)
    assert (event.by, event.reason) == ("a1", "its master was closed without an answer")


async def test_late_events_follow_the_master(world: World) -> None:
    await world.endpoint("repair")
    master, ticket = await world.classify(REPAIR), await world.classify(METER)
    await merged(world, ticket, master)
    await world.hear(amended(ticket, "冰箱里的药快坏了"))
    [added] = await world.arrives("repair", "ticket.amended")
    assert (added.data["ticket_id"], added.data["member_id"]) == (str(master), str(ticket))
    answer = await post(world.agent, f"/v1/tickets/{ticket}/questions", text="几点来电？")
    assert answer.status_code == 201, answer.text
    [asked] = await world.arrives("repair", "question.asked")
    assert (asked.data["ticket_id"], asked.data["text"]) == (str(master), "几点来电？")
    again = classified(METER, REPAIR, ticket_id=ticket, situation="other")
    await world.hear(again)
    assert {order["state"] for order in (await world.orders(ticket)).values()} == {"cancelled"}
    await released(world, ticket)
    assert (await world.orders(ticket))["repair"]["state"] == "assigned"


async def test_a_return_that_waited_for_a_ruling_is_void_when_its_ticket_is_merged(world: World) -> None:
    master, ticket = await world.classify(REPAIR), await world.classify(METER)
    order = (await world.orders(ticket))["meter"]
    await world.done("meter", order, "return", **REASON)
    await merged(world, ticket, master)
    assert (await world.departments["marketing"].get("/v1/returns")).json()["items"] == []
    await released(world, ticket)
    assert (await world.orders(ticket))["meter"]["state"] == "assigned"


async def test_what_was_answered_while_merged_and_released_then_goes_to_its_own_departments_when_reopened(
    world: World,
) -> None:
    master, ticket = await world.classify(REPAIR), await world.classify(METER)
    await merged(world, ticket, master)
    await world.work(master, "repair")
    await carried_out(world)
    await released(world, ticket)
    assert (await world.ticket(ticket))["state"] == "answered"
    await post(world.agent, f"/v1/tickets/{ticket}/reopen", reason="没有解决")
    assert (await world.orders(ticket))["meter"]["state"] == "assigned"
    assert (await world.ticket(master))["state"] == "answered"


@pytest.mark.parametrize("what", ["itself", "unknown", "closed", "member", "with members", "answered"])
async def test_what_cannot_be_merged_is_refused_with_its_reason(world: World, what: str) -> None:
    master, ticket, third = [await world.classify(METER) for _ in range(3)]
    into = {"itself": ticket, "unknown": uuid7(datetime.now(UTC))}.get(what, master)
    reasons = {
        "itself": "into: is the ticket itself",
        "unknown": "into: there is no such ticket",
        "closed": "into: is closed: reopen it first",
        "member": f"into: is itself merged into {third}",
        "with members": "tickets are merged into this one: release them first",
        "answered": "only an open ticket can be merged; this one is answered",
    }
    if what == "closed":
        await post(world.agent, f"/v1/tickets/{master}/close")
    if what == "member":
        await merged(world, master, third)
    if what == "with members":
        await merged(world, third, ticket)
    if what == "answered":
        await world.work(ticket, "meter")
    answer = await post(world.agent, f"/v1/tickets/{ticket}/merge", into=str(into))
    assert answer.status_code in (409, 422)
    assert answer.json()["detail"].startswith(reasons[what])
    assert (await world.ticket(ticket))["master_id"] is None


async def test_two_tickets_merged_into_each_other_at_once_do_not_both_follow(world: World) -> None:
    one, two = await world.classify(METER), await world.classify(REPAIR)
    answers = await asyncio.gather(
        post(world.agent, f"/v1/tickets/{one}/merge", into=str(two)),
        post(world.platform, f"/v1/tickets/{two}/merge", into=str(one)),
        post(world.supervisor, f"/v1/tickets/{two}/merge", into=str(one)),
    )
    assert sorted(answer.status_code for answer in answers)[0] == 200
    followers = [each for each in (one, two) if (await world.ticket(each))["master_id"]]
    assert len(followers) == 1


async def test_whoever_takes_over_in_mid_work_leaves_nothing_out_and_does_nothing_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "STEP", 2)
    event, tickets = await storm(world, 7)
    await world.work(event, "repair")
    await asyncio.gather(*(merging.advance(world.harness.running, event) for _ in range(4)))
    await carried_out(world)
    said = await world.said(Event)
    for kind in (says.TicketMerged, says.TicketAnswered):
        names = [each.ticket_id for each in said if isinstance(each, kind) and each.ticket_id != event]
        assert sorted(names) == sorted(tickets)
