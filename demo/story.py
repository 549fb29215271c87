"""One ticket's whole way as a timeline: when, who, what happened."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from demo.fact import Facts, Said

MOST_TEXT = 60  # characters of what somebody said
EVENTFUL: Mapping[str, int] = {
    "ReturnRuled": 5,
    "QuestionAnswered": 4,
    "TicketReopened": 3,
    "ReviewRequested": 2,
    "ClockWarned": 1,
}


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened."""

    at: datetime
    who: str
    what: str


def interesting(facts: Facts) -> str | None:
    """The ticket with the most kinds of turns in its way; its id in text."""
    tickets = {str(ticket.ticket_id) for ticket in facts.received}
    turns: dict[str, set[str]] = {}
    for event in facts.events:
        if event.type in EVENTFUL and event.key in tickets:
            turns.setdefault(event.key, set()).add(event.type)
    scores = Counter({key: sum(EVENTFUL[kind] for kind in kinds) for key, kinds in turns.items()})
    return scores.most_common(1)[0][0] if scores else min(tickets, default=None)


def story(facts: Facts, ticket: str) -> list[Line]:
    """All that is known of a ticket, from every source, by time."""
    events = [event for event in facts.by_key.get(ticket, []) if event.type != "NotificationSent"]  # others tell it
    lines = [Line(event.at, event.source, _told(event)) for event in events]
    references = {row.reference for row in facts.received if str(row.ticket_id) == ticket}
    for sent in facts.sent:
        if sent.reference in references:
            place = f"{sent.partition}:{sent.offset}"
            lines.append(Line(sent.at, "platform", f"published as {sent.reference} on the inbound topic ({place})"))
    for hook in facts.hooks:
        if hook.ticket_id == ticket:
            again = ", a repeat" if hook.duplicate else ""
            lines.append(Line(hook.at, hook.department, f"webhook {hook.type}, answered {hook.status}{again}"))
    for seen in facts.screens:
        if str(seen.ticket_id) == ticket:
            lines.append(Line(seen.at, f"agent {seen.agent}", f"sees {_plain(seen.kind)} (number {seen.number})"))
    return sorted(lines, key=lambda line: line.at)


def _told(event: Said) -> str:
    """An event in words."""
    data = event.data
    match event.type:
        case "TicketReceived":
            return f"received: {_short(data['ticket']['title'])}"
        case "TicketClassified":
            executing = "、".join(each["name"] for each in data["executing_departments"])
            sure = f"{data['decided_by']}, {data['probability']:.0%}"
            lead = data["lead_department"]["name"]
            return f"classified as {data['situation']['name']} ({sure}); lead {lead} → {executing}"
        case "ReviewRequested":
            return f"not sure enough: a person decides between {_candidates(data)}"
        case "WorkOrderAssigned":
            moved = ", after a return" if data.get("reassigned_from") else ""
            return f"work order to {data['department']['name']}{moved}"
        case "WorkOrderDelivered":
            return f"webhook arrived at {data['department']} after {data['attempts']} attempt(s)"
        case "DeliveryFailed":
            return f"webhook to {data['department']['name']} not in time ({data['reason']}): left to its list"
        case "WorkOrderAccepted":
            return f"{data['department']} takes it on"
        case "WorkOrderContacted":
            return f"{data['department']} has spoken with the customer"
        case "WorkOrderReturned":
            return f"{data['department']['name']} returns it: {_short(data['reason'])}; {data['ruled_by']} rules"
        case "ReturnRuled":
            to = f", to {data['reassigned_to']['name']}" if data.get("reassigned_to") else ""
            return f"{data['by']} rules: {data['decision']}{to}"
        case "QuestionAsked":
            return f"{_asker(data)} asks: {_short(data['text'])}"
        case "QuestionAnswered":
            return f"reply to {_asker(data)}: {_short(data['text'])}"
        case "WorkOrderAnswered":
            return f"{data['department']['name']} answers: {_short(data['text'])}"
        case "TicketAnswered":
            return f"answered, straight to the agent: {data['measures']['hops']} hand-overs"
        case "TicketClosed":
            return f"closed by {data['by']}" + _satisfied(data["satisfied"])
        case "TicketReopened":
            return f"reopened: {_short(data['reason'])}"
        case "ClocksStarted":
            return "clocks start: " + ", ".join(f"{each['kind']} {each['limit_seconds']} s" for each in data["clocks"])
        case "ClocksStopped":
            return "clocks stop: " + ", ".join(f"{each['kind']} {each['outcome']}" for each in data["clocks"])
        case "ClockWarned":
            return f"{_plain(data['clock']['kind'])} clock at {data['percent']} %"
        case "ClockBreached":
            return f"{_plain(data['clock']['kind'])} clock has run out"
        case "Escalated":
            return f"brought before {data['level']} {data['to']} ({data['percent']} %)"
        case "EvidenceAdded":
            return f"evidence added ({data['kind']})"
    return event.type


def _asker(data: Mapping[str, Any]) -> str:
    return "the agent" if data["asked_by"] == "agent" else str(data["department"]["name"])


def _candidates(data: Mapping[str, Any]) -> str:
    return "、".join(f"{each['situation']['name']} {each['probability']:.0%}" for each in data["candidates"][:3])


def _satisfied(satisfied: bool | None) -> str:
    match satisfied:
        case None:
            return ""
        case True:
            return ", customer satisfied"
        case False:
            return ", customer not satisfied"


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MOST_TEXT else f"{line[:MOST_TEXT]}…"
