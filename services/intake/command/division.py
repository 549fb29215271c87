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
    wanted = {
        part.ticket_id: (wholes[event.ticket_id], part, event)
        for event in events
        if event.ticket_id in wholes
        for part in event.parts
    }
    attempt = 1
    while wanted:
        tickets = {id_: _ticket(whole, part, attempt) for id_, (whole, part, _) in wanted.items()}
        new = await store.accept(tx, [(id_, ticket, wanted[id_][2].by) for id_, ticket in tickets.items()])
        await _say({id_: (tickets[id_], *wanted[id_]) for id_ in tickets if id_ in new}, tx)
        left = {id_: (ticket.channel, ticket.external_ref) for id_, ticket in tickets.items() if id_ not in new}
        known = await store.known(tx, set(left.values())) if left else {}
        # Stands already: said before. Stands as somebody else's: the platform uses such numbers itself, try the next.
        standing = {row.stands_as for row in known.values()}
        wanted = {id_: wanted[id_] for id_ in left if id_ not in standing}
        attempt += 1


def _ticket(whole: Row[Any], part: SplitPart, attempt: int) -> Ticket:
    suffix = f"#{part.number}" + (f"-{attempt}" if attempt > 1 else "")
    return Ticket(
        channel=whole.channel,
        external_ref=whole.external_ref + suffix,
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
