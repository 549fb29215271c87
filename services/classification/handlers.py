"""What classification does with a ticket: read it before the transaction, then say what it is, or ask a person."""

from collections.abc import Sequence

from libs.shared.contracts.intake import TicketReceived
from libs.shared.db import Transaction
from libs.shared.keep import timely
from libs.shared.service import Running
from services.classification import store
from services.classification.current import Prediction, current
from services.classification.domain import fact, rule
from services.classification.store.review import Opened
from services.classification.store.shadow import Both
from services.classification.store.ticket import Classified


async def predict(events: list[TicketReceived], running: Running) -> Sequence[Prediction]:
    """Read the tickets, off the event loop and outside any transaction."""
    predictions = await current(running).classify([event.ticket for event in events])
    return await _named_in_splitting(events, predictions, running)


async def classify(events: list[TicketReceived], tx: Transaction) -> None:
    """Say what each new ticket is; below the matrix's thresholds a person is asked. One or two statements a batch."""
    events = await timely(events, tx, store.ticket.KNOWN, tx.running.settings.ticket_months)
    found: dict[str, Prediction] = {event.key: tx.prepared[event.envelope.id] for event in events}
    new = await store.ticket.add(
        tx,
        [
            Classified(
                event.ticket_id,
                event.ticket,
                found[event.key].verdict,
                found[event.key].matrix.version,
                found[event.key].model_version,
                found[event.key].by,
            )
            for event in events
        ],
    )
    both = [(event.ticket_id, found[event.key]) for event in events if event.ticket_id in new]
    await store.shadow.add(
        tx,
        [
            Both(ticket_id, each.matrix.version, each.model_version, each.verdict, *each.shadow)
            for ticket_id, each in both
            if each.shadow
        ],
    )
    opened: list[Opened] = []
    for event in events:
        if event.ticket_id not in new:
            continue
        verdict, matrix, model_version = found[event.key].parts
        if verdict.sure:
            by = found[event.key].by
            tx.publish(
                fact.classified(
                    event.ticket_id, event.ticket, matrix, verdict, at=tx.now, by=by, model_version=model_version
                )
            )
        else:
            request = fact.requested(event.ticket_id, matrix, verdict)
            tx.publish(request)
            limit = rule.review_limit(matrix.rules, event.ticket, verdict.urgency, verdict.risk)
            opened.append(Opened(event.ticket_id, tx.now + limit, request.candidates))
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
            found[place] = Prediction(verdict, matrix, None, label.by)
    return found
