"""What the run is judged by: counts, the time from ticket to webhook and from answer to screen, hand-overs, clocks."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reconcile.book import Book

LINEAR_HOPS = 4  # agent → expert → department → expert → agent, and once more for every question and every rework

DECIDERS = """
    SELECT CASE WHEN decided_by IN ('model', 'matrix') THEN decided_by ELSE 'person' END AS by, count(*) FROM judged
    WHERE state = 'classified' GROUP BY by"""
LEFT = """
    SELECT count(*) FROM work_order o WHERE EXISTS (SELECT 1 FROM said s
        WHERE s.type = :DeliveryFailed AND s.ticket = o.ticket AND s.detail = o.department)"""

# Seconds from handing a ticket to Kafka to its first webhook at a receiver, by the receivers' logs; without tickets
# that waited for a person.
TO_WEBHOOK = """
    SELECT (min(h.at) - min(o.at)) / 1e6 FROM ticket t JOIN offer o ON o.reference = t.reference
    JOIN hook h ON h.ticket = t.ticket AND h.type = 'work_order.assigned'
    WHERE NOT EXISTS (SELECT 1 FROM said s WHERE s.type = :ReviewRequested AND s.ticket = t.ticket) GROUP BY t.ticket"""

# Seconds from the last department's answer that a ticket waited for, as it was sent, to the agent's screen.
TO_SCREEN = """
    SELECT (seen - sent) / 1e6 FROM (
        SELECT s.at, (SELECT min(w.at) FROM notice n JOIN shown w ON w.id = n.id WHERE n.fact = s.id) AS seen,
            max(c.at) AS sent
        FROM said s JOIN call c ON c.work_order = s.subject AND c.name = 'answer' AND c.status = 200 AND c.at <= s.at
        WHERE s.type = :TicketAnswered GROUP BY s.ticket, s.version)
    WHERE seen IS NOT NULL ORDER BY at"""

HOPS = """
    WITH last AS (SELECT ticket, max(version), more AS hops, at FROM said
        WHERE type = :TicketAnswered AND line = 0 GROUP BY ticket)
    SELECT coalesce(sum(hops), 0), coalesce(sum(
        2 * (SELECT count(*) FROM said s WHERE s.type = :ReturnRuled AND s.ticket = l.ticket)
        + :linear * (1 + (SELECT count(*) FROM said s WHERE s.type = :TicketReopened AND s.ticket = l.ticket)
            + (SELECT count(*) FROM said s WHERE s.type = :QuestionAsked AND s.ticket = l.ticket
                AND s.at <= l.at))), 0), count(*) FROM last l"""


@dataclass(frozen=True, slots=True)
class Spread:
    """How long something took, over many tickets. Seconds."""

    count: int
    p50: float
    p99: float
    most: float


@dataclass(frozen=True, slots=True)
class Hops:
    """Hand-overs over all answered tickets, and those the linear flow would have needed for the same."""

    ours: int
    linear: int
    tickets: int


@dataclass(frozen=True, slots=True)
class Measures:
    """Everything the table shows."""

    published: Mapping[str, int]  # records by kind
    refused: int
    received: int
    repeats: int
    deciders: Mapping[str, int]  # model, matrix, person
    reviews: int
    orders: int
    delivered: int
    inbox: int  # work orders left to the department's list
    copies: int  # webhook attempts, of all kinds
    failures: int  # of them answered with something else than 2xx
    returned: int
    upheld: int
    questions: int
    replies: int
    order_answers: int
    ticket_answers: int
    reopened: int
    screens: int  # tickets whose answer was seen
    closed: int
    to_webhook: Spread | None
    to_screen: Spread | None
    hops: Hops
    clocks: Mapping[str, int]  # started, warned, breached, met, missed, cancelled
    events: int
    redelivered: int  # events that stand more than once on a topic


def measure(book: Book, published: Mapping[str, int]) -> Measures:
    """The figures of a run. `published`: records by kind."""

    def count(kind: str, where: str = "line = 0") -> int:
        return int(book.one(f"SELECT count(*) FROM said WHERE type = :{kind} AND {where}"))

    def rows(table: str, where: str = "1") -> int:
        return int(book.one(f"SELECT count(*) FROM {table} WHERE {where}"))

    received = rows("ticket")
    refused = rows("refused")
    outcomes = dict(book.rows("SELECT detail, count(*) FROM said WHERE type = :ClocksStopped GROUP BY detail"))
    return Measures(
        published=published,
        refused=refused,
        received=received,
        repeats=sum(published.values()) - refused - received,
        deciders=dict(book.rows(DECIDERS)),
        reviews=count("ReviewRequested"),
        orders=rows("work_order"),
        delivered=int(book.one("SELECT count(DISTINCT subject) FROM said WHERE type = :WorkOrderDelivered")),
        inbox=int(book.one(LEFT)),
        copies=rows("hook"),
        failures=rows("hook", "status >= 300"),
        returned=count("WorkOrderReturned"),
        upheld=count("ReturnRuled", "more = 'uphold'"),
        questions=count("QuestionAsked"),
        replies=count("QuestionAnswered"),
        order_answers=count("WorkOrderAnswered"),
        ticket_answers=count("TicketAnswered"),
        reopened=count("TicketReopened"),
        screens=int(book.one("SELECT count(DISTINCT ticket) FROM shown WHERE kind = 'ticket_answered'")),
        closed=int(book.one("SELECT count(DISTINCT ticket) FROM said WHERE type = :TicketClosed")),
        to_webhook=spread([row[0] for row in book.rows(TO_WEBHOOK)]),
        to_screen=spread([row[0] for row in book.rows(TO_SCREEN)]),
        hops=hops(book),
        clocks={
            "started": count("ClocksStarted", "1"),
            "warned": count("ClockWarned"),
            "breached": count("ClockBreached"),
            **outcomes,
        },
        events=rows("said", "line = 0"),
        redelivered=int(book.one("SELECT coalesce(sum(copies - 1), 0) FROM said WHERE line = 0")),
    )


def spread(seconds: Sequence[float]) -> Spread | None:
    """Nearest-rank percentiles; None of nothing."""
    if not seconds:
        return None
    rising = sorted(seconds)
    ranks = [rising[max(math.ceil(share * len(rising)), 1) - 1] for share in (0.5, 0.99)]
    return Spread(len(rising), ranks[0], ranks[1], rising[-1])


def hops(book: Book) -> Hops:
    """Hand-overs as the measures of each ticket's last answer count them, against the linear flow.

    There each question and each rework walks the whole line again, and a return costs the same two hand-overs as here.
    """
    ours, linear, tickets = next(book.rows(HOPS, linear=LINEAR_HOPS))
    return Hops(ours, linear, tickets)
