"""Registers the parts of a ticket that a reviewer split, each as a ticket of its own."""

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Row

from libs.shared.contracts.classification import SplitPart, TicketSplit
from libs.shared.contracts.intake import Customer, Place, Ticket, TicketReceived
from libs.shared.db import Transaction
from libs.shared.telemetry import log
from services.intake import store
from services.intake.command import reception
from services.intake.command.reception import RECEIVED
from services.intake.domain.masking import mask
from services.intake.store import secret
from services.intake.vault import Vault, VaultError

ABOUT_THE_CALLER = ("customer.name", "customer.phone", "place.address")  # what a part keeps of the sealed original


async def register(events: Sequence[TicketSplit], tx: Transaction) -> None:
    """A ticket per part, under the id that the split gave it, said like any other; parts that stand stay as they are.

    Customer, place, channel, agent and time are the split ticket's; its number gets a suffix: `A-1#2`.
    """
    wholes = await store.wholes(tx, {event.ticket_id for event in events})
    parts = {
        part.ticket_id: (wholes[event.ticket_id], part, event)
        for event in events
        if event.ticket_id in wholes
        for part in event.parts
    }
    made = await reception.register(
        {id_: (_ticket(whole, part), event.by) for id_, (whole, part, event) in parts.items()}, tx
    )
    await _say({id_: (ticket, *parts[id_]) for id_, ticket in made.items()}, tx)


def _ticket(whole: Row[Any], part: SplitPart) -> Ticket:
    return Ticket(
        channel=whole.channel,
        external_ref=f"{whole.external_ref}#{part.number}",
        agent_id=whole.agent_id,
        title=mask(part.title),
        text=mask(part.text),
        place=Place(area_code=whole.area_code, address=whole.address),
        customer=Customer(customer_id=whole.customer_id, star=whole.star, sensitive=whole.sensitive),
        opened_at=whole.opened_at,
        split_from=whole.ticket_id,
    )


async def _say(new: dict[UUID, tuple[Ticket, Row[Any], SplitPart, TicketSplit]], tx: Transaction) -> None:
    vault = cast(Vault, tx.running.resources)
    secrets = {}
    for ticket_id, (ticket, whole, part, event) in new.items():
        original = {"title": part.title} if ticket.title != part.title else {}
        original |= {"text": part.text} if ticket.text != part.text else {}
        if original := original | _about_the_caller(whole, vault):
            secrets[ticket_id, ticket_id] = vault.seal_fields(ticket_id, original)
        if cause := tx.causes.get(event.key):
            tx.causes[str(ticket_id)] = cause
        tx.publish(TicketReceived(ticket_id=ticket_id, ticket=ticket))
        tx.after_commit(RECEIVED.labels(ticket.channel, "split").inc)
    await secret.seal(tx, secrets)


def _about_the_caller(whole: Row[Any], vault: Vault) -> dict[str, str]:
    """Name, phone and address of the original; nothing where its key is missing: then they stay where they are."""
    if not (sealed := secret.sealed(whole)):
        return {}
    try:
        fields = vault.open_fields(whole.ticket_id, sealed)
    except VaultError as error:
        log.error("original_unreadable", ticket_id=str(whole.ticket_id), reason=str(error))
        return {}
    return {name: fields[name] for name in ABOUT_THE_CALLER if name in fields}
