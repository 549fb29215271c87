"""What was published against what intake holds: every record is a ticket, a repeat of one, or refused and answered."""

from collections import Counter
from collections.abc import Iterator

from demo.fact import Facts, Sent, grouped
from demo.reconciliation.finding import Check, Finding


def inbound(facts: Facts) -> Iterator[Finding]:
    """The inbound topic holds exactly what was published."""
    published = {(sent.partition, sent.offset) for sent in facts.sent}
    for partition, offset in sorted(facts.inbound - published):
        yield Finding(None, f"record {partition}:{offset} of the inbound topic was published by somebody else")
    for sent in facts.sent:
        if (sent.partition, sent.offset) not in facts.inbound:
            yield Finding(None, f"{_name(sent)} is not on the inbound topic")


def accounted(facts: Facts) -> Iterator[Finding]:
    """Of the records with one reference that were not refused, the first is the ticket and the rest repeats of it."""
    tickets = Counter(ticket.reference for ticket in facts.received)
    refused = {(row.partition, row.offset) for row in facts.refused}
    taken = [sent for sent in facts.sent if (sent.partition, sent.offset) not in refused]
    for reference, records in grouped(taken, "reference").items():
        if tickets[reference] != 1:
            yield Finding(
                None, f"{_name(records[0])} was not refused, and intake holds {tickets[reference]} such tickets"
            )
    published = {sent.reference for sent in taken}
    for ticket in facts.received:
        if ticket.reference not in published:
            yield Finding(str(ticket.ticket_id), f"intake holds {ticket.reference}, which nobody published")


def refusals(facts: Facts) -> Iterator[Finding]:
    """What was bad on purpose is refused, a repeat is not, and each refusal is answered once on the rejected topic."""
    refused = Counter((row.partition, row.offset) for row in facts.refused)
    answered = Counter((said.data["partition"], said.data["offset"]) for said in facts.of("TicketRejected"))
    records = {(sent.partition, sent.offset): sent for sent in facts.sent}
    for place, sent in records.items():
        if sent.kind in ("bad", "conflict") and not refused[place]:
            yield Finding(None, f"{_name(sent)} had to be refused and was not")
        if sent.kind == "repeat" and refused[place]:
            yield Finding(None, f"{_name(sent)} only repeats a ticket and was refused")
    for place in sorted(refused.keys() | answered.keys()):
        if place not in records:
            yield Finding(None, f"a record that nobody published was refused: {place[0]}:{place[1]}")
        elif (refused[place], answered[place]) != (1, 1):
            text = f"{_name(records[place])} was recorded as refused {refused[place]} times, answered {answered[place]}"
            yield Finding(None, text)


def announced(facts: Facts) -> Iterator[Finding]:
    """Each ticket in intake's table has one TicketReceived on the flow, and there is none for any other."""
    said = Counter(event.key for event in facts.of("TicketReceived"))
    held = {str(ticket.ticket_id) for ticket in facts.received}
    for ticket_id in held | said.keys():
        if ticket_id not in held:
            yield Finding(ticket_id, "TicketReceived is on the flow, but intake holds no such ticket")
        elif said[ticket_id] != 1:
            yield Finding(ticket_id, f"TicketReceived stands on the flow {said[ticket_id]} times")


def _name(sent: Sent) -> str:
    return f"record {sent.partition}:{sent.offset} ({sent.kind}, {sent.reference or 'no reference'})"


CHECKS = (
    Check("the inbound topic holds exactly what was published", inbound),
    Check("every published record is a ticket, a repeat of one, or refused", accounted),
    Check("what was wrong is refused and answered once, and nothing else is", refusals),
    Check("every ticket in intake was announced once", announced),
)
