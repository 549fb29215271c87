"""Each check of the reconciliation stays silent over a run that balances, and speaks where one thing was doctored."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from demo import fact
from demo.fact import Facts, Said
from demo.reconciliation import CHECKS, reconcile
from tests.unit.demo.run_of_one_ticket import CLOCK, FIRST, HOOKS, REFERENCE, SECOND, START, TICKET, facts, said

Doctor = Callable[[Facts], Facts]

INBOUND = "the inbound topic holds exactly what was published"
ACCOUNTED = "every published record is a ticket, a repeat of one, or refused"
REFUSALS = "what was wrong is refused and answered once, and nothing else is"
ANNOUNCED = "every ticket in intake was announced once"
VERSIONS = "versions are gapless: every event that was drawn is on its topic, in order"
ONE_BODY = "no event stands on the topics with two contents"
CAUSES = "no effect lies before its cause"
CLASSIFIED = "every ticket was classified once; reviews were decided by a person"
ENDED = "every ticket is closed, and every service knows it"
ASSIGNED = "every executing department has its work order, announced once and over"
DELIVERED = "every work order reached its department under one webhook-id, or its inbox"
SETTLED = "every webhook is settled, and receivers and dispatch agree on what was taken"
DONE = "what departments did took effect, and nothing else did"
QUESTIONS = "questions and replies are the same in the table and on the flow"
RULINGS = "every return was ruled on"
ANSWERED = "every ticket was answered, in every round"
TOLD = "every answer, question and reply came to its agent's screen exactly once"
GAPLESS = "the numbers on every agent's stream are gapless"
REPORTED = "every notice was reported once"
CLOCKS = "every clock has stopped, and the topic says how"
AT_REST = "nothing is buried, parked, unsent or unread"


def put(run: Facts, field: str, rows: list[Any]) -> Facts:
    """The run with other rows."""
    changes: dict[str, Any] = {field: tuple(rows)}
    return replace(run, **changes)


def change(field: str, place: int, **values: Any) -> Doctor:
    """One row of a table says something else."""

    def doctor(run: Facts) -> Facts:
        rows = list(getattr(run, field))
        rows[place] = replace(rows[place], **values)
        return put(run, field, rows)

    return doctor


def drop(field: str, place: int) -> Doctor:
    """One row is gone."""

    def doctor(run: Facts) -> Facts:
        rows = list(getattr(run, field))
        del rows[place]
        return put(run, field, rows)

    return doctor


def add(field: str, *new: Any) -> Doctor:
    """There is a row that belongs to nothing."""
    return lambda run: put(run, field, [*getattr(run, field), *new])


def events(edit: Callable[[list[Said]], list[Said]]) -> Doctor:
    """What stands on the topics is another list."""
    return lambda run: replace(run, said=tuple(edit(list(run.said))))


def without(kind: str) -> Doctor:
    """No event of a type."""
    return events(lambda all_: [each for each in all_ if each.type != kind])


def twice(kind: str) -> Doctor:
    """Every event of a type stands there again as another event."""
    return events(
        lambda all_: [
            *all_,
            *(replace(each, id=UUID(int=each.id.int ^ 1), offset=99) for each in all_ if each.type == kind),
        ]
    )


def first(kind: str) -> Doctor:
    """The first event of a type lies before all others."""

    def edit(all_: list[Said]) -> list[Said]:
        found = next(each for each in all_ if each.type == kind)
        return [found, *(each for each in all_ if each is not found)]

    return events(edit)


def other_body(all_: list[Said]) -> list[Said]:
    return [*all_, replace(all_[0], data={**all_[0].data, "ticket": {"title": "别的"}})]


def late_cause(all_: list[Said]) -> list[Said]:
    late = "2026-11-22T23:00:00+00:00"
    return [
        replace(each, data={**each.data, "caused_at": late}) if each.type == "NotificationSent" else each
        for each in all_
    ]


STRANGER = UUID(int=77)
DOCTORED: list[tuple[str, str, Doctor]] = [
    (INBOUND, "a record that nobody published", lambda run: replace(run, inbound=run.inbound | {(3, 0)})),
    (INBOUND, "a record that is not on the topic", lambda run: replace(run, inbound=run.inbound - {(0, 2)})),
    (ACCOUNTED, "a lost ticket", drop("received", 0)),
    (ACCOUNTED, "a doubled ticket", add("received", fact.Received(STRANGER, REFERENCE, None, "x", START, "closed"))),
    (ACCOUNTED, "a ticket from nowhere", add("received", fact.Received(STRANGER, "x|1", None, "x", START, "closed"))),
    (REFUSALS, "a bad record taken in silence", lambda run: drop("refused", 0)(without("TicketRejected")(run))),
    (REFUSALS, "a refusal without an answer", without("TicketRejected")),
    (REFUSALS, "a refusal answered twice", twice("TicketRejected")),
    (REFUSALS, "a refused repeat", add("refused", fact.Refused(0, 2, REFERENCE))),
    (REFUSALS, "a refused record from nowhere", add("refused", fact.Refused(5, 5, "x"))),
    (ANNOUNCED, "a ticket that was not announced", without("TicketReceived")),
    (ANNOUNCED, "a ticket announced twice", twice("TicketReceived")),
    (ANNOUNCED, "an announced ticket that intake lacks", drop("received", 0)),
    (VERSIONS, "a lost event", without("WorkOrderContacted")),
    (VERSIONS, "an event that was never drawn", twice("TicketClosed")),
    (VERSIONS, "two events in the wrong order", first("TicketClosed")),
    (ONE_BODY, "an event with two contents", events(other_body)),
    (CAUSES, "an answer before its work order", first("WorkOrderAnswered")),
    (CAUSES, "a ticket classified before it was received", first("TicketClassified")),
    (CAUSES, "a reassignment without a ruling", without("ReturnRuled")),
    (CAUSES, "a clock that warned before it started", first("ClockWarned")),
    (CAUSES, "a reply before its question", first("QuestionAnswered")),
    (CAUSES, "a reopening of what was never answered", first("TicketReopened")),
    (CAUSES, "a notice older than its fact", events(late_cause)),
    (CLASSIFIED, "a ticket that was not classified", without("TicketClassified")),
    (CLASSIFIED, "a ticket classified twice", twice("TicketClassified")),
    (CLASSIFIED, "another decider in the table", change("judged", 0, decided_by="model")),
    (CLASSIFIED, "a review that no person decided", change("judged", 0, by_person=False)),
    (ENDED, "a ticket that classification never saw", drop("judged", 0)),
    (ENDED, "a ticket that waits for a reviewer", change("judged", 0, state="review", waiting=True)),
    (ENDED, "a ticket that dispatch never saw", drop("dispatched", 0)),
    (ENDED, "a ticket that is still open", change("dispatched", 0, state="open")),
    (ENDED, "a close that nobody was told of", without("TicketClosed")),
    (ENDED, "a ticket that intake holds for open", change("received", 0, stage="told")),
    (ENDED, "a ticket only dispatch has", add("dispatched", fact.Dispatched(STRANGER, "closed", 1, None, 0))),
    (ASSIGNED, "a department without its work order", change("orders", 0, department="c")),
    (ASSIGNED, "a work order too many", add("orders", fact.Order(STRANGER, TICKET, "c", "closed", None))),
    (ASSIGNED, "a work order announced twice", twice("WorkOrderAssigned")),
    (ASSIGNED, "a work order that is not over", change("orders", 1, state="accepted")),
    (ASSIGNED, "an announced work order that is nowhere", drop("orders", 1)),
    (DELIVERED, "a work order without a webhook", drop("deliveries", 0)),
    (DELIVERED, "another webhook-id at the receiver", change("hooks", 0, id=str(STRANGER))),
    (DELIVERED, "a webhook at the wrong department", change("hooks", 0, department="b")),
    (DELIVERED, "a delivery that never arrived", drop("hooks", 0)),
    (DELIVERED, "a delivery left to the inbox in silence", change("deliveries", 0, state="inbox")),
    (SETTLED, "a webhook on its way", change("deliveries", 2, state="waiting")),
    (SETTLED, "a delivered webhook that no receiver took", change("hooks", 4, status=500)),
    (SETTLED, "a webhook that dispatch never sent", drop("deliveries", 2)),
    (SETTLED, "a webhook dealt with twice", change("hooks", 3, duplicate=False)),
    (SETTLED, "a delivery announced twice", twice("WorkOrderDelivered")),
    (DONE, "a command whose effect is lost", without("EvidenceAdded")),
    (DONE, "an answer that no department gave", twice("WorkOrderAnswered")),
    (DONE, "an acceptance without a call", drop("calls", 2)),
    (QUESTIONS, "a question that was not announced", without("QuestionAsked")),
    (QUESTIONS, "a reply that the table lacks", change("questions", 0, answered=False)),
    (QUESTIONS, "a question that the table lacks", drop("questions", 0)),
    (RULINGS, "a return without a ruling", without("ReturnRuled")),
    (RULINGS, "a ruling that dispatch did not count", change("dispatched", 0, rulings=0)),
    (ANSWERED, "a ticket without an answer", without("TicketAnswered")),
    (ANSWERED, "a round too few", change("dispatched", 0, round=1)),
    (TOLD, "an answer in no inbox", drop("notices", 1)),
    (TOLD, "an answer in another agent's inbox", change("notices", 1, recipient="agent:A2")),
    (TOLD, "an answer on no screen", drop("seen", 1)),
    (TOLD, "an answer on the screen under two numbers", lambda run: add("seen", replace(run.seen[1], number=9))(run)),
    (GAPLESS, "a hole in a stream", drop("seen", 0)),
    (GAPLESS, "a hole in an inbox", change("notices", 2, number=7)),
    (GAPLESS, "one number with two notices", lambda run: add("seen", replace(run.seen[0], id=STRANGER))(run)),
    (GAPLESS, "an agent whose stream we never read", lambda run: replace(run, seen=(), followed=frozenset())),
    (REPORTED, "a notice that was not reported", without("NotificationSent")),
    (REPORTED, "a report of no notice", drop("notices", 0)),
    (CLOCKS, "a clock that still runs", change("clocks", 0, state="running")),
    (CLOCKS, "a clock that ended otherwise", change("clocks", 0, state="missed")),
    (CLOCKS, "a clock that was not announced", add("clocks", fact.Clock(STRANGER, TICKET, "accept", "met"))),
    (CLOCKS, "an announced clock that is nowhere", drop("clocks", 0)),
    (AT_REST, "a buried event", change("engines", 2, buried=1)),
    (AT_REST, "a parked event", change("engines", 2, parked=1)),
    (AT_REST, "an unsent event", change("engines", 2, unsent=1)),
    (AT_REST, "a halted service", change("engines", 2, halted=True)),
    (AT_REST, "a stopped partition", change("engines", 2, stopped=("zhida.tickets.v1/3",))),
    (AT_REST, "an unread record", change("engines", 2, behind={"zhida.tickets.v1/3": 2})),
]  # fmt: skip


def found(run: Facts) -> dict[str, int]:
    return {result.check.name: len(result.findings) for result in reconcile(run) if result.findings}


def with_evidence(run: Facts) -> Facts:
    """A department's further command and its effect."""
    call = fact.Call("b", "add_evidence", str(TICKET), str(SECOND), START, 200, "e")
    data = {"work_order_id": str(SECOND), "evidence_id": str(STRANGER), "kind": "photo", "uri": "urn:x"}
    engines = list(run.engines)
    version = engines[2].versions[str(TICKET)] + 1
    event = said("zhida.tickets.v1", 50, "EvidenceAdded", "dispatch", version=version, data=data)
    engines[2] = replace(engines[2], versions={str(TICKET): version})
    return replace(run, calls=(*run.calls, call), said=(*run.said, event), engines=tuple(engines))


