"""Each check stays silent over a run that balances, and speaks where exactly one thing was doctored."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from reconcile import Report, judge
from reconcile.book import SERVICE_CODES, TOPIC_CODES
from reconcile.check import CHECKS
from tests.unit.reconcile.run_of_one_ticket import (
    CLOCK,
    HOOKS,
    REFERENCE,
    SECOND,
    SOURCES,
    START,
    STRANGER,
    TICKET,
    Run,
    Said,
    a_run,
    said,
)

Doctor = Callable[[Run], None]
DISPATCH, FLOW = SERVICE_CODES["dispatch"], "zhida.tickets.v1"

ACCEPTED = "what was accepted is exactly one ticket"
ANSWERS = "every answer names the ticket that stands in intake"
UNACCEPTED = "what was not accepted is no ticket, or one where nobody knows; never two"
SIGNPOSTS = "every reference leads to its ticket"
STRAYS = "no ticket stands in intake that nobody offered, but parts of split ones and what Zhida makes itself"
PARTS = "a ticket that was split became its parts, each once, and nothing else"
INBOUND = "the inbound topic holds what was published, and nothing that nobody offered"
REFUSALS = "what cannot be a ticket is refused, and nothing else is"
REJECTED = "every refused record is answered once on the rejected topic"
ANNOUNCED = "every ticket in intake is announced once"
VERSIONS = "versions are gapless: every event that was drawn is on its topic, or in the outbox"
ORDER = "what one service says of a ticket lies on its topic in the order of versions"
ONE_BODY = "no event stands on the topics with two contents"
EVENTS = "every record on the topics is an event"
CAUSES = "no effect lies before its cause"
EFFECT = "every ticket is classified, with one effect, and dispatch has what is classified"
CLASSIFIED = "every ticket is classified once; what a person was asked, a person decides"
ENDED = "every ticket is closed, and every service knows it"
ASSIGNED = "every executing department has one work order, announced once; of a merged ticket its master's departments"
RULINGS = "every return is ruled on, and an upheld one leads to one new work order"
DELIVERED = "every work order came to its department under one webhook-id, or stands in its inbox and that was told"
SETTLED = "every webhook is settled, and receivers and dispatch agree on what was taken"
ATTEMPTS = "every delivered webhook has its attempts on record"
DONE = "what departments did took effect, and nothing else did"
QUESTIONS = "questions and replies are the same in the table and on the flow"
ANSWERED = "every ticket is answered, in every round, but masters of dissolved hot events"
TOLD = "every answer, question, reply and merging stands once in its agent's inbox and came once to the screen"
NUMBERS = "the numbers on every agent's stream are gapless"
REPORTED = "every notice is reported once, and none before the fact it tells"
CLOCKS = "every clock is announced once and stops once, as its table says"
EARLY = "no clock passes a point early"
FIRED = "every armed timer fires once or is cancelled: no point passes twice, none after its clock has stopped"
ARMED = "every running clock has one timer for its next point, and none is overdue"
HEARD = "what a service heard is in its inbox, or buried or parked: in = new + duplicate + dead + parked + skipped"
UNHEARD = "a service has handled nothing that stands on no topic"
BURIED = "nothing is buried or parked that was not planted"
STOPPED = "no service has stopped itself, and none of its partitions waits for a person"
UNREAD = "nothing is left unread"
UNSENT = "nothing is left unsent: out written = sent + pending"
MASTERS = (
    "each merged ticket has a known master that is no member itself, and what the master has it has: its answer, its"
    " reopening, no work and no clock of its own"
)
FOLDED = "every folded hot event has one master, and every such master its event; a dissolved one works for nobody"


def change(table: str, number: int, /, **values: Any) -> Doctor:
    """One row of a table says something else."""
    return lambda run: run.tables[table][number].update(values)


def drop(table: str, *places: int) -> Doctor:
    """Rows are gone."""

    def doctor(run: Run) -> None:
        run.tables[table] = [row for place, row in enumerate(run.tables[table]) if place not in places]

    return doctor


def copy(table: str, number: int, /, **values: Any) -> Doctor:
    """A row stands there once more, with other values."""
    return lambda run: run.tables[table].append({**run.tables[table][number], **values})


def add(table: str, /, **values: Any) -> Doctor:
    """There is a row that belongs to nothing."""
    return lambda run: run.tables[table].append(values)


def without(kind: str) -> Doctor:
    """No event of a type."""

    def doctor(run: Run) -> None:
        run.said = [each for each in run.said if each.type != kind]

    return doctor


def again(kind: str, **changes: Any) -> Doctor:
    """The first event of a type is said once more, under its service's next version."""

    def doctor(run: Run) -> None:
        first = next(each for each in run.said if each.type == kind)
        drawn = next(
            row
            for row in run.tables["drawn"]
            if row["source"] == SERVICE_CODES[first.source] and row["ticket"] in (first.key, UUID(first.key))
        )
        drawn["version"] += 1
        place = max(each.offset for each in run.said if each.topic == first.topic) + 1
        data = {**first.data, **changes}
        run.said.append(replace(first, id=STRANGER, version=drawn["version"], offset=place, data=data))

    return doctor


