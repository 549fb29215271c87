"""A ticket that a reviewer split: its parts are tickets of their own, registered once whatever comes twice."""

from uuid import UUID

import httpx
import pytest

from libs.shared.contracts.classification import ReviewRequested, SplitPart, TicketSplit
from libs.shared.contracts.intake import TicketReceived
from libs.shared.events import Envelope, uuid7
from services.intake import handlers
from services.intake.main import service
from services.intake.vault import new_key
from tests.integration.intake.conftest import post, taken, ticket
from tests.running import TRACEPARENT, Harness, harness


async def split(h: Harness, ticket_id: UUID) -> TicketSplit:
    """What classification says of that ticket."""
    async with h.running.transaction() as tx:
        ids = [tx.new_id(), tx.new_id()]
        now = tx.now
    parts = (
        SplitPart(ticket_id=ids[0], number=1, title="小区停电", text="2栋停电", situation="C04-1"),
        SplitPart(ticket_id=ids[1], number=2, title="电费", text="电费多了一倍"),
    )
    said = TicketSplit(ticket_id=ticket_id, parts=parts, by="reviewer-li")
    return said.enveloped(Envelope(uuid7(now), "classification", now, 1, TRACEPARENT))


async def test_parts_become_tickets_of_the_same_customer_and_place(h: Harness, platform: httpx.AsyncClient) -> None:
    handed = ticket()
    ticket_id = UUID((await post(platform, handed)).json()["ticket_id"])
    [whole] = await h.said()
    assert isinstance(whole, TicketReceived)
    await h.hear(ReviewRequested(ticket_id=ticket_id, urgency="normal", candidates=()))
    event = await split(h, ticket_id)
    said = await h.hear(event)
    assert [type(each) for each in said] == [TicketReceived] * 2
    assert [each.key for each in said] == [str(part.ticket_id) for part in event.parts]
    for number, each in enumerate(said, 1):
        assert isinstance(each, TicketReceived)
        assert each.envelope.traceparent == TRACEPARENT
        made = each.ticket
        assert (made.external_ref, made.split_from) == (f"{handed['external_ref']}#{number}", ticket_id)
        for name in ("channel", "agent_id", "place", "customer", "opened_at"):
            assert getattr(made, name) == getattr(whole.ticket, name), name
    shown = (await platform.get(f"/v1/tickets/{ticket_id}")).json()
    assert shown["stage"] == "split"
    assert list(shown["reached"]) == ["received", "in_review", "split"]
    assert shown["parts"] == [str(part.ticket_id) for part in event.parts]
    part = (await platform.get(f"/v1/tickets/{event.parts[1].ticket_id}")).json()
    assert (part["stage"], part["title"], part["text"]) == ("received", "电费", "电费多了一倍")
    assert (part["split_from"], part["parts"]) == (str(ticket_id), [])
    found = (await platform.get("/v1/tickets", params={"stage": "split"})).json()["items"]
    assert [each["ticket_id"] for each in found] == [str(ticket_id)]


async def test_a_split_that_comes_again_makes_nothing_more(h: Harness, platform: httpx.AsyncClient) -> None:
    ticket_id = await taken(platform)
    event = await split(h, ticket_id)
    assert len([each for each in await h.hear(event) if isinstance(each, TicketReceived)]) == 3
    assert await h.hear(event) == []
    forgotten = TicketSplit(ticket_id=ticket_id, parts=event.parts, by=event.by)  # another event id
    assert await h.hear(forgotten) == []
    assert len(await h.rows("SELECT 1 FROM ticket")) == 3
    assert len(await h.rows("SELECT 1 FROM reference")) == 3
    assert (await platform.get(f"/v1/tickets/{ticket_id}")).json()["stage"] == "split"


async def test_a_crash_registers_none_of_the_parts_and_they_come_again(h: Harness, platform: httpx.AsyncClient) -> None:
    ticket_id = await taken(platform)
    await h.said()
    event = await split(h, ticket_id)

    async def cut_off() -> None:
        async with h.running.transaction([str(ticket_id)]) as tx:
            await handlers.split([event], tx)
            await tx.flush()
            raise RuntimeError("cut off")

    with pytest.raises(RuntimeError, match="cut off"):
        await cut_off()
    assert len(await h.rows("SELECT 1 FROM ticket")) == 1
    assert len(await h.hear(event)) == 2


async def test_a_number_that_the_platform_uses_itself_is_passed_over(h: Harness, platform: httpx.AsyncClient) -> None:
    handed = ticket()
    ticket_id = UUID((await post(platform, handed)).json()["ticket_id"])
    await taken(platform, external_ref=f"{handed['external_ref']}#2")
    await h.said()
    said = await h.hear(await split(h, ticket_id))
    made = [each.ticket.external_ref for each in said if isinstance(each, TicketReceived)]
    assert made == [f"{handed['external_ref']}#1", f"{handed['external_ref']}#2-2"]
    assert len(await h.rows("SELECT 1 FROM ticket")) == 4


async def test_who_called_is_in_the_vault_for_every_part(h: Harness, platform: httpx.AsyncClient) -> None:
    ticket_id = await taken(platform)
    event = await split(h, ticket_id)
    await h.hear(event)
    async with h.client("auditor", "vault") as auditor:
        whole, part = [
            (await auditor.get(f"/v1/tickets/{each}/original")).json()["original"]
            for each in (ticket_id, event.parts[0].ticket_id)
        ]
    assert part == {name: whole[name] for name in ("customer.name", "customer.phone", "place.address")}
    assert "text" in whole


async def test_a_lost_key_does_not_keep_a_ticket_from_being_split(
    h: Harness, platform: httpx.AsyncClient, database: str
) -> None:
    ticket_id = await taken(platform)
    event = await split(h, ticket_id)
    await h.said()
    async with harness(service, database, vault_key=new_key()) as other:
        assert len(await other.hear(event)) == 2
        assert len(await other.rows("SELECT 1 FROM vault")) == 1


async def test_parts_are_masked_and_a_split_ticket_takes_no_amendment(h: Harness, platform: httpx.AsyncClient) -> None:
    ticket_id = await taken(platform)
    event = await split(h, ticket_id)
    await h.said()
    told = event.parts[0].model_copy(update={"text": "请打13812345678"})
    said = await h.hear(TicketSplit(ticket_id=ticket_id, parts=(told, event.parts[1]), by="r"))
    assert isinstance(said[0], TicketReceived)
    assert "13812345678" not in said[0].ticket.text
    refused = await platform.post(
        f"/v1/tickets/{ticket_id}/amendments", json={"text": "还有"}, headers={"Idempotency-Key": "1"}
    )
    assert (refused.status_code, refused.json()["parts"]) == (409, [str(part.ticket_id) for part in event.parts])


async def test_a_split_of_a_ticket_that_is_gone_makes_nothing(h: Harness) -> None:
    async with h.running.transaction() as tx:
        unknown = tx.new_id()
    assert await h.hear(await split(h, unknown)) == []
    assert not await h.rows("SELECT 1 FROM ticket")
    assert len(await h.rows("SELECT 1 FROM late_fact")) == 1
