"""Work orders: each department has its own, got it under one webhook-id, and what it did took effect as it was done."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Set
from typing import Any

from demo.fact import Call, Delivery, Facts, Hook
from demo.reconciliation.finding import Check, Finding

OVER = ("closed", "reassigned", "cancelled")
SETTLED = ("delivered", "inbox", "cancelled")
BRINGS = ("work_order.assigned", "work_order.reopened")  # webhooks that bring a work order


def assigned(facts: Facts) -> Iterator[Finding]:
    """Each executing department of a classified ticket has one work order, which was announced once and is over."""
    wanted: dict[str, Counter[str]] = {}
    for event in facts.of("TicketClassified"):
        wanted[event.key] = Counter(each["code"] for each in event.data["executing_departments"])
    held: dict[str, Counter[str]] = defaultdict(Counter)
    said = Counter(event.data["work_order_id"] for event in facts.of("WorkOrderAssigned"))
    for order in facts.orders:
        name = str(order.ticket_id)
        if order.reassigned_from is None:
            held[name][order.department] += 1
        if said[str(order.work_order_id)] != 1:
            text = f"work order {order.work_order_id} was announced {said[str(order.work_order_id)]} times"
            yield Finding(name, text)
        if order.state not in OVER:
            yield Finding(name, f"work order {order.work_order_id} of {order.department} is still {order.state}")
    for name in wanted.keys() | held.keys():
        if wanted.get(name) != held.get(name):
            there, should = sorted(held.get(name, ())), sorted(wanted.get(name, ()))
            yield Finding(name, f"the first work orders are those of {there}, the classification says {should}")
    known = {str(order.work_order_id) for order in facts.orders}
    for event in facts.of("WorkOrderAssigned"):
        if event.data["work_order_id"] not in known:
            yield Finding(event.key, f"work order {event.data['work_order_id']} is not in dispatch's table")


def delivered(facts: Facts) -> Iterator[Finding]:
    """Every work order reached its department under one webhook-id, or stands in its inbox and was reported."""
    hooks: dict[str, list[Hook]] = defaultdict(list)
    for hook in facts.hooks:
        if hook.type == "work_order.assigned" and hook.work_order_id:
            hooks[hook.work_order_id].append(hook)
    rows: dict[str, list[Delivery]] = defaultdict(list)
    for delivery in facts.deliveries:
        if delivery.type == "work_order.assigned":
            rows[str(delivery.work_order_id)].append(delivery)
    failed = {(event.key, event.data["department"]["code"]) for event in facts.of("DeliveryFailed")}
    for order in facts.orders:
        name, ticket = str(order.work_order_id), str(order.ticket_id)
        ids = {hook.id for hook in hooks[name]}
        if len(rows[name]) != 1:
            yield Finding(ticket, f"work order {name} has {len(rows[name])} webhooks in dispatch's table, not one")
            continue
        if ids - {str(rows[name][0].delivery_id)}:
            yield Finding(ticket, f"work order {name} came under other webhook-ids than dispatch's: {sorted(ids)}")
        if any(hook.department != order.department for hook in hooks[name]):
            yield Finding(ticket, f"work order {name} of {order.department} came to another department")
        match rows[name][0].state:
            case "delivered" if not any(hook.status < 300 for hook in hooks[name]):
                text = f"dispatch counts work order {name} as delivered; {order.department} never took it"
                yield Finding(ticket, text)
            case "inbox" if (ticket, order.department) not in failed:
                yield Finding(ticket, f"work order {name} was left to the inbox and nobody was told")


def settled(facts: Facts) -> Iterator[Finding]:
    """No webhook is still on its way; what a receiver took is a delivery of dispatch's, and the other way round."""
    taken: dict[str, list[Hook]] = defaultdict(list)
    for hook in facts.hooks:
        if hook.status < 300:
            taken[hook.id].append(hook)
    rows = {str(delivery.delivery_id): delivery for delivery in facts.deliveries}
    for name, delivery in rows.items():
        ticket = str(delivery.ticket_id)
        if delivery.state not in SETTLED:
            yield Finding(
                ticket, f"webhook {name} ({delivery.type}) to {delivery.department} is still {delivery.state}"
            )
        if delivery.state == "delivered" and name not in taken:
            yield Finding(ticket, f"webhook {name} ({delivery.type}) counts as delivered; its receiver never took it")
    for name, hooks in taken.items():
        if name not in rows:
            yield Finding(hooks[0].ticket_id, f"a receiver took webhook {name}, which dispatch does not know")
        elif sum(not hook.duplicate for hook in hooks) != 1:
            yield Finding(hooks[0].ticket_id, f"a receiver dealt with webhook {name} more than once, or never")
    said = Counter(event.data["delivery_id"] for event in facts.of("WorkOrderDelivered"))
    for name, count in said.items():
        if name not in rows or rows[name].state != "delivered" or rows[name].type not in BRINGS or count > 1:
            yield Finding(
                None, f"WorkOrderDelivered names webhook {name} {count} times; that is not what the table says"
            )