def other(kind: str, **values: Any) -> Doctor:
    """The first event of a type is otherwise."""

    def doctor(run: Run) -> None:
        place = next(number for number, each in enumerate(run.said) if each.type == kind)
        run.said[place] = replace(run.said[place], **values)

    return doctor


def all_of(*doctors: Doctor) -> Doctor:
    def doctor(run: Run) -> None:
        for each in doctors:
            each(run)

    return doctor


def unhandled(kind: str, service: str) -> Doctor:
    """A service has passed over an event."""

    def doctor(run: Run) -> None:
        ids = {each.id for each in run.said if each.type == "TicketClassified"}
        run.handled[service] = ids - {each.id for each in run.said if each.type == kind}

    return doctor


def point(second: int) -> Said:
    clock = {"clock_id": str(CLOCK), "kind": "resolve", "limit_seconds": 60, "started_at": START.isoformat()}
    return said("zhida.clocks.v1", second, "ClockWarned", "sla_timer", version=4, data={"clock": clock, "percent": 50})


WAITING = {"ticket": TICKET, "source": DISPATCH, "version": 19, "at": 0}
GRAVE = {"service": DISPATCH, "topic": TOPIC_CODES[FLOW], "partition": 0, "place": 2, "key": str(TICKET)}
DOCTORED: list[tuple[str, str, Doctor]] = [
    (ACCEPTED, "an accepted ticket that intake lost", drop("ticket", 0)),
    (ACCEPTED, "an accepted record held twice", copy("ticket", 0, ticket=STRANGER)),
    (ANSWERS, "an answer with another ticket", change("offer", 0, status=202, ticket=STRANGER, place=None)),
    (UNACCEPTED, "a refused offer that became a ticket", all_of(
        copy("offer", 1, id=8, reference="r"), copy("ticket", 0, ticket=STRANGER, reference="r"))),
    (UNACCEPTED, "an unknown outcome that became two tickets", all_of(
        copy("offer", 0, id=7, reference="u", place=None), copy("ticket", 0, ticket=STRANGER, reference="u"),
        copy("ticket", 0, ticket=UUID(int=98), reference="u"))),
    (SIGNPOSTS, "a ticket that its reference does not lead to", drop("signpost", 0)),
    (SIGNPOSTS, "a reference that leads nowhere", drop("ticket", 0)),
    (STRAYS, "a ticket from nowhere", copy("ticket", 0, ticket=STRANGER, reference="x")),
    (STRAYS, "a proactive ticket under another ticket's number", copy(
        "ticket", 0, ticket=STRANGER, reference=f"proactive|cumulative-{TICKET}")),
    (PARTS, "a part of what was not split", change("ticket", 0, whole=STRANGER)),
    (INBOUND, "a published record that is nowhere", drop("inbound", 2)),
    (INBOUND, "a record that nobody published", add("inbound", partition=0, place=3, key="95598|Z", inside=True)),
    (REFUSALS, "a bad record that was taken", drop("refused", 0)),
    (REFUSALS, "a good record that was refused", add("refused", partition=0, place=2, reference=REFERENCE)),
    (REJECTED, "a refusal that was not answered", without("TicketRejected")),
    (REJECTED, "a refusal that was not recorded", drop("refused", 0)),
    (ANNOUNCED, "a ticket that was not announced", without("TicketReceived")),
    (ANNOUNCED, "a ticket that was announced twice", again("TicketReceived")),
    (ANNOUNCED, "an announced ticket that intake does not hold", drop("ticket", 0)),
    (VERSIONS, "an event that never came", without("WorkOrderContacted")),
    (VERSIONS, "an event without a version", change("drawn", 0, version=0)),
    (VERSIONS, "a drawn version that was never said", change("drawn", 2, version=19)),
    (ORDER, "two events in the wrong order", other("WorkOrderContacted", offset=50)),
    (ONE_BODY, "one version with two contents", lambda run: run.said.append(
        replace(run.said[3], offset=60, data={**run.said[3].data, "department": {"code": "z"}}))),
    (EVENTS, "a record that is no event", add("strange", topic=1, partition=0, place=9, why="KeyError")),
    (CAUSES, "a work order before its classification", other("WorkOrderAssigned", offset=-1)),
    (CAUSES, "an answer before the department's", other("TicketAnswered", offset=1)),
    (CAUSES, "a stop before the start", other("ClocksStopped", offset=-1)),
    (EFFECT, "a ticket that classification does not know", drop("judged", 0)),
    (EFFECT, "a classified ticket that dispatch does not know", drop("dispatched", 0)),
    (EFFECT, "a classification that took effect twice", add("repeated", ticket=TICKET, count=1)),
    (CLASSIFIED, "a classification that was not said", without("TicketClassified")),
    (CLASSIFIED, "another decider", change("judged", 0, decided_by="model")),
    (CLASSIFIED, "a person who was not asked", without("ReviewRequested")),
    (ENDED, "a ticket that is open", change("dispatched", 0, state="open")),
    (ENDED, "a stage that stood still", change("ticket", 0, stage="answered")),
    (ENDED, "a close that was not said", without("TicketClosed")),
    (ASSIGNED, "a lost work order", drop("work_order", 0)),
    (ASSIGNED, "a work order too many", copy("work_order", 0, id=STRANGER)),
    (ASSIGNED, "a work order that was not announced", without("WorkOrderAssigned")),
    (ASSIGNED, "a work order that is not over", change("work_order", 1, state="accepted")),
    (RULINGS, "a return without a ruling", without("ReturnRuled")),
    (RULINGS, "a ruling that dispatch did not count", change("dispatched", 0, rulings=0)),
    (RULINGS, "two work orders after one return", copy("work_order", 1, id=STRANGER)),
    (DELIVERED, "a work order without a webhook", drop("delivery", 0)),
    (DELIVERED, "another webhook-id at the receiver", change("hook", 0, id=STRANGER)),
    (DELIVERED, "a webhook at the wrong department", change("hook", 0, department="b")),
    (DELIVERED, "a delivery that never arrived", drop("hook", 0)),
    (DELIVERED, "a delivery left to the inbox in silence", change("delivery", 0, state="inbox")),
    (SETTLED, "a webhook on its way", change("delivery", 2, state="waiting")),
    (SETTLED, "a delivered webhook that no receiver took", change("hook", 4, status=500)),
    (SETTLED, "a webhook that dispatch never sent", drop("delivery", 2)),
    (SETTLED, "a webhook dealt with twice", change("hook", 3, duplicate=0)),
    (SETTLED, "a delivery announced twice", again("WorkOrderDelivered")),
    (ATTEMPTS, "a success without its attempt", drop("attempt", 0)),
    (ATTEMPTS, "an attempt that was not recorded", change("attempt", 1, tries=1)),
    (DONE, "a command whose effect is lost", without("WorkOrderContacted")),
    (DONE, "an answer that no department gave", again("WorkOrderContacted")),
    (DONE, "an acceptance without a call", drop("call", 2)),
    (QUESTIONS, "a question that was not announced", without("QuestionAsked")),
    (QUESTIONS, "a reply that the table lacks", change("question", 0, answered=0)),
    (QUESTIONS, "a question that the table lacks", drop("question", 0)),
    (ANSWERED, "a ticket without an answer", without("TicketAnswered")),
    (ANSWERED, "a round too few", change("dispatched", 0, round=1)),
    (MASTERS, "an answer from a work order of nobody", other("TicketAnswered", data={
        "agent_id": "A1", "answers": [{"work_order_id": str(STRANGER)}], "measures": {"hops": 6}})),
    (MASTERS, "a merged ticket without a master", change("ticket", 0, stage="merged")),
    (FOLDED, "a master of a hot event that was not folded", change("ticket", 0, event=TICKET)),
    (TOLD, "an answer in no inbox", drop("notice", 1)),
    (TOLD, "an answer in another agent's inbox", change("notice", 1, recipient="agent:A2")),
    (TOLD, "an answer on no screen", drop("shown", 1)),
    (TOLD, "an answer on the screen under two numbers", copy("shown", 1, number=9)),
    (NUMBERS, "a hole in a stream", drop("shown", 0)),
    (NUMBERS, "a hole in an inbox", change("notice", 2, number=7)),
    (NUMBERS, "one number with two notices", copy("shown", 0, id=STRANGER)),
    (NUMBERS, "an agent whose stream was never read", all_of(drop("shown", 0, 1, 2), drop("followed", 0))),
    (REPORTED, "a notice that was not reported", without("NotificationSent")),
    (REPORTED, "a report of no notice", drop("notice", 0)),
    (CLOCKS, "a clock that still runs", change("clock", 0, state="running")),
    (CLOCKS, "a clock that ended otherwise", change("clock", 0, state="missed")),
    (CLOCKS, "a clock that was not announced", copy("clock", 0, id=STRANGER)),
    (CLOCKS, "an announced clock that is nowhere", drop("clock", 0)),
    (EARLY, "a timer that fired early", change("clock", 0, started=START)),
    (FIRED, "a point that passed twice", again("ClockWarned")),
    (FIRED, "a point that passed in silence", change("clock", 0, passed=80)),
    (FIRED, "a point after the stop", lambda run: run.said.append(point(9))),
    (ARMED, "a running clock without a timer", change("clock", 0, state="running")),
    (ARMED, "a timer that is overdue", all_of(
        change("clock", 0, state="running", generation=1), change("timer", 0, at=START))),
    (HEARD, "an event that was passed over", unhandled("TicketClassified", "dispatch")),
    (UNHEARD, "an event from nowhere", lambda run: run.handled.update(dispatch={STRANGER})),
    (BURIED, "a buried event", add("grave", **GRAVE, error="Poison: no")),
    (BURIED, "a parked event", add("grave", **GRAVE, error=None)),
    (STOPPED, "a halted service", add("halt", service=DISPATCH, reason="too many")),
    (STOPPED, "a stopped partition", change("fence", 0, stopped="its topic was made again")),
    (UNREAD, "an unread record", change("fence", 0, next=3)),
    (UNREAD, "a position beyond the end", change("fence", 0, next=99)),
    (UNSENT, "an unsent event", add("pending", **WAITING)),
]  # fmt: skip


