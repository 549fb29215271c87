"""Who hears of which fact: a table."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from libs.shared.contracts import classification, dispatch, sla_timer
from libs.shared.contracts.classification import Department
from libs.shared.contracts.intake import Channel
from libs.shared.events import Envelope
from services.notification.domain import notice
from services.notification.domain.notice import Fact, Recipient

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
TICKET, ORDER, QUESTION, CLOCK = (UUID(int=number) for number in (1, 2, 3, 4))
REPAIR, LEAD = Department(code="repair", name="抢修班"), Department(code="lead", name="生产设备管理部")
MEASURES = dispatch.Measures(hops=2, transfers=0, first_contact_minutes=1, resolve_minutes=9)


def said(event: Fact) -> Fact:
    return event.enveloped(Envelope(UUID(int=77), "test", NOW, 1, ""))


def answered(agent: str | None) -> Fact:
    answer = dispatch.Answer(work_order_id=ORDER, department=REPAIR, text="已送电", answered_at=NOW)
    return said(
        dispatch.TicketAnswered(
            ticket_id=TICKET,
            agent_id=agent,
            channel="website",
            external_ref="W1",
            title="停电",
            answers=(answer,),
            join_policy="all",
            measures=MEASURES,
        )
    )


def question(kind: Any, asked_by: str, agent: str | None, channel: str | None = None) -> Fact:
    values = {"asker": "someone"} if kind is dispatch.QuestionAsked else {}
    return said(
        kind(
            ticket_id=TICKET,
            work_order_id=ORDER,
            question_id=QUESTION,
            asked_by=asked_by,
            department=REPAIR,
            agent_id=agent,
            channel=channel,
            text="在家吗",
            **values,
        )
    )


def returned(ruled_by: str) -> Fact:
    return said(
        dispatch.WorkOrderReturned(
            ticket_id=TICKET,
            work_order_id=ORDER,
            department=REPAIR,
            reason_code="not_ours",
            reason="不属本班",
            suggested_department=None,
            ruled_by=ruled_by,
            supervisor="sup",
        )
    )


def clock(department: Department | None = REPAIR) -> sla_timer.Clock:
    return sla_timer.Clock(
        clock_id=CLOCK,
        kind="accept",
        work_order_id=ORDER,
        department=department,
        lead_department=LEAD,
        supervisor="sup",
        started_at=NOW,
        due_at=NOW,
        limit_seconds=1800,
    )


def warned(percent: int, department: Department | None = REPAIR) -> Fact:
    return said(sla_timer.ClockWarned(ticket_id=TICKET, clock=clock(department), percent=percent))


def breached() -> Fact:
    return said(sla_timer.ClockBreached(ticket_id=TICKET, clock=clock()))


def escalated(percent: int, level: Any, to: str) -> Fact:
    return said(sla_timer.Escalated(ticket_id=TICKET, clock=clock(), percent=percent, level=level, to=to))


def reopened(*departments: Department) -> Fact:
    return said(
        dispatch.TicketReopened(
            ticket_id=TICKET, by="a1", reason="没修好", work_order_ids=(ORDER,), departments=departments
        )
    )


RISKY = said(
    classification.HighRiskFound(
        ticket_id=TICKET,
        supervisor="chief",
        situation="停电",
        title="再不解决就找记者",
        channel="95598",
        star=3,
        repeats=2,
    )
)
REVIEW = said(classification.ReviewRequested(ticket_id=TICKET, urgency="urgent", candidates=()))


def merged(agent: str | None, **changes: Any) -> Fact:
    values = {"hot_event": True, "title": "小区停电", "members": 21, "by": "classification", "reason": None, **changes}
    return said(dispatch.TicketMerged(ticket_id=TICKET, master_id=ORDER, agent_id=agent, channel="website", **values))


def released(agent: str | None, channel: Channel | None) -> Fact:
    return said(
        dispatch.TicketReleased(
            ticket_id=TICKET, master_id=ORDER, agent_id=agent, channel=channel, by="li", reason="另一件事"
        )
    )


UNDELIVERED = said(
    dispatch.DeliveryFailed(
        ticket_id=TICKET,
        work_order_id=ORDER,
        department=REPAIR,
        delivery_id=UUID(int=5),
        supervisor="sup",
        attempts=3,
        reason="accept_clock",
    )
)


DISPUTED = said(
    dispatch.CellDisputed(
        cell="s:repair",
        month="2026-11",
        situation="s",
        situation_name="停电",
        department=REPAIR,
        lead_department=LEAD,
        supervisor="sup",
        assigned=40,
        returned=12,
        upheld=9,
        matrix_wrong=4,
        tickets=(TICKET,),
        suggested_department=None,
    )
)


@pytest.mark.parametrize(
    ("event", "heard"),
    [
        (answered("a1"), [("ticket_answered", "agent:a1")]),
        (DISPUTED, [("cell_disputed", "department:lead")]),
        (answered(None), [("ticket_answered", "agent:desk.website")]),
        (question(dispatch.QuestionAsked, "department", "a1"), [("question_asked", "agent:a1")]),
        (question(dispatch.QuestionAsked, "department", None, "12398"), [("question_asked", "agent:desk.12398")]),
        (question(dispatch.QuestionAsked, "department", None), [("question_asked", "agent:desk")]),
        (question(dispatch.QuestionAsked, "agent", "a1"), [("question_asked", "department:repair")]),
        (question(dispatch.QuestionAnswered, "agent", "a1"), [("question_answered", "agent:a1")]),
        (question(dispatch.QuestionAnswered, "department", "a1"), [("question_answered", "department:repair")]),
        (REVIEW, [("review_requested", "supervisor:review")]),
        (RISKY, [("high_risk", "supervisor:chief")]),
        (UNDELIVERED, [("delivery_failed", "supervisor:sup"), ("delivery_failed", "department:repair")]),
        (returned("lead"), [("work_order_returned", "department:lead")]),
        (returned("sup"), [("work_order_returned", "supervisor:sup")]),
        (warned(50), [("clock_warned", "department:repair")]),
        (warned(50, None), []),
        (breached(), [("clock_breached", "department:repair")]),
        (escalated(50, "executing", "repair"), [("clock_warned", "department:repair")]),
        (escalated(100, "executing", "repair"), [("clock_breached", "department:repair")]),
        (escalated(80, "lead", "lead"), [("escalated", "department:lead")]),
        (escalated(100, "supervisor", "sup"), [("escalated", "supervisor:sup")]),
        (escalated(150, "interview", "leader"), [("escalated", "supervisor:leader")]),
        (
            reopened(REPAIR, LEAD, REPAIR),
            [("ticket_reopened", "department:repair"), ("ticket_reopened", "department:lead")],
        ),
        (reopened(), []),
        (merged("a1"), [("ticket_merged", "agent:a1")]),
        (merged(None), [("ticket_merged", "agent:desk.website")]),
        (released("a1", "website"), [("ticket_released", "agent:a1")]),
        (released(None, "12398"), [("ticket_released", "agent:desk.12398")]),
        (released(None, None), [("ticket_released", "agent:desk")]),
    ],
)
def test_who_hears_of_what(event: Fact, heard: list[tuple[str, str]]) -> None:
    told = notice.notices(event)
    assert [(each.kind, each.recipient.address) for each in told] == heard
    assert all((each.ticket_id, each.caused_at) == (TICKET, NOW) for each in told)


def test_a_merged_tickets_agent_is_told_which_master_and_why() -> None:
    [told] = notice.notices(merged("a1"))
    assert told.data == {
        "master_id": str(ORDER), "title": "小区停电", "members": 21, "hot_event": True, "by": "classification",
        "reason": None,
    }  # fmt: skip
    [told] = notice.notices(released("a1", None))
    assert told.data == {"master_id": str(ORDER), "by": "li", "reason": "另一件事"}


def test_a_warning_and_its_escalation_are_one_fact() -> None:
    facts = {each.fact for event in (warned(80), escalated(80, "lead", "repair")) for each in notice.notices(event)}
    assert facts == {f"{CLOCK}:80"}
    assert notice.notices(breached())[0].fact == notice.notices(escalated(100, "supervisor", "s"))[0].fact


@pytest.mark.parametrize("address", ["agent:a1", "department:D:1", "supervisor:review", "agent:desk.website"])
def test_an_address_reads_back(address: str) -> None:
    assert Recipient.at(address).address == address


@pytest.mark.parametrize("address", ["", "a1", "agent:", "boss:x", ":x", "agent"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="expected one of agent, department, supervisor"):
        Recipient.at(address)
