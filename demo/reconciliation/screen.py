"""Agents' screens: every answer and question came to its agent exactly once, under numbers without a hole."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from demo.fact import Facts, Notice, Said, grouped
from demo.reconciliation.finding import Check, Finding

AGENT = "agent:"


def gapless(facts: Facts) -> Iterator[Finding]:
    """The numbers on an agent's stream run from 1 to the last in the inbox, each for one and the same notice."""
    inbox: dict[str, dict[int, Notice]] = defaultdict(dict)
    for notice in facts.notices:
        inbox[notice.recipient][notice.number] = notice
    for recipient, notices in inbox.items():
        if sorted(notices) != list(range(1, len(notices) + 1)):
            yield Finding(None, f"the numbers in the inbox of {recipient} have a hole or begin above 1")
    seen: dict[str, dict[int, str]] = defaultdict(dict)
    for each in facts.seen:
        known = seen[each.agent].setdefault(each.number, str(each.id))
        if known != str(each.id):
            yield Finding(str(each.ticket_id), f"number {each.number} of {each.agent} came with two different notices")
    for agent in sorted(facts.followed | {name.removeprefix(AGENT) for name in inbox if name.startswith(AGENT)}):
        wanted = {number: str(notice.id) for number, notice in inbox[AGENT + agent].items()}
        if seen[agent] != wanted:
            lost = sorted(wanted.keys() - seen[agent].keys())
            text = f"the stream of {agent} brought {len(seen[agent])} notices, the inbox holds {len(wanted)}"
            yield Finding(None, f"{text}; missing numbers {lost[:10]}" if lost else text)


def told(facts: Facts) -> Iterator[Finding]:
    """Each answer to a ticket, each question to an agent and each reply came to the agent concerned, exactly once."""
    told_of: Mapping[str, list[Notice]] = grouped(facts.notices, "fact")
    seen = Counter(each.id for each in facts.screens)
    channels = {str(ticket.ticket_id): ticket.channel for ticket in facts.received}
    for event in facts.events:
        if not _for_an_agent(event):
            continue
        desk = event.data["agent_id"] or f"desk.{channels.get(event.key)}"
        notices = [each for each in told_of.get(str(event.id), []) if each.recipient == AGENT + desk]
        if len(notices) != 1:
            yield Finding(event.key, f"{event.type} stands {len(notices)} times in the inbox of {desk}")
        elif seen[notices[0].id] != 1:
            yield Finding(event.key, f"{event.type} came {seen[notices[0].id]} times to the screen of {desk}")


def answered(facts: Facts) -> Iterator[Finding]:
    """Every ticket was answered, once more after each reopening."""
    answers = Counter(event.key for event in facts.of("TicketAnswered"))
    reopened = Counter(event.key for event in facts.of("TicketReopened"))
    for ticket in facts.dispatched:
        name = str(ticket.ticket_id)
        if answers[name] != reopened[name] + 1 or ticket.round != reopened[name] + 1:
            text = (
                f"{answers[name]} answers, {reopened[name]} reopenings on the flow; dispatch is in round {ticket.round}"
            )
            yield Finding(name, text)


def reported(facts: Facts) -> Iterator[Finding]:
    """Each notice in an inbox has one NotificationSent, and no NotificationSent speaks of another."""
    said = Counter(event.data["notification_id"] for event in facts.of("NotificationSent") if event.data["number"])
    for notice in facts.notices:
        if said.pop(str(notice.id), 0) != 1:
            yield Finding(
                str(notice.ticket_id), f"the notice {notice.kind} to {notice.recipient} was not reported once"
            )
    for name in said:
        yield Finding(None, f"NotificationSent speaks of {name}, which is in no inbox")


def _for_an_agent(event: Said) -> bool:
    match event.type:
        case "TicketAnswered":
            return True
        case "QuestionAsked":
            return bool(event.data["asked_by"] == "department")
        case "QuestionAnswered":
            return bool(event.data["asked_by"] == "agent")
    return False


CHECKS = (
    Check("every ticket was answered, in every round", answered),
    Check("every answer, question and reply came to its agent's screen exactly once", told),
    Check("the numbers on every agent's stream are gapless", gapless),
    Check("every notice was reported once", reported),
)
