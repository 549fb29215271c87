"""Adds what a customer adds to a ticket that is not closed."""

from dataclasses import dataclass
from typing import cast
from uuid import UUID

from libs.shared.command import Answer, Refused
from libs.shared.contracts.intake import TicketAmended
from libs.shared.db import Transaction
from services.intake import store
from services.intake.domain import masking
from services.intake.store import secret
from services.intake.vault import Vault


@dataclass(frozen=True, slots=True)
class Amend:
    """`POST /v1/tickets/{ticket_id}/amendments`."""

    ticket_id: UUID
    text: str
    by: str


async def amend(requests: list[Amend], tx: Transaction) -> list[Answer | Refused]:
    """Add to tickets that are not closed, and say so to the departments that work on them."""
    vault = cast(Vault, tx.running.resources)
    standings = await store.standings(tx, {request.ticket_id for request in requests})
    answers: list[Answer | Refused] = []
    amendments, secrets = [], {}
    for request in requests:
        standing = standings.get(request.ticket_id)
        if standing is None:
            answers.append(Refused(404, "Not found", "there is no ticket with this id"))
        elif standing.stage == "closed":
            detail = "a closed ticket takes no amendment; it may be reopened"
            answers.append(Refused(409, "Ticket closed", detail, stage=standing.stage))
        elif standing.stage == "split":
            parts = [str(part) for part in standing.parts]
            answers.append(Refused(409, "Ticket split", "add to the part that it is about", parts=parts))
        else:
            amendment_id, masked = tx.new_id(), masking.mask(request.text)
            amendments.append((amendment_id, request.ticket_id, masked, request.by))
            if masked != request.text:
                secrets[request.ticket_id, amendment_id] = vault.seal_fields(amendment_id, {"text": request.text})
            tx.publish(
                TicketAmended(ticket_id=request.ticket_id, amendment_id=amendment_id, text=masked, by=request.by)
            )
            answers.append(Answer(202, {"ticket_id": str(request.ticket_id), "amendment_id": str(amendment_id)}))
    if amendments:
        await store.amend(tx, amendments)
        await secret.seal(tx, secrets)
    return answers
