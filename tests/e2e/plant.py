"""What is planted, and the check that must name it."""

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

from libs.shared.events import FLOW
from tests.e2e.field import Field

Wrong = Callable[[Field], Awaitable[UUID | None]]  # gives the ticket it was done to


def sql(statement: str, where: str = "1") -> Wrong:
    """A statement with a ticket's id as $1."""

    async def wrong(field: Field) -> UUID:
        ticket = field.ticket(where)
        await field.run(statement, ticket)
        return ticket

    return wrong


def everywhere(statement: str) -> Wrong:
    """A statement that is about no ticket."""

    async def wrong(field: Field) -> None:
        await field.run(statement)

    return wrong


def has(kind: str) -> str:
    return f"EXISTS (SELECT 1 FROM said s WHERE s.type = :{kind} AND s.ticket = t.ticket)"


async def dead_letter(field: Field) -> UUID:
    """A service passed over an event: its inbox never took it."""
    ticket = field.ticket()
    find = "SELECT id FROM said WHERE type = :TicketClassified AND ticket = :t"
    await field.run("DELETE FROM dispatch.inbox WHERE id = $1", UUID(bytes=field.book.one(find, t=ticket.bytes)))
    return ticket


async def lost(field: Field) -> UUID:
    ticket = field.ticket()
    await field.run("DELETE FROM intake.ticket WHERE ticket_id = $1", ticket)
    return ticket


async def answered_otherwise(field: Field) -> UUID:
    """Its caller was told another ticket's id; the story is told of that one."""
    ticket, other = field.ticket(), uuid4()
    offer = field.offers(ticket)[0]["id"]
    field.files["ledger"].append({"what": "answered", "id": offer, "status": 202, "ticket_id": str(other)})
    return other


async def refused_and_taken(field: Field) -> UUID:
    ticket = field.ticket("(SELECT count(*) FROM offer o WHERE o.reference = t.reference) = 1")
    for line in field.offers(ticket):
        line.pop("partition", None)
        if line["what"] == "published":
            line |= {"what": "answered", "status": 422, "ticket_id": None}
        else:
            line["expect"] = "refused"
    return ticket


async def offered_by_nobody(field: Field) -> UUID:
    ticket = field.ticket()
    for line in field.offers(ticket):
        field.files["ledger"].remove(line)
    return ticket


async def taken_though_bad(field: Field) -> None:
    """A record that could not be a ticket is in nobody's book of refusals."""
    await field.run("DELETE FROM intake.rejected WHERE reference = '12345|BAD-3'")


async def two_orders(field: Field) -> UUID:
    ticket = field.ticket("(SELECT count(*) FROM work_order o WHERE o.ticket = t.ticket) = 1")
    columns = "ticket_id, department, department_name, state, created_at"
    await field.run(
        f"INSERT INTO dispatch.work_order (work_order_id, {columns})"
        f" SELECT gen_random_uuid(), {columns} FROM dispatch.work_order WHERE ticket_id = $1",
        ticket,
    )
    return ticket


async def no_receipt(field: Field) -> UUID:
    """A department's log does not know of a webhook that dispatch counts as delivered."""
    ticket = field.ticket("EXISTS (SELECT 1 FROM delivery d WHERE d.ticket = t.ticket AND d.state = 'delivered')")
    field.drop("receipts", ticket_id=str(ticket), event="webhook")
    return ticket


async def worked_twice(field: Field) -> UUID:
    ticket = field.ticket()
    taken = {"ticket_id": str(ticket), "event": "webhook", "status": 200, "duplicate": False}
    first = next(each for each in field.files["receipts"] if taken.items() <= each.items())
    field.files["receipts"].append(dict(first))
    return ticket


async def undone(field: Field) -> UUID:
    """Somebody answered who, by the departments' logs, never did."""
    ticket = field.ticket()
    field.drop("receipts", ticket_id=str(ticket), call="answer")
    return ticket


async def not_shown(field: Field) -> UUID:
    ticket = field.ticket()
    field.drop("screens", ticket_id=str(ticket), kind="ticket_answered")
    return ticket


async def said_twice(field: Field) -> UUID:
    ticket = field.ticket()
    await field.say(ticket, "TicketReceived")
    return ticket


async def two_bodies(field: Field) -> UUID:
    ticket = field.ticket("NOT " + has("TicketReopened"))
    await field.say(ticket, "TicketClosed", drawn=False, satisfied=None, by="somebody else")
    return ticket


async def out_of_order(field: Field) -> UUID:
    ticket = field.ticket()
    await field.say(ticket, "WorkOrderContacted", ahead=1)
    await field.say(ticket, "WorkOrderContacted", ahead=-1)
    return ticket


async def without_cause(field: Field) -> UUID:
    ticket = field.ticket()
    await field.say(ticket, "WorkOrderAccepted", work_order_id=str(uuid4()))
    return ticket


async def fired_early(field: Field) -> UUID:
    ticket = field.ticket()
    await field.warn(ticket, 0.49)
    return ticket


async def fired_twice(field: Field) -> UUID:
    ticket = field.ticket()
    await field.warn(ticket, 0.5)
    await field.warn(ticket, 0.5)
    return ticket


async def garbage(field: Field) -> None:
    await field.send(FLOW, 0, "x", b"{")


BURY = """INSERT INTO sla_timer.dead (topic, partition, "offset", key, type, headers, error)
    VALUES ('zhida.tickets.v1', 0, 0, CAST($1 AS uuid)::text, 'x', '{}', 'planted')"""
