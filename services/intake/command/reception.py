"""Takes tickets in, once each; `take` is the one way in, for HTTP and for the inbound topic."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast
from uuid import UUID

from prometheus_client import Counter

from libs.shared.command import Answer, Refused
from libs.shared.contracts.intake import FieldError, Ticket, TicketReceived
from libs.shared.db import Transaction
from libs.shared.keep import oldest_kept
from libs.shared.telemetry import TRACEPARENT
from services.intake import store
from services.intake.domain.draft import Draft, differences
from services.intake.domain.submission import FIELDS, Invalid
from services.intake.settings import IntakeSettings
from services.intake.store import secret
from services.intake.vault import Vault, VaultError

RECEIVED = Counter("zhida_intake_received_total", "Tickets taken in", ["channel", "way"])
DUPLICATES = Counter("zhida_intake_duplicates_total", "Tickets that were here already", ["way", "content"])
REJECTED = Counter("zhida_intake_rejected_total", "Wrong fields of refused tickets", ["way", "field"])

COUNTED = FIELDS | {"body"}
DIFFERS = "differs from the ticket that already stands under this channel and external_ref"


@dataclass(frozen=True, slots=True)
class Offer:
    """A checked ticket, and who hands it in."""

    draft: Draft
    by: str  # principal, or "kafka"
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Taken:
    """The ticket stands: made now, or already here with the same content."""

    ticket_id: UUID
    created: bool


@dataclass(frozen=True, slots=True)
class Conflict:
    """Another content stands under the same reference."""

    ticket_id: UUID
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Receive:
    """`POST /v1/tickets`: what each item is, in order."""

    items: tuple[Draft | Invalid, ...]
    many: bool  # a list was sent, a list is answered
    by: str
    traceparent: str | None


async def receive(requests: list[Receive], tx: Transaction) -> list[Answer | Refused]:
    """Take in the tickets of many requests at once."""
    offers = [
        Offer(item, request.by, request.traceparent)
        for request in requests
        for item in request.items
        if isinstance(item, Draft)
    ]
    outcomes = iter(await take(offers, tx, "http"))
    answers: list[Answer | Refused] = []
    for request in requests:
        found = [next(outcomes) if isinstance(item, Draft) else item for item in request.items]
        answers.append(_results(request, found) if request.many else _result(found[0]))
    invalid = [item for request in requests for item in request.items if isinstance(item, Invalid)]
    tx.after_commit(partial(count, invalid, "http"))
    return answers


async def take(offers: Sequence[Offer], tx: Transaction, way: str) -> list[Taken | Conflict]:
    """One outcome per offer; of several under one reference the first is taken and the others compared with it."""
    vault = cast(Vault, tx.running.resources)
    firsts: dict[tuple[str, str], tuple[UUID, Offer]] = {}
    for offer in offers:
        if offer.draft.reference not in firsts:
            firsts[offer.draft.reference] = tx.new_id(), offer
    tickets = [(ticket_id, offer.draft.ticket(tx.now), offer.by) for ticket_id, offer in firsts.values()]
    new = await store.accept(tx, tickets) if tickets else set()
    secrets = {}
    for (ticket_id, offer), (_, ticket, _) in zip(firsts.values(), tickets, strict=True):
        if ticket_id in new:
            if offer.draft.original:
                secrets[ticket_id, ticket_id] = vault.seal_fields(ticket_id, offer.draft.original)
            if offer.traceparent and TRACEPARENT.fullmatch(offer.traceparent):
                tx.causes[str(ticket_id)] = offer.traceparent
            tx.publish(TicketReceived(ticket_id=ticket_id, ticket=ticket))
            tx.after_commit(RECEIVED.labels(ticket.channel, way).inc)
    await secret.seal(tx, secrets)
    again = [o for o in offers if (first := firsts[o.draft.reference])[1] is not o or first[0] not in new]
    compared = await _compare(again, tx, way) if again else {}
    return [compared.get(id(offer)) or Taken(firsts[offer.draft.reference][0], True) for offer in offers]


async def register(tickets: Mapping[UUID, tuple[Ticket, str]], tx: Transaction) -> dict[UUID, Ticket]:
    """Enter tickets that Zhida makes itself, each (ticket, by) under its id; gives those that did not stand already.

    Where a platform uses such a number itself, the next one that is free is taken: `A-1#2`, `A-1#2-2`, `A-1#2-3` …
    """
    made: dict[UUID, Ticket] = {}
    wanted, attempt = {id_: ticket for id_, (ticket, _) in tickets.items()}, 1
    while wanted:
        new = await store.accept(tx, [(id_, ticket, tickets[id_][1]) for id_, ticket in wanted.items()])
        made |= {id_: ticket for id_, ticket in wanted.items() if id_ in new}
        wanted = {id_: ticket for id_, ticket in wanted.items() if id_ not in new}
        known = await store.known(tx, {(each.channel, each.external_ref) for each in wanted.values()}) if wanted else {}
        standing = {row.stands_as for row in known.values()}
        attempt += 1
        wanted = {id_: _numbered(tickets[id_][0], attempt) for id_ in wanted if id_ not in standing}
    return made


def _numbered(ticket: Ticket, attempt: int) -> Ticket:
    return ticket.model_copy(update={"external_ref": f"{ticket.external_ref}-{attempt}"})


async def _compare(offers: Sequence[Offer], tx: Transaction, way: str) -> dict[int, Taken | Conflict]:
    """What stands under the references of these offers, by the offer's identity."""
    vault = cast(Vault, tx.running.resources)
    settings = cast(IntakeSettings, tx.running.settings)
    oldest = oldest_kept(tx.now, settings.vault_months)
    rows = await store.known(tx, {offer.draft.reference for offer in offers})
    outcomes: dict[int, Taken | Conflict] = {}
    for offer in offers:
        row = rows[offer.draft.reference]
        if row.ticket_id is None:  # its month has just gone: what it said cannot be compared any more
            outcomes[id(offer)] = Taken(row.stands_as, False)
            continue
        sealed = secret.sealed(row)
        original: dict[str, str] | None = None if row.ticket_id < oldest else {}
        try:
            original = vault.open_fields(row.ticket_id, sealed) if sealed else original
        except VaultError:
            original = None
        differing = differences(store.published(row), original, offer.draft)
        outcomes[id(offer)] = Conflict(row.ticket_id, differing) if differing else Taken(row.ticket_id, False)
        tx.after_commit(DUPLICATES.labels(way, "other" if differing else "same").inc)
    return outcomes


