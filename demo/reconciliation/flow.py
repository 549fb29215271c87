"""The topics: gapless versions, no event with two bodies, no effect before its cause, every ticket closed."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, TypeAlias

from demo.fact import Facts, Said
from demo.reconciliation.finding import Check, Finding

Token: TypeAlias = tuple[str, str]  # what has happened, to what


def gapless(facts: Facts) -> Iterator[Finding]:
    """What one service said about one key has the versions 1 to the last one drawn, in rising order on each topic."""
    versions: dict[tuple[str, str], list[int]] = {}
    last: dict[tuple[str, str, str], int] = {}
    for event in facts.events:
        versions.setdefault((event.source, event.key), []).append(event.version)
        place = event.topic, event.source, event.key
        if event.version <= last.get(place, 0):
            yield Finding(event.key, f"{event.source} said version {event.version} after {last[place]}")
        last[place] = event.version
    drawn = {
        (engine.service, key): count for engine in facts.engines for key, count in engine.versions.items() if count
    }
    for source, key in sorted(versions.keys() | drawn.keys()):
        found, count = sorted(versions.get((source, key), [])), drawn.get((source, key), 0)
        if found != list(range(1, count + 1)):
            missing = sorted(set(range(1, count + 1)) - set(found))
            text = f"{source} drew versions 1 to {count}; {len(found)} events are on the topics"
            yield Finding(key, f"{text}, missing {missing[:10]}" if missing else text)


def one_body(facts: Facts) -> Iterator[Finding]:
    """An event that stands twice says the same both times."""
    first: dict[object, Said] = {}
    for said in facts.said:
        known = first.setdefault(said.id, said)
        if (known.type, known.key, known.version, known.data) != (said.type, said.key, said.version, said.data):
            yield Finding(said.key, f"event {said.id} stands on the topics with two contents, as {said.type}")


def causes_first(facts: Facts) -> Iterator[Finding]:
    """On a topic no effect lies before its cause; a notice is not older than the fact it tells."""
    happened: set[Token] = set()
    for event in facts.events:
        needs, gives = _tokens(event)
        for need in needs:
            if not any(token in happened for token in need):
                wanted = " or ".join(name for name, _ in need)
                yield Finding(event.key, f"{event.type} lies before what caused it ({wanted})")
        happened.update(gives)
        if event.type == "NotificationSent" and datetime.fromisoformat(event.data["caused_at"]) > event.at:
            yield Finding(event.key, "a notice is older than the fact it tells")


def ended(facts: Facts) -> Iterator[Finding]:
    """Every ticket is closed, and all services know it: intake's stage, dispatch's state, no clock still running."""
    dispatched = {ticket.ticket_id: ticket for ticket in facts.dispatched}
    judged = {ticket.ticket_id: ticket for ticket in facts.judged}
    closed = {event.key for event in facts.of("TicketClosed")}
    for ticket in facts.received:
        name = str(ticket.ticket_id)
        verdict, order = judged.get(ticket.ticket_id), dispatched.get(ticket.ticket_id)
        if verdict is None:
            yield Finding(name, "classification does not know it")
        elif verdict.state != "classified" or verdict.waiting:
            yield Finding(name, "it still waits for a reviewer")
        if order is None:
            yield Finding(name, "dispatch does not know it")
        elif order.state != "closed":
            yield Finding(name, f"dispatch has it as {order.state}")
        if name not in closed:
            yield Finding(name, "TicketClosed is not on the flow")
        if ticket.stage != "closed":
            yield Finding(name, f"intake has it in stage {ticket.stage}")
    known = {ticket.ticket_id for ticket in facts.received}
    for stray in (dispatched.keys() | judged.keys()) - known:
        yield Finding(str(stray), "classification or dispatch has a ticket that intake does not hold")


def classified_once(facts: Facts) -> Iterator[Finding]:
    """Every ticket was classified once, by the matrix, the model or a person; a review ends with a person's word."""
    said: dict[str, list[Said]] = {}
    for event in facts.of("TicketClassified"):
        said.setdefault(event.key, []).append(event)
    reviews = {event.key for event in facts.of("ReviewRequested")}
    for ticket in facts.judged:
        events = said.get(str(ticket.ticket_id), [])
        if len(events) != 1:
            yield Finding(str(ticket.ticket_id), f"TicketClassified stands on the flow {len(events)} times")
        elif events[0].data["decided_by"] != ticket.decided_by:
            yield Finding(str(ticket.ticket_id), "the flow and classification's table name different deciders")
        if ticket.by_person != (str(ticket.ticket_id) in reviews):
            text = "a person decided without a review" if ticket.by_person else "a review ended without a person"
            yield Finding(str(ticket.ticket_id), text)


def _tokens(event: Said) -> tuple[list[tuple[Token, ...]], list[Token]]:
    """What must have happened before (one of each group), and what has happened now."""
    data = event.data
    ticket, order = event.key, str(data.get("work_order_id"))
    assigned: list[tuple[Token, ...]] = [(("WorkOrderAssigned", order),)]
    match event.type:
        case "TicketReceived":
            return [], [(event.type, ticket)]
        case "TicketAmended" | "ReviewRequested" | "TicketClassified":
            return [(("TicketReceived", ticket),)], [(event.type, ticket)]
        case "WorkOrderAssigned":
            return _assigned(data, ticket), [(event.type, order)]
        case "WorkOrderDelivered" | "DeliveryFailed" | "EvidenceAdded" | "WorkOrderCancelled":
            return assigned, []
        case "WorkOrderAccepted" | "WorkOrderReturned":
            return assigned, [(event.type, order)]
        case "WorkOrderContacted":
            return [(("WorkOrderAccepted", order),)], []
        case "WorkOrderAnswered":
            return [(("WorkOrderAccepted", order),)], [(event.type, order)]
        case "ReturnRuled":
            return [(("WorkOrderReturned", order),)], [(event.type, order)]
        case "QuestionAsked":
            return assigned, [(event.type, data["question_id"])]
        case "QuestionAnswered":
            return [(("QuestionAsked", data["question_id"]),)], []
        case "TicketAnswered":
            needs: list[tuple[Token, ...]] = [
                (("WorkOrderAnswered", each["work_order_id"]),) for each in data["answers"]
            ]
            return needs, [(event.type, ticket)]
        case "TicketClosed":
            return [(("TicketClassified", ticket),)], [(event.type, ticket)]
        case "TicketReopened":
            return [(("TicketAnswered", ticket), ("TicketClosed", ticket))], [(event.type, ticket)]
        case "ClocksStarted":
            return [], [("ClocksStarted", clock["clock_id"]) for clock in data["clocks"]]
        case "ClocksStopped":
            return [(("ClocksStarted", clock["clock_id"]),) for clock in data["clocks"]], []
        case "ClockWarned" | "ClockBreached" | "Escalated":
            return [(("ClocksStarted", data["clock"]["clock_id"]),)], []
    return [], []


def _assigned(data: Mapping[str, Any], ticket: str) -> list[tuple[Token, ...]]:
    before = data.get("reassigned_from")
    return [(("TicketClassified", ticket),), *([(("ReturnRuled", str(before)),)] if before else [])]


CHECKS = (
    Check("versions are gapless: every event that was drawn is on its topic, in order", gapless),
    Check("no event stands on the topics with two contents", one_body),
    Check("no effect lies before its cause", causes_first),
    Check("every ticket was classified once; reviews were decided by a person", classified_once),
    Check("every ticket is closed, and every service knows it", ended),
)
