"""What intake does with records: takes tickets in from the inbound topic, and follows where each one stands."""

from collections.abc import Sequence
from functools import partial
from typing import cast

from prometheus_client import Counter

from libs.shared.contracts.intake import FieldError, TicketRejected
from libs.shared.db import Transaction
from libs.shared.service import Record
from libs.shared.telemetry import log
from services.intake import store
from services.intake.command import reception
from services.intake.domain import stage
from services.intake.domain.draft import Draft
from services.intake.domain.stage import Fact
from services.intake.domain.submission import Invalid, check, parse
from services.intake.store import secret
from services.intake.vault import Vault

LATE = Counter("zhida_intake_late_facts_total", "Facts heard of closed tickets", ["type"])


async def receive_records(records: list[Record], tx: Transaction) -> None:
    """Take in the records of the inbound topic; one that cannot be taken is kept and answered, and stops nothing."""
    offers: list[reception.Offer] = []
    sources: list[Record] = []
    refused: list[tuple[Record, str, Sequence[FieldError]]] = []
    invalid: list[Invalid] = []
    for record in records:
        value = None
        try:
            value = parse(record.value)
            draft = Draft.of(check(value, tx.now))
        except Invalid as error:
            refused.append((record, _reference(record, value), error.errors))
            invalid.append(error)
        else:
            offers.append(
                reception.Offer(draft, "kafka", record.headers.get("traceparent", b"").decode("ascii", "replace"))
            )
            sources.append(record)
    for offer, record, outcome in zip(offers, sources, await reception.take(offers, tx, "kafka"), strict=True):
        if isinstance(outcome, reception.Conflict):
            refused.append((record, "|".join(offer.draft.reference), reception.conflict(outcome)))
    await _refuse(refused, tx)
    tx.after_commit(partial(reception.count, invalid, "kafka"))


async def move(facts: list[Fact], tx: Transaction) -> None:
    """Move tickets to where these facts put them; what comes after a close is noted and changes nothing."""
    told = [fact for fact in facts if stage.about_stages(fact)]
    if not told:
        return
    standings = await store.standings(tx, [fact.ticket_id for fact in told])
    moved, late = [], []
    for fact in told:
        before = standings.get(fact.ticket_id)
        if before is None:
            log.warning("unknown_ticket", type=fact.type, ticket_id=str(fact.ticket_id))
            continue
        after = stage.hear(before, fact)
        if after is None:
            late.append(fact)
        elif after is not before:
            moved.append(after)
    await store.move(tx, moved)
    await store.late(tx, late)
    for fact in late:
        tx.after_commit(LATE.labels(fact.type).inc)


async def _refuse(refused: Sequence[tuple[Record, str, Sequence[FieldError]]], tx: Transaction) -> None:
    if not refused:
        return
    vault = cast(Vault, tx.running.resources)
    kept = []
    for record, reference, errors in refused:
        rejected_id = tx.new_id()
        kept.append((rejected_id, record, reference, errors, vault.seal(rejected_id, record.value or b"")))
        tx.publish(
            TicketRejected(reference=reference, partition=record.partition, offset=record.offset, errors=tuple(errors))
        )
    await secret.reject(tx, kept)


def _reference(record: Record, value: object) -> str:
    """channel|external_ref where both can be read, else partition:offset."""
    if isinstance(value, dict):
        channel, reference = value.get("channel"), value.get("external_ref")
        if isinstance(channel, str) and isinstance(reference, str) and channel and reference:
            shown = f"{channel}|{reference.strip()}"
            if shown.isprintable() and len(shown) <= 130:
                return shown
    return f"{record.partition}:{record.offset}"