def test_a_run_that_balances_has_no_findings() -> None:
    assert found(facts()) == {}
    assert found(with_evidence(facts())) == {}


@pytest.mark.parametrize(("name", "what", "doctor"), DOCTORED, ids=[f"{what}" for _, what, _ in DOCTORED])
def test_what_was_doctored_is_found(name: str, what: str, doctor: Doctor) -> None:
    assert name in found(doctor(with_evidence(facts()))), what


def test_every_check_is_tried_with_something_doctored() -> None:
    assert {check.name for check in CHECKS} == {name for name, _, _ in DOCTORED}


def test_an_event_that_was_sent_twice_is_one_event() -> None:
    run = facts()
    assert found(replace(run, said=(*run.said, *run.said))) == {}


def test_a_stream_that_repeats_itself_after_it_was_resumed_is_not_held_against_it() -> None:
    run = facts()
    assert found(replace(run, seen=(*run.seen, *run.seen))) == {}


def test_a_work_order_left_to_the_inbox_is_in_order_when_it_was_reported() -> None:
    data = {"work_order_id": str(SECOND), "department": {"code": "b", "name": "乙"}, "delivery_id": "x"}

    def failed(all_: list[Said]) -> list[Said]:
        return [
            replace(each, type="DeliveryFailed", data=data)
            if each.data.get("delivery_id") == str(HOOKS["second"])
            else each
            for each in all_
        ]

    run = facts()
    run = replace(run, hooks=tuple(hook for hook in run.hooks if hook.id != str(HOOKS["second"])))
    assert found(events(failed)(change("deliveries", 1, state="inbox")(run))) == {}


def test_findings_name_their_ticket() -> None:
    [result] = [each for each in reconcile(change("clocks", 0, state="running")(facts())) if each.findings]
    assert result.findings[0].ticket == str(TICKET)
    assert str(CLOCK) in result.findings[0].text
    [lost] = [each for each in reconcile(drop("hooks", 0)(facts())) if each.check.name == DELIVERED]
    assert [finding.ticket for finding in lost.findings] == [str(TICKET)]
    assert str(FIRST) in lost.findings[0].text