async def judged(run: Run, **options: Any) -> Report:
    book = run.book()
    try:
        return await judge(book, replace(SOURCES, **options))
    finally:
        book.close()


async def test_a_run_that_balances_has_no_findings() -> None:
    report = await judged(a_run())
    assert report.failed == {}
    assert report.balances
    assert (report.counts["offers"], report.counts["tickets"], report.counts["refused"]) == (3, 1, 1)


@pytest.mark.parametrize(("name", "what", "doctor"), DOCTORED, ids=[f"{what}" for _, what, _ in DOCTORED])
async def test_what_was_doctored_is_found(name: str, what: str, doctor: Doctor) -> None:
    run = a_run()
    doctor(run)
    assert name in (await judged(run)).failed, what


def test_every_check_is_tried_with_something_doctored() -> None:
    assert {check.name for check in CHECKS} == {name for name, _, _ in DOCTORED}


async def test_an_event_that_was_sent_twice_is_one_event() -> None:
    run = a_run()
    run.said += [replace(each, offset=each.offset + 100) for each in run.said]
    for row in [*run.tables["log"], *run.tables["fence"]]:
        row["stop" if "stop" in row else "next"] = 1000
    report = await judged(run)
    assert report.failed == {}
    dispatch = next(account for account in report.accounts if account.service == "dispatch")
    assert (dispatch.sent, dispatch.sent_again, dispatch.duplicate) == (18, 18, 2)


