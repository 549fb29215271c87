"""One ticket's whole way as a timeline: when, who, what happened, by every source that knows of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reconcile import topic
from reconcile.book import SERVICE_CODES, TYPE_NAMES, Book, instant, keyed

MOST_TEXT = 60  # characters of what somebody said
SERVICE_NAMES = {code: name for name, code in SERVICE_CODES.items()}

# NotificationSent is told by the screens.
SAID = """
    SELECT source, type, at, topic(topic), partition, place FROM said
    WHERE ticket = :ticket AND line = 0 AND type <> :NotificationSent"""
OFFERED = """
    SELECT o.at, o.reference, o.partition, o.place, o.status FROM offer o JOIN ticket t ON t.reference = o.reference
    WHERE t.ticket = :ticket"""
HOOKED = "SELECT at, department, type, status, duplicate FROM hook WHERE ticket = :ticket"
SHOWN = "SELECT min(at), agent, kind, number FROM shown WHERE ticket = :ticket GROUP BY agent, number"
CALLED = "SELECT at, department, name, status FROM call WHERE ticket = :ticket AND status IS NOT 200"
BURIED = "SELECT service(service), topic(topic), partition, place, error FROM grave WHERE key = :name"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened."""

    at: datetime
    who: str
    what: str


async def tell(book: Book, kafka: Mapping[str, Any], tickets: Sequence[str]) -> dict[str, list[Line]]:
    """The stories of these tickets (ids in text), by time; the events' words are fetched from Kafka again."""
    places = [tuple(row[3:6]) for ticket in tickets for row in book.rows(SAID, ticket=keyed(ticket))]
    bodies = await topic.bodies(kafka, places) if places and kafka else {}
    return {ticket: story(book, ticket, bodies) for ticket in tickets}


def story(book: Book, ticket: str, bodies: Mapping[tuple[str, int, int], Any]) -> list[Line]:
    """All that is known of a ticket. `bodies`: of its events, by their places on the topics."""
    key = keyed(ticket)
    lines = []
    for source, kind, at, *place in book.rows(SAID, ticket=key):
        name, body = TYPE_NAMES[kind], bodies.get((place[0], place[1], place[2]))
        told = _told(name, body) if body is not None else name
        lines.append(Line(instant(at), SERVICE_NAMES[source], told))
    for at, reference, partition, place_, status in book.rows(OFFERED, ticket=key):
        way = f"on the inbound topic ({partition}:{place_})" if place_ is not None else f"by HTTP, answered {status}"
        lines.append(Line(instant(at), "platform", f"offered as {reference} {way}"))
    for at, department, kind, status, duplicate in book.rows(HOOKED, ticket=key):
        again = ", a repeat" if duplicate else ""
        lines.append(Line(instant(at), department, f"webhook {kind}, answered {status}{again}"))
    for at, department, name, status in book.rows(CALLED, ticket=key):
        lines.append(Line(instant(at), department, f"calls {name}, answered {status or 'nothing'}"))
    for at, agent, kind, number in book.rows(SHOWN, ticket=key):
        lines.append(Line(instant(at), f"agent {agent}", f"sees {_plain(kind)} (number {number})"))
    lines.sort(key=lambda line: line.at)
    for service, name, partition, place_, error in book.rows(BURIED, name=ticket):
        what = "parked" if error is None else f"buried: {error}"
        at = lines[-1].at if lines else instant(0)
        lines.append(Line(at, service, f"has {name}/{partition}@{place_} {what}"))
    return lines


def _told(name: str, data: Mapping[str, Any]) -> str:
    """An event in words."""
    match name:
        case "TicketReceived":
            return f"received: {_short(data['ticket']['title'])}"
        case "TicketClassified":
            executing = "、".join(each["name"] for each in data["executing_departments"])
            sure = f"{data['decided_by']}, {data['probability']:.0%}"
            lead = data["lead_department"]["name"]
            return f"classified as {data['situation']['name']} ({sure}); lead {lead} → {executing}"
        case "TicketSplit":
            return f"split by {data['by']}: {'; '.join(_short(each['title']) for each in data['parts'])}"
        case "ReviewRequested":
            return f"not sure enough: a person decides between {_candidates(data)}"
        case "WorkOrderAssigned":
            moved = ", in the place of another one" if data.get("reassigned_from") else ""
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
            return f"reopened{' with its master' if data.get('master_id') else ''}: {_short(data['reason'])}"
        case "TicketMerged":
            event = "the hot event " if data["hot_event"] else ""
            return f"merged by {data['by']} into {event}{data['master_id']} ({_short(data['title'])})"
        case "TicketReleased":
            return f"released by {data['by']} from {data['master_id']}"
        case "MasterJoined":
            return f"works for {len(data['tickets'])} more, {data['members']} in all"
        case "HotEventFolded":
            return f"hot event folded by {data['by']}, {data['members']} members: {_short(data['title'])}"
        case "HotEventDissolved":
            return f"hot event dissolved by {data['by']}"
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
    return name


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
