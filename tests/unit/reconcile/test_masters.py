"""Merged tickets, masters of hot events and what becomes of them: what adds up is silent, what does not is told."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from reconcile.book import SERVICE_CODES, TOPIC_CODES
from reconcile.story import story
from tests.unit.reconcile.run_of_one_ticket import FIRST, SECOND, START, STRANGER, TICKET, Run, a_run, said
from tests.unit.reconcile.test_checks import (
    ANSWERED,
    ASSIGNED,
    CAUSES,
    DONE,
    FOLDED,
    MASTERS,
    RULINGS,
    STRAYS,
    TOLD,
    Doctor,
    all_of,
    change,
    copy,
    drop,
    judged,
    other,
    without,
)

FLOW, NOTICES, REFERENCE = "zhida.tickets.v1", "zhida.notices.v1", "zhida.reference.v1"
MEMBER, HOT = UUID(int=80), UUID(int=81)
OWN, AGAIN, SHARED = UUID(int=82), UUID(int=83), UUID(int=84)
C = {"code": "c", "name": "丙"}
KINDS = {"TicketMerged": "ticket_merged", "TicketReleased": "ticket_released", "TicketAnswered": "ticket_answered"}
Fact = tuple[UUID, str, str, dict[str, Any]]  # of which ticket, by whom, what


def tell(run: Run, *facts: Fact) -> None:
    """Say these, under the next version of each; agents hear of what they must hear of."""
    for key, source, kind, data in facts:
        event = _say(run, _topic(kind), (key, source, kind, data))
        if kind in KINDS:
            number, id_ = len(run.tables["notice"]) + 1, UUID(int=200 + len(run.tables["notice"]))
            notice = {"id": id_, "number": number, "ticket": key, "kind": KINDS[kind]}
            run.tables["notice"].append({**notice, "recipient": "agent:A1", "fact": event})
            run.tables["shown"].append({**notice, "agent": "A1", "at": START})
            report = {"notification_id": str(id_), "number": number, "caused_at": START.isoformat()}
            _say(run, NOTICES, (key, "notification", "NotificationSent", report))


def _topic(kind: str) -> str:
    return REFERENCE if kind.startswith("HotEvent") else FLOW


def _say(run: Run, topic: str, fact: Fact) -> UUID:
    key, source, kind, data = fact
    version = 1 + max((each.version for each in run.said if (each.key, each.source) == (str(key), source)), default=0)
    place = 1 + max((each.offset for each in run.said if each.topic == topic), default=-1)
    event = said(topic, place, kind, source, version=version, data=data, key=str(key))
    run.said.append(event)
    drawn = {"ticket": key, "source": SERVICE_CODES[source]}
    run.tables["drawn"] = [row for row in run.tables["drawn"] if {**row, "version": 0} != {**drawn, "version": 0}]
    run.tables["drawn"].append({**drawn, "version": version})
    for table, column in (("fence", "next"), ("log", "stop")):
        for row in run.tables[table]:
            if row["topic"] == TOPIC_CODES[topic]:
                row[column] = place + 1
    return event.id


def known(run: Run, ticket_id: UUID, decided_by: str, **more: Any) -> None:
    """A closed ticket in every service's tables; `more`: of intake's."""
    reference = f"95598|{ticket_id}"
    run.tables["ticket"].append(
        {"ticket": ticket_id, "reference": reference, "channel": "95598", "at": START, "stage": "closed", **more}
    )
    run.tables["signpost"].append({"reference": reference, "ticket": ticket_id})
    run.tables["judged"].append(
        {"ticket": ticket_id, "state": "classified", "decided_by": decided_by, "waiting": 0, "by_person": 0}
    )
    run.tables["dispatched"].append({"ticket": ticket_id, "state": "closed", "round": 1, "agent": "A1", "rulings": 0})
    if not more.get("event"):
        run.tables["offer"].append(
            {"ledger": 0, "id": 3, "reference": reference, "expect": "ticket", "at": START, "status": 202,
             "ticket": ticket_id}
        )  # fmt: skip


def order(ticket_id: UUID, id_: UUID, state: str) -> dict[str, Any]:
    """A work order of department c, which has no endpoint."""
    return {"id": id_, "ticket": ticket_id, "department": "c", "state": state, "before": None, "created": START}


def call(name: str, ticket_id: UUID, id_: UUID) -> dict[str, Any]:
    return {"department": "c", "name": name, "ticket": ticket_id, "work_order": id_, "at": START, "status": 200,
            "key": f"{name}-{id_}"}  # fmt: skip


def begun(ticket_id: UUID, decided_by: str) -> tuple[Fact, ...]:
    classified = {
        "executing_departments": [C], "lead_department": C, "situation": {"name": "停电"}, "decided_by": decided_by,
        "probability": 1.0,
    }  # fmt: skip
    return (
        (ticket_id, "intake", "TicketReceived", {"ticket": {"title": "停电", "text": "停电"}}),
        (ticket_id, "classification", "TicketClassified", classified),
    )


def share(ticket_id: UUID, id_: UUID, kind: str, **more: Any) -> Fact:
    return ticket_id, "dispatch", kind, {"work_order_id": str(id_), "department": C, **more}


def merged(master: UUID, *, hot_event: bool) -> Fact:
    return MEMBER, "dispatch", "TicketMerged", {
        "master_id": str(master), "agent_id": "A1", "hot_event": hot_event, "title": "停电", "members": 1, "by": "A1"
    }  # fmt: skip


def joined(master: UUID, ticket_id: UUID) -> Fact:
    return master, "dispatch", "MasterJoined", {"tickets": [str(ticket_id)], "members": 1}


def answered(ticket_id: UUID, *orders: UUID) -> Fact:
    measures = {"hops": 3, "transfers": 0, "first_contact_minutes": None, "resolve_minutes": 1}
    answers = [{"work_order_id": str(each)} for each in orders]
    return ticket_id, "dispatch", "TicketAnswered", {"agent_id": "A1", "answers": answers, "measures": measures}


def closed(ticket_id: UUID, by: str = "A1") -> Fact:
    return ticket_id, "dispatch", "TicketClosed", {"by": by, "satisfied": None}


REOPENED: Fact = (
    MEMBER, "dispatch", "TicketReopened", {"reason": "没好", "by": "A1", "work_order_ids": [], "master_id": str(TICKET)}
)  # fmt: skip


def a_merged_run() -> Run:
    """Beside the one ticket another that was merged into it, answered, reopened and answered again with it."""
    run = a_run()
    tell(
        run,
        *begun(MEMBER, "model"),
        share(MEMBER, OWN, "WorkOrderAssigned"),
        merged(TICKET, hot_event=False),
        joined(TICKET, MEMBER),
        share(MEMBER, OWN, "WorkOrderCancelled", reason="merged"),
        answered(MEMBER, SECOND),
        REOPENED,
        answered(MEMBER, SECOND),
        closed(MEMBER),
    )
    known(run, MEMBER, "model", master=TICKET)
    run.tables["dispatched"][1]["round"] = 2
    run.tables["work_order"].append(order(MEMBER, OWN, "cancelled"))
    return run


def a_dissolved_run() -> Run:
    """Beside the one ticket a hot event that was folded and dissolved, with a member that went its own way then."""
    run = a_run()
    tell(
        run,
        *begun(MEMBER, "model"),
        share(MEMBER, OWN, "WorkOrderAssigned"),
        (HOT, "classification", "HotEventFolded", {"title": "停电", "members": 20, "by": "classification"}),
        merged(HOT, hot_event=True),
        joined(HOT, MEMBER),
        share(MEMBER, OWN, "WorkOrderCancelled", reason="merged"),
        *begun(HOT, "hot_event"),
        share(HOT, SHARED, "WorkOrderAssigned"),
        share(HOT, SHARED, "WorkOrderReturned", reason="不是我们的", ruled_by="lead"),
        (HOT, "classification", "HotEventDissolved", {"by": "li", "reason": None}),
        share(HOT, SHARED, "WorkOrderCancelled", reason="dissolved"),
        closed(HOT, "dispatch"),
        (MEMBER, "dispatch", "TicketReleased", {"master_id": str(HOT), "agent_id": "A1", "by": "li"}),
        share(MEMBER, AGAIN, "WorkOrderAssigned"),
        share(MEMBER, AGAIN, "WorkOrderAccepted"),
        share(MEMBER, AGAIN, "WorkOrderAnswered", text="好了"),
        answered(MEMBER, AGAIN),
        closed(MEMBER),
    )
    known(run, MEMBER, "model")
    known(run, HOT, "hot_event", event=HOT)
    run.tables["work_order"] += [
        order(MEMBER, OWN, "cancelled"),
        order(HOT, SHARED, "cancelled"),
        order(MEMBER, AGAIN, "closed"),
    ]
    run.tables["call"] += [
        call("return", HOT, SHARED), call("accept", MEMBER, AGAIN), call("answer", MEMBER, AGAIN)
    ]  # fmt: skip
    return run


def lose(ticket_id: UUID, kind: str, *, but: int = 0) -> Doctor:
    """Nothing of a type was said of a ticket, but the first so many."""

    def doctor(run: Run) -> None:
        places = [n for n, each in enumerate(run.said) if (each.key, each.type) == (str(ticket_id), kind)][but:]
        run.said = [each for n, each in enumerate(run.said) if n not in places]

    return doctor


def also(*facts: Fact) -> Doctor:
    return lambda run: tell(run, *facts)


def answers_with(*orders: UUID) -> Doctor:
    """The member's answers are those of other work orders."""

    def doctor(run: Run) -> None:
        answers = [{"work_order_id": str(each)} for each in orders]
        run.said = [
            replace(each, data={**each.data, "answers": answers})
            if (each.key, each.type) == (str(MEMBER), "TicketAnswered")
            else each
            for each in run.said
        ]

    return doctor