def conflict(outcome: Conflict, within: str = "") -> list[FieldError]:
    return [FieldError(field=f"{within}{name}", reason=DIFFERS) for name in outcome.fields]


def _result(outcome: Taken | Conflict | Invalid) -> Answer | Refused:
    match outcome:
        case Taken():
            return Answer(202, {"ticket_id": str(outcome.ticket_id), "created": outcome.created})
        case Conflict():
            return Refused(
                409,
                "Reference taken",
                "another ticket stands under this channel and external_ref",
                ticket_id=str(outcome.ticket_id),
                errors=[error.model_dump() for error in conflict(outcome)],
            )
        case Invalid():
            return Refused(422, "Bad ticket", str(outcome), errors=[error.model_dump() for error in outcome.errors])


def _results(request: Receive, outcomes: Sequence[Taken | Conflict | Invalid]) -> Answer:
    """One result per item; 202 where all were taken, else 207."""
    results: list[dict[str, Any]] = []
    for index, (item, outcome) in enumerate(zip(request.items, outcomes, strict=True)):
        result: dict[str, Any] = {"index": index}
        if isinstance(item, Draft):
            result |= {"channel": item.reference[0], "external_ref": item.reference[1]}
        match outcome:
            case Taken():
                result |= {"status": 202, "ticket_id": str(outcome.ticket_id), "created": outcome.created}
            case Conflict():
                errors = [error.model_dump() for error in conflict(outcome, f"tickets.{index}.")]
                result |= {"status": 409, "ticket_id": str(outcome.ticket_id), "errors": errors}
            case Invalid():
                result |= {"status": 422, "errors": [error.model_dump() for error in outcome.errors]}
        results.append(result)
    created = sum(isinstance(outcome, Taken) and outcome.created for outcome in outcomes)
    existing = sum(isinstance(outcome, Taken) and not outcome.created for outcome in outcomes)
    refused = len(outcomes) - created - existing
    counts = {"created": created, "existing": existing, "refused": refused}
    return Answer(207 if refused else 202, {**counts, "results": results})


def count(found: Sequence[Invalid], way: str) -> None:
    """Count wrong fields; names that callers invented count as one."""
    for invalid in found:
        for error in invalid.errors:
            field = re.sub(r"^tickets\.\d+\.?", "", error.field)
            REJECTED.labels(way, field if field in COUNTED else "other").inc()
