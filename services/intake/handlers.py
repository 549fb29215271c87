"""What intake does with records: takes tickets in from the inbound topic, and follows where each one stands."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import cast

from prometheus_client import Counter

from libs.shared.contracts.classification import CumulativeProblemFound, HotEventFolded, TicketSplit
from libs.shared.contracts.intake import FieldError, TicketRejected
from libs.shared.db import Transaction
from libs.shared.service import Record
from libs.shared.telemetry import log
from services.intake import store
from services.intake.command import division, proactive, reception
from services.intake.domain import stage
from services.intake.domain.draft import Draft
from services.intake.domain.stage import Fact
from services.intake.domain.submission import Invalid, check, parse
from services.intake.store import secret
from services.intake.vault import Vault

QUICK = 512 * 1024  # bytes of a batch that are read at once, some 20 ms
LATE = Counter("zhida_intake_late_facts_total", "Facts heard of tickets that are closed or not here", ["type"])


async def receive_records(records: list[Record], tx: Transaction) -> None:
    """Take in the records of the inbound topic; one that cannot be taken is kept and answered, and stops nothing."""
    offers: list[reception.Offer] = []
    sources: list[Record] = []
    refused: list[tuple[Record, str, Sequence[FieldError]]] = []
    invalid: list[Invalid] = []
    for record, found in zip(records, await _sift(records, tx), strict=True):
        if isinstance(found, Draft):
            trace = record.headers.get("traceparent", b"").decode("ascii", "replace")
            offers.append(reception.Offer(found, "kafka", trace))
            sources.append(record)
        else:
            reference, error = found
            refused.append((record, reference, error.errors))
            invalid.append(error)
    for offer, record, outcome in zip(offers, sources, await reception.take(offers, tx, "kafka"), strict=True):
        if isinstance(outcome, reception.Conflict):
            refused.append((record, "|".join(offer.draft.reference), reception.conflict(outcome)))
    await _refuse(refused, tx)
    tx.after_commit(partial(reception.count, invalid, "kafka"))


async def move(facts: list[Fact], tx: Transaction) -> None:
    """Move tickets to where these facts put them, in one write for the whole batch."""
    tx.gather(_move, [fact for fact in facts if stage.about_stages(fact)])


async def split(events: list[TicketSplit], tx: Transaction) -> None:
    """Register the parts of tickets that reviewers split; the tickets themselves end here."""
    await division.register(events, tx)
    await move(list(events), tx)


async def make(events: list[HotEventFolded | CumulativeProblemFound], tx: Transaction) -> None:
    """Register the tickets that Zhida makes itself."""
    await proactive.register(events, tx)


async def _move(tx: Transaction, facts: Sequence[Fact]) -> None:
    """Hear each ticket's facts in order; what comes after a close, or when the month is gone, changes nothing."""
    before = await store.standings(tx, {fact.ticket_id for fact in facts})
    now = dict(before)
    late = []
    for fact in facts:
        if fact.ticket_id not in now:
            log.warning("unknown_ticket", type=fact.type, ticket_id=str(fact.ticket_id))
            late.append(fact)
            tx.after_commit(LATE.labels(fact.type).inc)
        elif after := stage.hear(now[fact.ticket_id], fact):
            now[fact.ticket_id] = after
        else:
            late.append(fact)
            tx.after_commit(LATE.labels(fact.type).inc)
    await store.move(tx, [after for ticket_id, after in now.items() if after is not before[ticket_id]])
    await store.late(tx, late)


async def _sift(records: Sequence[Record], tx: Transaction) -> list[Draft | tuple[str, Invalid]]:
    """What each record is: a ticket ready to be taken, or its reference and what is wrong with it.

    Much text is read in a thread, a little at a time, so that neither the loop nor the transaction seems idle.
    """
    if sum(len(record.value or b"") for record in records) <= QUICK:
        return _read_all(records, tx.now)
    sifted: list[Draft | tuple[str, Invalid]] = []
    for start in range(0, len(records), 50):
        part = records[start : start + 50]
        sifted += await asyncio.to_thread(_read_all, part, tx.now)
        await tx.run(store.ALIVE)
    return sifted


def _read_all(records: Sequence[Record], now: datetime) -> list[Draft | tuple[str, Invalid]]:
    return [_read(record, now) for record in records]


def _read(record: Record, now: datetime) -> Draft | tuple[str, Invalid]:
    value = None
    try:
        value = parse(record.value)
        return Draft.of(check(value, now))
    except Invalid as error:
        return _reference(record, value), error


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