def reason(id_: UUID, why: str) -> Doctor:
    """A work order was cancelled for another reason."""

    def doctor(run: Run) -> None:
        run.said = [
            replace(each, data={**each.data, "reason": why})
            if (each.type, each.data.get("work_order_id")) == ("WorkOrderCancelled", str(id_))
            else each
            for each in run.said
        ]

    return doctor


def data_of(kind: str, **values: Any) -> Doctor:
    def doctor(run: Run) -> None:
        run.said = [
            replace(each, data={**each.data, **values}) if each.type == kind and each.key == str(MEMBER) else each
            for each in run.said
        ]

    return doctor


UNANSWERED = all_of(lose(MEMBER, "TicketAnswered", but=1), lose(MEMBER, "TicketClosed"))
UNOPENED = all_of(
    lose(TICKET, "TicketAnswered", but=1),
    lose(MEMBER, "TicketAnswered", but=1),
    lose(MEMBER, "TicketReopened"),
    lose(MEMBER, "TicketClosed"),
)


@pytest.mark.parametrize("made", [a_merged_run, a_dissolved_run])
async def test_masters_and_members_that_add_up_are_not_told(made: Callable[[], Run]) -> None:
    assert (await judged(made())).failed == {}


MEMBERS: list[tuple[str, str, Doctor]] = [
    (MASTERS, "a master that intake does not hold", drop("ticket", 0)),
    (MASTERS, "a member of a member", also((TICKET, *merged(MEMBER, hot_event=False)[1:]), joined(MEMBER, TICKET))),
    (MASTERS, "a member of itself", data_of("TicketMerged", master_id=str(MEMBER))),
    (MASTERS, "a member that did not join its master", without("MasterJoined")),
    (MASTERS, "a member that joined and was not merged", also(joined(MEMBER, TICKET))),
    (MASTERS, "a member without the answer that its master has", UNANSWERED),
    (MASTERS, "a member that was not reopened with its master", UNOPENED),
    (MASTERS, "an answer of a work order that was not answered", answers_with(FIRST)),
    (MASTERS, "an answer of nobody's work order", answers_with(SECOND, STRANGER)),
    (MASTERS, "an answer after the release", lambda run: tell(
        run, (MEMBER, "dispatch", "TicketReleased", {"master_id": str(TICKET), "agent_id": "A1", "by": "li"}),
        answered(MEMBER, SECOND))),
    (MASTERS, "a member with an open work order", change("work_order", 2, state="accepted")),
    (MASTERS, "a member with a running clock", copy("clock", 0, id=STRANGER, ticket=MEMBER, state="running")),
    (MASTERS, "a member that intake does not know as one", change("ticket", 1, stage="told", master=None)),
    (MASTERS, "a member that intake has elsewhere", change("ticket", 1, stage="told", master=STRANGER)),
    (MASTERS, "a member in no stage of members", all_of(UNANSWERED, change("ticket", 1, stage="assigned"))),
    (MASTERS, "no member in the stage of members", change("ticket", 0, stage="merged")),
    (FOLDED, "a master of no hot event that is said to be one", data_of("TicketMerged", hot_event=True)),
    (TOLD, "a merging in no inbox", drop("notice", 3)),
    (TOLD, "a merging on no screen", drop("shown", 3)),
    (CAUSES, "a merging before the classification", other("TicketMerged", offset=-1)),
    (ASSIGNED, "a ticket without work orders that is merged into nothing", all_of(
        lose(MEMBER, "TicketMerged"), drop("work_order", 2))),
    (ASSIGNED, "two work orders of one department before the merging", copy("work_order", 2, id=STRANGER)),
    (ANSWERED, "a member that was not answered again", lose(MEMBER, "TicketAnswered", but=1)),
]  # fmt: skip


