"""Cumulative problems become proactive tickets in intake, once whatever comes twice."""

from typing import Any

import httpx

from libs.shared.contracts.classification import CumulativeProblemFound, Situation
from libs.shared.contracts.intake import TicketReceived
from libs.shared.events import Envelope, uuid7
from tests.running import TRACEPARENT, Harness


async def found(h: Harness, **fields: Any) -> CumulativeProblemFound:
    """What classification says."""
    async with h.running.transaction() as tx:
        problem_id, now = tx.new_id(), tx.now
    about: dict[str, Any] = {
        "problem_id": problem_id,
        "rule": "outages",
        "name": "同一社区反复停电",
        "situation": Situation(code="B04-1", name="同一地点反复停电", path=("供电质量", "供电可靠性", "频繁停电")),
        "area_code": "320102001003",
        "address": None,
        "customer_id": None,
        "star": 4,
        "sensitive": True,
        "title": "同一社区反复停电（60天内3次）",
        "text": "同一社区反复停电：60天内3次\n2026-11-20 08:00 成片停电报修，12件",
        "tickets": (uuid7(now),),
        "count": 3,
        "days": 60,
        "matrix_version": "power_95598-1-0",
    }
    said = CumulativeProblemFound.model_validate(about | fields)
    return said.enveloped(Envelope(uuid7(now), "classification", now, 1, TRACEPARENT))


async def test_a_cumulative_problem_becomes_a_proactive_ticket(h: Harness, platform: httpx.AsyncClient) -> None:
    event = await found(h)
    [said] = await h.hear(event)
    assert isinstance(said, TicketReceived)
    assert (said.ticket_id, said.ticket.cumulative) == (event.problem_id, event.problem_id)
    assert said.envelope.traceparent == TRACEPARENT
    ticket = said.ticket
    assert (ticket.channel, ticket.external_ref) == ("proactive", f"cumulative-{event.problem_id}")
    assert (ticket.title, ticket.text, ticket.agent_id) == (event.title, event.text, None)
    assert (ticket.place.area_code, ticket.customer.star, ticket.customer.sensitive) == ("320102001003", 4, True)
    assert ticket.opened_at == event.occurred_at
    shown = (await platform.get(f"/v1/tickets/{event.problem_id}")).json()
    assert (shown["stage"], shown["title"], shown["channel"]) == ("received", event.title, "proactive")


async def test_a_problem_of_a_customer_is_a_ticket_of_that_customer(h: Harness) -> None:
    [said] = await h.hear(await found(h, customer_id="c9", area_code="320102", address="3号楼"))
    assert isinstance(said, TicketReceived)
    assert (said.ticket.customer.customer_id, said.ticket.place.address) == ("c9", "3号楼")


async def test_a_problem_that_comes_again_makes_nothing_more(h: Harness) -> None:
    event = await found(h)
    assert len(await h.hear(event)) == 1
    assert await h.hear(event) == []
    again = event.model_copy().enveloped(Envelope(uuid7(event.occurred_at), "classification", event.occurred_at, 2, ""))
    assert await h.hear(again) == []
    assert len(await h.rows("SELECT 1 FROM ticket")) == 1


async def test_several_problems_of_one_batch_are_a_ticket_each(h: Harness) -> None:
    events = [await found(h) for _ in range(3)]
    assert {each.key for each in await h.hear(*events)} == {str(event.problem_id) for event in events}