async def test_a_stream_that_repeats_itself_after_it_was_resumed_is_not_held_against_it() -> None:
    run = a_run()
    run.tables["shown"] *= 2
    assert (await judged(run)).failed == {}


async def test_a_work_order_left_to_the_inbox_is_in_order_when_it_was_reported() -> None:
    run = a_run()
    data = {"work_order_id": str(SECOND), "department": {"code": "b", "name": "乙"}, "delivery_id": "x"}
    run.said = [
        replace(each, type="DeliveryFailed", data=data)
        if each.data.get("delivery_id") == str(HOOKS["second"])
        else each
        for each in run.said
    ]
    run.tables["hook"] = [row for row in run.tables["hook"] if row["id"] != HOOKS["second"]]
    run.tables["delivery"][1]["state"] = "inbox"
    assert (await judged(run)).failed == {}


WHOLE = UUID(int=70)


def a_split_run() -> Run:
    """The ticket as a part, named by the reviewer, of another that was split."""
    run = a_run()
    place = max(each.offset for each in run.said if each.topic == FLOW) + 1
    named = {"ticket_id": str(TICKET), "title": "停电", "situation": "s"}
    facts: list[tuple[str, str, dict[str, Any]]] = [
        ("intake", "TicketReceived", {"ticket": {"title": "停电", "text": "又停电了"}}),
        ("classification", "ReviewRequested", {"candidates": []}),
        ("classification", "TicketSplit", {"parts": [named], "by": "r"}),
    ]
    for number, (source, kind, data) in enumerate(facts):
        version = 2 if kind == "TicketSplit" else 1
        run.said.append(said(FLOW, place + number, kind, source, version=version, data=data, key=str(WHOLE)))
    run.said = [
        replace(each, version=1) if each.type == "TicketClassified" else each
        for each in run.said
        if each.type != "ReviewRequested" or each.key == str(WHOLE)
    ]
    for row in run.tables["drawn"]:
        if row["source"] == SERVICE_CODES["classification"]:
            row["version"] = 1
    for source, drawn in (("intake", 1), ("classification", 2)):
        run.tables["drawn"].append({"ticket": WHOLE, "source": SERVICE_CODES[source], "version": drawn})
    for table in ("fence", "log"):
        for row in run.tables[table]:
            if row["topic"] == TOPIC_CODES[FLOW]:
                row["next" if table == "fence" else "stop"] = place + 3
    reference = "95598|A-0"
    run.tables["ticket"][0]["whole"] = WHOLE
    run.tables["ticket"].append(
        {"ticket": WHOLE, "reference": reference, "channel": "95598", "at": START, "stage": "split"}
    )
    run.tables["signpost"].append({"reference": reference, "ticket": WHOLE})
    run.tables["offer"].append(
        {"ledger": 0, "id": 3, "reference": reference, "expect": "ticket", "at": START, "status": 202, "ticket": WHOLE}
    )
    run.tables["judged"].append({"ticket": WHOLE, "state": "split", "decided_by": "r", "waiting": 0, "by_person": 1})
    return run


