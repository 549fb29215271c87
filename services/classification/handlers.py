"""What classification does with a ticket: read it before the transaction, then say what it is, or ask a person."""

from collections.abc import Sequence
from dataclasses import replace

from libs.shared.contracts.intake import TicketReceived
from libs.shared.db import Transaction
from libs.shared.keep import timely
from libs.shared.service import Running
from services.classification import cumulation, store
from services.classification.current import Prediction, current
from services.classification.domain import fact, rule
from services.classification.store.review import Opened
from services.classification.store.shadow import Both
from services.classification.store.ticket import Classified


async def predict(events: list[TicketReceived], running: Running) -> Sequence[Prediction]:
    """Read the tickets, off the event loop and outside any transaction."""
    predictions = await current(running).classify([event.ticket for event in events])
    named = await _named_in_splitting(events, predictions, running)
    return await cumulation.named(events, named, running)


async def classify(events: list[TicketReceived], tx: Transaction) -> None:
    """Say what each new ticket is and which one it repeats; below the matrix's thresholds a person is asked.

    Three or four statements a batch.
    """
    events = await timely(events, tx, store.ticket.KNOWN, tx.running.settings.ticket_months)
    if not events:
        return
    found: dict[str, Prediction] = {event.key: tx.prepared[event.envelope.id] for event in events}
    repeats = found[events[0].key].matrix.rules.repeat
    marks = [(event.ticket_id, found[event.key].mark) for event in events]
    chains, known = await store.repeat.earlier(tx, repeats, marks)
    read: list[Classified] = []
    for event in events:
        if event.ticket_id not in known:
            verdict, matrix, model_version = found[event.key].parts
            mark, cell = found[event.key].mark, found[event.key].cell
            repeat = chains.put(event.ticket_id, mark)
            verdict = fact.repeated(matrix, verdict, repeat.repeats)
            by = found[event.key].by
            read.append(
                Classified(event.ticket_id, event.ticket, verdict, matrix, model_version, mark, repeat, cell, by)
            )
    new = await store.ticket.add(tx, read)
    opened: list[Opened] = []
    for each in read:
        if each.ticket_id not in new:
            continue
        verdict, matrix = each.verdict, each.matrix
        if verdict.sure:
            tx.publish(
                fact.classified(
                    each.ticket_id,
                    each.ticket,
                    matrix,
                    verdict,
                    at=tx.now,
                    by=each.by,
                    model_version=each.model_version,
                    repeat=each.repeat,
                )
            )
        else:
            request = fact.requested(each.ticket_id, matrix, verdict)
            tx.publish(request)
            limit = rule.review_limit(matrix.rules, each.ticket, verdict.urgency, verdict.risk)
            opened.append(Opened(each.ticket_id, tx.now + limit, request.candidates))
    await store.shadow.add(
        tx,
        [
            Both(each.ticket_id, each.matrix.version, each.model_version, each.verdict, *shadow)
            for each in read
            if each.ticket_id in new and (shadow := found[str(each.ticket_id)].shadow)
        ],
    )
    if opened:
        await store.review.add(tx, opened)


async def _named_in_splitting(
    events: Sequence[TicketReceived], predictions: Sequence[Prediction], running: Running
) -> Sequence[Prediction]:
    """The predictions; for parts of split tickets of which the reviewer said what they are, that word instead."""
    parts = [event.ticket_id for event in events if event.ticket.split_from]
    labels = await store.review.labels(running, parts) if parts else {}
    found = list(predictions)
    for place, event in enumerate(events):
        if label := labels.get(event.ticket_id):
            matrix = await current(running).matrix(label.matrix_version)
            verdict = fact.decided(event.ticket, matrix, label.situation, None, None)
            found[place] = replace(found[place], verdict=verdict, matrix=matrix, model_version=None, person=label.by)
    return found
