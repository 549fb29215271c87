"""What the run is judged by: counts, the time from ticket to webhook and from answer to screen, hand-overs, clocks."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from demo.fact import Facts

LINEAR_HOPS = 4  # agent → expert → department → expert → agent, and once more for every question and every rework


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


def measure(facts: Facts) -> Measures:
    """The figures of a run."""
    rulings = Counter(event.data["decision"] for event in facts.of("ReturnRuled"))
    outcomes = Counter(clock["outcome"] for event in facts.of("ClocksStopped") for clock in event.data["clocks"])
    deciders = Counter(
        ticket.decided_by if ticket.decided_by in ("model", "matrix") else "person"
        for ticket in facts.judged
        if ticket.state == "classified"
    )
    refused = {(row.partition, row.offset) for row in facts.refused}
    taken = sum((sent.partition, sent.offset) not in refused for sent in facts.sent)
    left = {(event.key, event.data["department"]["code"]) for event in facts.of("DeliveryFailed")}
    return Measures(
        published=Counter(sent.kind for sent in facts.sent),
        refused=len(facts.refused),
        received=len(facts.received),
        repeats=taken - len(facts.received),
        deciders=deciders,
        reviews=len(facts.of("ReviewRequested")),
        orders=len(facts.orders),
        delivered=len({event.data["work_order_id"] for event in facts.of("WorkOrderDelivered")}),
        inbox=sum((str(order.ticket_id), order.department) in left for order in facts.orders),
        copies=len(facts.hooks),
        failures=sum(hook.status >= 300 for hook in facts.hooks),
        returned=len(facts.of("WorkOrderReturned")),
        upheld=rulings["uphold"],
        questions=len(facts.of("QuestionAsked")),
        replies=len(facts.of("QuestionAnswered")),
        order_answers=len(facts.of("WorkOrderAnswered")),
        ticket_answers=len(facts.of("TicketAnswered")),
        reopened=len(facts.of("TicketReopened")),
        screens=len({seen.ticket_id for seen in facts.screens if seen.kind == "ticket_answered"}),
        closed=len({event.key for event in facts.of("TicketClosed")}),
        to_webhook=spread(to_webhook(facts)),
        to_screen=spread(to_screen(facts)),
        hops=hops(facts),
        clocks={
            "started": sum(len(event.data["clocks"]) for event in facts.of("ClocksStarted")),
            "warned": len(facts.of("ClockWarned")),
            "breached": len(facts.of("ClockBreached")),
            **outcomes,
        },
        events=len(facts.events),
        redelivered=len(facts.said) - len(facts.events),
    )


def spread(seconds: Sequence[float]) -> Spread | None:
    """Nearest-rank percentiles; None of nothing."""
    if not seconds:
        return None
    rising = sorted(seconds)
    ranks = [rising[max(math.ceil(share * len(rising)), 1) - 1] for share in (0.5, 0.99)]
    return Spread(len(rising), ranks[0], ranks[1], rising[-1])


def to_webhook(facts: Facts) -> list[float]:
    """Seconds from handing a ticket to Kafka to its first webhook at a receiver, by the receivers' logs.

    Without tickets that waited for a person.
    """
    reviewed = {event.key for event in facts.of("ReviewRequested")}
    published: dict[str, datetime] = {}
    for sent in facts.sent:
        if sent.kind == "ticket":
            published.setdefault(sent.reference, sent.at)
    arrived: dict[str, datetime] = {}
    for hook in facts.hooks:
        if hook.type == "work_order.assigned" and hook.ticket_id:
            arrived[hook.ticket_id] = min(hook.at, arrived.get(hook.ticket_id, hook.at))
    return [
        (arrived[name] - published[ticket.reference]).total_seconds()
        for ticket in facts.received
        if (name := str(ticket.ticket_id)) in arrived and name not in reviewed and ticket.reference in published
    ]


def to_screen(facts: Facts) -> list[float]:
    """Seconds from the last department's answer that a ticket waited for, as it was sent, to the agent's screen."""
    answers: dict[str, list[datetime]] = defaultdict(list)
    for call in facts.calls:
        if call.name == "answer" and call.status == 200 and call.work_order_id:
            answers[call.work_order_id].append(call.at)
    notices = {notice.fact: notice.id for notice in facts.notices}
    seen = {each.id: each.at for each in facts.screens}
    found = []
    for event in facts.of("TicketAnswered"):
        at = seen.get(notices.get(str(event.id), event.id))
        sent = [
            at_ for each in event.data["answers"] for at_ in answers[each["work_order_id"]] if at and at_ <= event.at
        ]
        if at and sent:
            found.append((at - max(sent)).total_seconds())
    return found


def hops(facts: Facts) -> Hops:
    """Hand-overs as the measures of each ticket's last answer count them, against the linear flow.

    There each question and each rework walks the whole line again, and a return costs the same two hand-overs as here.
    """
    last = {event.key: event for event in facts.of("TicketAnswered")}
    rounds = Counter(event.key for event in facts.of("TicketReopened"))
    returns = Counter(event.key for event in facts.of("ReturnRuled"))
    questions: Counter[str] = Counter()
    for event in facts.of("QuestionAsked"):
        if event.key in last and event.at <= last[event.key].at:
            questions[event.key] += 1
    ours = sum(event.data["measures"]["hops"] for event in last.values())
    linear = sum(LINEAR_HOPS * (1 + rounds[key] + questions[key]) + 2 * returns[key] for key in last)
    return Hops(ours, linear, len(last))