async def test_a_ticket_that_was_split_is_finished_and_its_part_needs_no_review() -> None:
    assert (await judged(a_split_run())).failed == {}


@pytest.mark.parametrize(
    ("check", "doctor"),
    [
        (PARTS, drop("ticket", 0)),
        (PARTS, change("ticket", 0, whole=None)),
        (PARTS, change("ticket", 0, whole=STRANGER)),
        (PARTS, change("ticket", 1, stage="in_review")),
        (PARTS, change("judged", 1, state="review", waiting=1)),
        (PARTS, without("TicketSplit")),
        (PARTS, again("TicketSplit")),
        (CLASSIFIED, change("judged", 1, by_person=0)),
        (CLASSIFIED, other("TicketSplit", data={"parts": [{"ticket_id": str(TICKET), "situation": None}]})),
        (ENDED, change("ticket", 1, stage="received")),
    ],
)
async def test_a_split_that_does_not_add_up_is_told(check: str, doctor: Doctor) -> None:
    run = a_split_run()
    doctor(run)
    assert check in (await judged(run)).failed


async def test_a_department_without_an_endpoint_gets_no_webhook() -> None:
    run = a_run()
    run.tables["delivery"] = [row for row in run.tables["delivery"] if row["id"] != HOOKS["first"]]
    run.tables["hook"] = [row for row in run.tables["hook"] if row["id"] != HOOKS["first"]]
    run.said = [each for each in run.said if each.data.get("delivery_id") != str(HOOKS["first"])]
    assert DELIVERED in (await judged(run)).failed
    run.tables["endpoint"] = run.tables["endpoint"][1:]
    assert DELIVERED not in (await judged(run)).failed


