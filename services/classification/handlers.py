"""What classification does with a ticket: read it before the transaction, then say what it is, or ask a person."""

from collections.abc import Sequence

from libs.shared.contracts.intake import TicketReceived
from libs.shared.db import Transaction
from libs.shared.keep import timely
from libs.shared.service import Running
from services.classification import store
from services.classification.current import Prediction, current
from services.classification.domain import fact
from services.classification.store.review import Opened
from services.classification.store.ticket import Classified


async def predict(events: list[TicketReceived], running: Running) -> Sequence[Prediction]:
    """Read the tickets, off the event loop and outside any transaction."""
    return await current(running).classify([event.ticket for event in events])


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
            )
            for event in events
        ],
    )
    opened: list[Opened] = []
    for event in events:
        if event.ticket_id not in new:
            continue
        verdict, matrix, model_version = found[event.key].parts
        if verdict.sure:
            by = "model" if model_version else "matrix"
            tx.publish(
                fact.classified(
                    event.ticket_id, event.ticket, matrix, verdict, at=tx.now, by=by, model_version=model_version
                )
            )
        else:
            request = fact.requested(event.ticket_id, matrix, verdict)
            tx.publish(request)
            opened.append(Opened(event.ticket_id, verdict.urgency == "urgent", request.candidates))
    if opened:
        await store.review.add(tx, opened)
