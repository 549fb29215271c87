"""What classification does with a ticket: read it before the transaction, then say what it is, or ask a person."""

from collections.abc import Sequence

from libs.shared.contracts.intake import TicketReceived
from libs.shared.db import Poison, Transaction
from libs.shared.keep import timely
from libs.shared.service import Running
from services.classification import cumulation, store, watch
from services.classification.current import Prediction, current
from services.classification.domain import fact, rule
from services.classification.domain.hot_event import BY, DECIDER
from services.classification.domain.matrix import Matrix
from services.classification.store.review import Opened
from services.classification.store.shadow import Both
from services.classification.store.ticket import Classified


async def predict(events: list[TicketReceived], running: Running) -> Sequence[Prediction]:
    """Read the tickets, off the event loop and outside any transaction."""
    predictions = await current(running).classify([event.ticket for event in events])
    masters = await _masters(events, await _named_in_splitting(events, predictions, running), running)
    return await cumulation.named(events, masters, running)


async def classify(events: list[TicketReceived], tx: Transaction) -> None:
    """Say what each new ticket is and which one it repeats; below the matrix's thresholds a person is asked.

    A ticket that belongs to an open hot event joins it here, so that it gets no work order where that is folded. The
    rows of these events are locked then; no other batch gets that far before this one has ended.

    Three or four statements a batch, one more where some join.
    """
    events = await timely(events, tx, store.ticket.KNOWN, tx.running.settings.ticket_months)
    if not events:
        return
    found: dict[str, Prediction] = {event.key: tx.prepared[event.envelope.id] for event in events}
    repeats = found[events[0].key].matrix.rules.repeat
    marks = [(event.ticket_id, found[event.key].mark) for event in events]
    chains, known = await store.repeat.earlier(tx, repeats, marks)
    fresh = [event for event in events if event.ticket_id not in known]
    belong = [(event.ticket_id, *hot) for event in fresh if (hot := found[event.key].hot)]
    members = {row.ticket_id: row for row in await store.hot_event.join(tx, belong, by=BY)}
    read: list[Classified] = []
    for event in fresh:
        verdict, matrix, model_version = found[event.key].parts
        mark, by = found[event.key].mark, found[event.key].by
        cell = found[event.key].cell
        repeat = chains.put(event.ticket_id, mark)
        waits, member = event.ticket_id not in members, members.get(event.ticket_id)
        if member and member.late and not verdict.sure:  # it is what the others are: nobody need be asked
            whole = await _matrix(tx.running, member.matrix_version)
            if member.situation in whole.by_code:
                verdict, matrix = fact.decided(event.ticket, whole, member.situation, None, None), whole
                model_version, by = None, DECIDER
        verdict = fact.repeated(matrix, verdict, repeat.repeats)
        read.append(
            Classified(event.ticket_id, event.ticket, verdict, matrix, model_version, mark, repeat, cell, by, waits)
        )
    new = await store.ticket.add(tx, read)
    opened: list[Opened] = []
    for each in read:
        if each.ticket_id not in new:
            continue
        verdict, matrix, member = each.verdict, each.matrix, members.get(each.ticket_id)
        if verdict.risk == "high":
            tx.publish(fact.risky(each.ticket_id, each.ticket, verdict, each.repeat.repeats))
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
                    hot_event=member.hot_event_id if member and member.late else None,
                )
            )
        else:
            request = fact.requested(each.ticket_id, matrix, verdict)
            tx.publish(request)
            limit = rule.review_limit(matrix.rules, each.ticket, verdict.urgency, verdict.risk)
            opened.append(Opened(each.ticket_id, tx.now + limit, request.candidates))
        if member:
            tx.publish(watch.joined(member))
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
            found[place] = found[place].named(verdict, matrix, label.by)
    return found


async def _masters(
    events: Sequence[TicketReceived], predictions: Sequence[Prediction], running: Running
) -> Sequence[Prediction]:
    """The predictions; masters of hot events are what their events are, and are compared with nothing."""
    ids = [event.ticket_id for event in events if event.ticket.hot_event]
    rows = await store.hot_event.several(running, ids) if ids else {}
    found = list(predictions)
    for place, event in enumerate(events):
        if event.ticket.hot_event:
            found[place] = found[place].apart()
        if row := rows.get(event.ticket_id):
            matrix = await _matrix(running, row.matrix_version)
            if row.situation in matrix.by_code:
                verdict = fact.decided(event.ticket, matrix, row.situation, None, None)
                found[place] = found[place].named(verdict, matrix, DECIDER)
    return found


async def _matrix(running: Running, version: str) -> Matrix:
    """That version; where it is gone, the one in force."""
    try:
        return await current(running).matrix(version)
    except Poison:
        return (await current(running).in_force()).matrix
