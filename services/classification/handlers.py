"""What classification does with a ticket: read it before the transaction, then say what it is, or ask a person."""

from collections.abc import Sequence
from functools import partial

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
    """Say what each new ticket is and which one it repeats; below the matrix's thresholds a person is asked.

    Three or four statements a batch.
    """
    events = await timely(events, tx, store.ticket.KNOWN, tx.running.settings.ticket_months)
    if not events:
        return
    found: dict[str, Prediction] = {event.key: tx.prepared[event.envelope.id] for event in events}
    rule = found[events[0].key].matrix.rules.repeat
    marks = [(event.ticket_id, found[event.key].mark) for event in events]
    chains, known = await store.repeat.earlier(tx, rule, marks)
    read: list[Classified] = []
    for event in events:
        if event.ticket_id not in known:
            verdict, matrix, model_version = found[event.key].parts
            mark, cell = found[event.key].mark, found[event.key].cell
            repeat = chains.put(event.ticket_id, mark)
            verdict = fact.repeated(matrix, verdict, repeat.repeats)
            read.append(Classified(event.ticket_id, event.ticket, verdict, matrix, model_version, mark, repeat, cell))
    new = await store.ticket.add(tx, read)
    opened: list[Opened] = []
    for each in read:
        if each.ticket_id not in new:
            continue
        verdict, matrix = each.verdict, each.matrix
        if verdict.sure:
            by = "model" if each.model_version else "matrix"
            tx.publish(
                fact.classified(
                    each.ticket_id,
                    each.ticket,
                    matrix,
                    verdict,
                    by=by,
                    model_version=each.model_version,
                    repeat=each.repeat,
                )
            )
        else:
            request = fact.requested(each.ticket_id, matrix, verdict)
            tx.publish(request)
            opened.append(Opened(each.ticket_id, verdict.urgency == "urgent", request.candidates))
    if opened:
        await store.review.add(tx, opened)
    tx.after_commit(partial(tx.running.wake, "hot_events"))