async def test_a_planted_record_explains_its_burial() -> None:
    run = a_run()
    place = {name: GRAVE[name] for name in ("topic", "partition", "place")}
    run.tables["grave"].append({**GRAVE, "error": "ContractError: bad JSON"})
    run.tables["planted"].append(place)
    assert (await judged(run)).failed == {}


async def test_a_ticket_that_moved_too_lately_is_not_judged() -> None:
    run = a_run()
    run.tables["dispatched"][0]["state"] = "open"
    assert not (await judged(run)).balances
    assert (await judged(run, settle=50.0)).failed == {}
    assert not (await judged(run, settle=10.0)).balances


async def test_what_was_offered_too_lately_is_not_judged() -> None:
    run = a_run()
    late = {**run.tables["offer"][0], "id": 9, "reference": "late", "at": START + timedelta(seconds=55)}
    run.tables["offer"].append(late)
    assert ACCEPTED in (await judged(run, settle=2.0)).failed
    assert ACCEPTED not in (await judged(run, settle=10.0)).failed


async def test_records_outside_the_window_need_no_offer() -> None:
    run = a_run()
    run.tables["inbound"].append({"partition": 0, "place": 3, "key": "95598|Z", "inside": False})
    assert (await judged(run)).failed == {}


async def test_what_is_unread_for_long_is_told_of_a_system_at_work_too() -> None:
    run = a_run()
    run.tables["fence"][0]["next"] = 3
    assert UNREAD in (await judged(run, settle=10.0)).failed
    assert UNREAD not in (await judged(run, settle=58.0)).failed


async def test_without_whole_files_only_what_they_name_is_asked_for() -> None:
    run = a_run()
    for table in ("offer", "hook", "call", "shown", "followed"):
        run.tables[table] = []
    assert not (await judged(run)).balances
    assert (await judged(run, whole=False)).failed == {}


async def test_findings_name_their_ticket_with_its_story() -> None:
    run = a_run()
    run.tables["clock"][0]["state"] = "missed"
    report = await judged(run)
    [finding] = report.findings
    assert finding.ticket == str(TICKET)
    assert str(CLOCK) in finding.text
    assert {"platform", "intake", "dispatch", "a", "agent A1"} <= {line.who for line in report.stories[str(TICKET)]}


async def test_findings_are_counted_beyond_those_that_are_told() -> None:
    run = a_run()
    run.tables["halt"] += [{"service": DISPATCH, "reason": "x"}] * 150
    report = await judged(run)
    assert (report.failed, len(report.findings)) == ({STOPPED: 150}, 100)


async def test_a_proactive_ticket_that_zhida_made_of_a_cumulative_problem_is_no_stray() -> None:
    run = a_run()
    copy("ticket", 0, ticket=STRANGER, reference=f"proactive|cumulative-{STRANGER}")(run)
    assert STRAYS not in (await judged(run)).failed