EFFECTS = {  # a department's command → the event it must cause
    "accept": "WorkOrderAccepted",
    "contacted": "WorkOrderContacted",
    "answer": "WorkOrderAnswered",
    "return": "WorkOrderReturned",
    "ask_agent": "QuestionAsked",
    "answer_question": "QuestionAnswered",
    "rule": "ReturnRuled",
    "add_evidence": "EvidenceAdded",
}


def done(facts: Facts) -> Iterator[Finding]:
    """What departments did by their own logs is on the flow, and nothing there was done by nobody."""
    calls: dict[tuple[str, str], list[Call]] = defaultdict(list)
    for call in facts.calls:
        if call.name in EFFECTS:
            calls[EFFECTS[call.name], str(call.work_order_id)].append(call)
    said: Counter[tuple[str, str]] = Counter()
    departments = {order.department for order in facts.orders}
    departments |= {event.data["lead_department"]["code"] for event in facts.of("TicketClassified")}
    tickets: dict[str, str] = {str(order.work_order_id): str(order.ticket_id) for order in facts.orders}
    for type_name in EFFECTS.values():
        for event in facts.of(type_name):
            if _by_department(type_name, event.data, departments):
                said[type_name, event.data["work_order_id"]] += 1
    for (type_name, order), made in calls.items():
        if any(call.status == 200 for call in made) and not said[type_name, order]:
            yield Finding(tickets.get(order), f"a department was told its command worked, and no {type_name} followed")
    for (type_name, order), count in said.items():
        possible = {call.key for call in calls.get((type_name, order), []) if call.status in (200, None)}
        if count > len(possible):
            text = f"{type_name} was said {count} times of work order {order}; departments did it {len(possible)} times"
            yield Finding(tickets.get(order), text)


def _by_department(type_name: str, data: Mapping[str, Any], departments: Set[str]) -> bool:
    """Whether a department caused it, not an agent or a supervisor."""
    match type_name:
        case "QuestionAsked":
            return bool(data["asked_by"] == "department")
        case "QuestionAnswered":
            return bool(data["asked_by"] == "agent")
        case "ReturnRuled":
            return data["by"] in departments
    return True


def questions(facts: Facts) -> Iterator[Finding]:
    """Every question and every reply stands both in dispatch's table and on the flow, once."""
    asked = Counter(event.data["question_id"] for event in facts.of("QuestionAsked"))
    answered = Counter(event.data["question_id"] for event in facts.of("QuestionAnswered"))
    for question in facts.questions:
        name = str(question.question_id)
        if asked.pop(name, 0) != 1:
            yield Finding(str(question.ticket_id), f"question {name} was not announced once")
        if answered.pop(name, 0) != int(question.answered):
            yield Finding(str(question.ticket_id), f"the reply to question {name} was not announced once")
    for name in [*asked, *answered]:
        yield Finding(None, f"question {name} is on the flow, but not in dispatch's table")


def rulings(facts: Facts) -> Iterator[Finding]:
    """Every return was ruled on: as many rulings as returns, and as many as dispatch counts on the ticket."""
    returned = Counter(event.key for event in facts.of("WorkOrderReturned"))
    ruled = Counter(event.key for event in facts.of("ReturnRuled"))
    for ticket in facts.dispatched:
        name = str(ticket.ticket_id)
        if not returned[name] == ruled[name] == ticket.rulings:
            text = f"{returned[name]} returns, {ruled[name]} rulings on the flow, {ticket.rulings} in dispatch's table"
            yield Finding(name, text)


CHECKS = (
    Check("every executing department has its work order, announced once and over", assigned),
    Check("every work order reached its department under one webhook-id, or its inbox", delivered),
    Check("every webhook is settled, and receivers and dispatch agree on what was taken", settled),
    Check("what departments did took effect, and nothing else did", done),
    Check("questions and replies are the same in the table and on the flow", questions),
    Check("every return was ruled on", rulings),
)