@pytest.mark.parametrize(("check", "what", "doctor"), MEMBERS, ids=[what for _, what, _ in MEMBERS])
async def test_a_member_that_does_not_add_up_is_told(check: str, what: str, doctor: Doctor) -> None:
    run = a_merged_run()
    doctor(run)
    assert check in (await judged(run)).failed, what


HOT_EVENTS: list[tuple[str, str, Doctor]] = [
    (FOLDED, "a hot event without its master", change("ticket", 2, event=None)),
    (FOLDED, "a master with another id than its event's", change("ticket", 2, event=STRANGER)),
    (FOLDED, "a master that is said to be none", data_of("TicketMerged", hot_event=False)),
    (FOLDED, "a master of a hot event that was never folded", all_of(
        lose(HOT, "HotEventFolded"), lose(HOT, "HotEventDissolved"))),
    (FOLDED, "a master that works on", change("dispatched", 2, state="open")),
    (FOLDED, "a member of a dissolved hot event", all_of(
        lose(MEMBER, "TicketReleased"), change("dispatched", 1, state="open"))),
    (STRAYS, "a ticket that nobody offered", change("ticket", 2, event=None)),
    (ANSWERED, "a master that was closed without an answer", lose(HOT, "HotEventDissolved")),
    (RULINGS, "a return that was neither ruled on nor dissolved", reason(SHARED, "classified_again")),
    (ASSIGNED, "a released ticket with two work orders", copy("work_order", 4, id=STRANGER)),
    (ASSIGNED, "a second work order without a merging", reason(OWN, "classified_again")),
    (ASSIGNED, "a released ticket without a work order", all_of(
        drop("work_order", 4), lose(MEMBER, "TicketAnswered"))),
    (CAUSES, "a release before the merging", other("TicketReleased", offset=-1)),
    (DONE, "an answer of a released ticket that nobody gave", drop("call", 10)),
    (TOLD, "a release in no inbox", drop("notice", 4)),
]  # fmt: skip


@pytest.mark.parametrize(("check", "what", "doctor"), HOT_EVENTS, ids=[what for _, what, _ in HOT_EVENTS])
async def test_a_hot_event_that_does_not_add_up_is_told(check: str, what: str, doctor: Doctor) -> None:
    run = a_dissolved_run()
    doctor(run)
    assert check in (await judged(run)).failed, what


async def test_members_that_moved_too_lately_are_not_judged() -> None:
    run = a_merged_run()
    UNANSWERED(run)
    assert MASTERS in (await judged(run)).failed
    assert MASTERS not in (await judged(run, settle=59.0)).failed


def test_the_story_names_the_master() -> None:
    run = a_merged_run()
    book = run.book()
    told = [line.what for line in story(book, str(MEMBER), {(e.topic, 0, e.offset): e.data for e in run.said})]
    book.close()
    assert any(what == f"merged by A1 into {TICKET} (停电)" for what in told)
    assert "reopened with its master: 没好" in told