WAITING = """INSERT INTO notification.outbox (event_id, topic, key, type, version, occurred_at, traceparent, body)
    VALUES (gen_random_uuid(), 'x', 'x', 'x', 1, now(), '', '')"""
DELIVERY_IDS = "SELECT delivery_id AS id FROM dispatch.delivery WHERE ticket_id = $1"
DELIVERY = "ticket_id = $1 AND type = 'work_order.assigned'"
PLANTED: list[tuple[str, str, Wrong]] = [
    ("a lost ticket", "what was accepted is exactly one ticket", lost),
    ("another ticket's id in the answer", "every answer names the ticket that stands", answered_otherwise),
    ("a ticket out of a refused offer", "what was not accepted is no ticket", refused_and_taken),
    ("a reference that is gone", "every reference leads to its ticket",
     sql("DELETE FROM intake.reference WHERE ticket_id = $1")),
    ("a ticket from nowhere", "no ticket stands in intake that nobody offered", offered_by_nobody),
    ("a published record that is nowhere", "the inbound topic holds what was published", offered_by_nobody),
    ("a bad record that was taken", "what cannot be a ticket is refused", taken_though_bad),
    ("an answered refusal that is not on record", "every refused record is answered once", taken_though_bad),
    ("a ticket announced twice", "every ticket in intake is announced once", said_twice),
    ("a version that was drawn and never said", "versions are gapless",
     sql("UPDATE dispatch.stream SET version = version + 1 WHERE key = CAST($1 AS uuid)::text")),
    ("two events in the wrong order", "what one service says of a ticket lies on its topic", out_of_order),
    ("one version with two contents", "no event stands on the topics with two contents", two_bodies),
    ("a record that is no event", "every record on the topics is an event", garbage),
    ("an acceptance of no work order", "no effect lies before its cause", without_cause),
    ("a classification without effect", "every ticket is classified, with one effect",
     sql("DELETE FROM dispatch.ticket WHERE ticket_id = $1")),
    ("a classification that took effect twice", "every ticket is classified, with one effect",
     sql("INSERT INTO dispatch.history (ticket_id, at, what, by) VALUES ($1, now(), 'classified_again', 'model')")),
    ("another decider", "every ticket is classified once",
     sql("UPDATE classification.ticket SET decided_by = 'nobody' WHERE id = $1")),
    ("a part of what was not split", "a ticket that was split became its parts",
     sql("UPDATE intake.ticket SET split_from = ticket_id WHERE ticket_id = $1")),
    ("a stage that stood still", "every ticket is closed",
     sql("UPDATE intake.ticket_stage SET stage = 'answered' WHERE ticket_id = $1")),
    ("a work order too many", "every executing department has one work order", two_orders),
    ("a ruling that nobody gave", "every return is ruled on",
     sql("UPDATE dispatch.ticket SET rulings = rulings + 1 WHERE ticket_id = $1")),
    ("a delivered work order without a receipt", "every work order came to its department", no_receipt),
    ("a webhook dealt with twice", "every webhook is settled", worked_twice),
    ("a webhook still on its way", "every webhook is settled",
     sql(f"UPDATE dispatch.delivery SET state = 'pending' WHERE {DELIVERY}")),
    ("attempts that are not on record", "every delivered webhook has its attempts on record",
     sql(f"DELETE FROM dispatch.attempt USING ({DELIVERY_IDS}) AS d WHERE delivery_id = d.id")),
    ("an answer that no department gave", "what departments did took effect", undone),
    ("a question that is in no table", "questions and replies are the same",
     sql("DELETE FROM dispatch.question WHERE ticket_id = $1", has("QuestionAsked"))),
    ("a merged ticket without a master", "each merged ticket has a known master",
     sql("UPDATE intake.ticket_stage SET stage = 'merged' WHERE ticket_id = $1")),
    ("a master of no hot event", "every folded hot event has one master",
     sql("UPDATE intake.ticket SET hot_event = ticket_id WHERE ticket_id = $1")),
    ("a round too many", "every ticket is answered, in every round",
     sql("UPDATE dispatch.ticket SET round = round + 1 WHERE ticket_id = $1")),
    ("an answer on no screen", "every answer, question, reply and merging stands once", not_shown),
    ("a number that never came", "the numbers on every agent's stream are gapless", not_shown),
    ("a notice of another ticket", "every notice is reported once",
     sql("UPDATE notification.notice SET id = gen_random_uuid() WHERE ticket_id = $1 AND kind = 'ticket_answered'")),
    ("a clock that ended otherwise", "every clock is announced once and stops once",
     sql("UPDATE sla_timer.clock SET state = 'missed' WHERE ticket_id = $1 AND state <> 'missed'")),
    ("a timer that fired early", "no clock passes a point early", fired_early),
    ("a timer that fired twice", "every armed timer fires once", fired_twice),
    ("a clock without a timer", "every running clock has one timer",
     sql("UPDATE sla_timer.clock SET state = 'running', passed = 0, generation = 99 WHERE ticket_id = $1")),
    ("an event that was passed over", "what a service heard is in its inbox", dead_letter),
    ("an event from nowhere", "a service has handled nothing that stands on no topic",
     everywhere("INSERT INTO intake.inbox VALUES (gen_random_uuid())")),
    ("a buried event", "nothing is buried or parked", sql(BURY)),
    ("a halted service", "no service has stopped itself", everywhere("INSERT INTO intake.halt (reason) VALUES ('x')")),
    ("unread records", "nothing is left unread", fired_twice),
    ("an unsent event", "nothing is left unsent", everywhere(WAITING)),
]  # fmt: skip
