"""Where a ticket stands after what is said of it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from libs.shared.contracts.classification import (
    Department,
    ReviewRequested,
    Situation,
    SplitPart,
    TicketClassified,
    TicketSplit,
)
from libs.shared.contracts.dispatch import (
    Measures,
    ReturnRuled,
    TicketAnswered,
    TicketClosed,
    TicketMerged,
    TicketReleased,
    TicketReopened,
    WorkOrderAccepted,
    WorkOrderAnswered,
    WorkOrderAssigned,
    WorkOrderCancelled,
    WorkOrderContacted,
    WorkOrderDelivered,
    WorkOrderReturned,
)
from libs.shared.contracts.intake import Ticket
from libs.shared.contracts.notification import NotificationSent
from libs.shared.events import Envelope, uuid7
from services.intake.domain.stage import Fact, Standing, hear

BEGIN = datetime(2026, 11, 20, 8, tzinfo=UTC)
TICKET, FIRST, SECOND, THIRD, MASTER = (UUID(int=n) for n in range(1, 6))
POWER, SALES = Department(code="power", name="生产设备管理部"), Department(code="sales", name="市场营销部")
NEW = Standing(TICKET, "received", BEGIN, {"received": BEGIN})


def after(minutes: float) -> datetime:
    return BEGIN + timedelta(minutes=minutes)


def at(minutes: float, fact: Fact) -> Fact:
    fact.enveloped(Envelope(uuid7(after(minutes)), "test", after(minutes), 1, ""))
    return fact


def classified() -> TicketClassified:
    ticket = Ticket(channel="95598", external_ref="1", title="停电", text="停电", opened_at=BEGIN)
    return TicketClassified(
        ticket_id=TICKET, ticket=ticket, business_type="fault", complaint_object="external",
        situation=Situation(code="s", name="频繁停电", path=("a", "b", "c")), lead_department=SALES,
        executing_departments=(POWER,), supervisor="sup", sla_class="maintenance", join_policy="all",
        urgency="normal", risk="normal", matrix_version="1", model_version=None, probability=1, margin=1,
        words=(), decided_by="matrix",
    )  # fmt: skip


def assigned(order: UUID, department: Department = POWER, instead_of: UUID | None = None) -> WorkOrderAssigned:
    return WorkOrderAssigned(
        ticket_id=TICKET, work_order_id=order, department=department, lead_department=SALES, supervisor="sup",
        agent_id="a", sla_class="maintenance", star=1, urgency="normal", opened_at=BEGIN, situation="频繁停电",
        reassigned_from=instead_of,
    )  # fmt: skip


def returned(order: UUID) -> WorkOrderReturned:
    return WorkOrderReturned(
        ticket_id=TICKET, work_order_id=order, department=POWER, reason_code="not_ours", reason="不属于我部",
        suggested_department=None, ruled_by="sales", supervisor="sup",
    )  # fmt: skip


def answered() -> TicketAnswered:
    measures = Measures(hops=4, transfers=1, first_contact_minutes=7, resolve_minutes=30)
    return TicketAnswered(
        ticket_id=TICKET, agent_id="a", channel="95598", external_ref="1", title="停电", answers=(),
        join_policy="all", measures=measures,
    )  # fmt: skip


def told(caused_at: datetime, **changes: Any) -> NotificationSent:
    given = {"kind": "ticket_answered", "recipient_kind": "agent", **changes}
    return NotificationSent(
        ticket_id=TICKET, notification_id=UUID(int=9), recipient="a", channel="inbox", number=1,
        caused_at=caused_at, **given,
    )  # fmt: skip


def order(kind: Any, order_id: UUID, department: str = "power") -> Any:
    return kind(ticket_id=TICKET, work_order_id=order_id, department=department, delivery_id=UUID(int=8), attempts=1)


def rule(order_id: UUID, decision: Any) -> ReturnRuled:
    return ReturnRuled(ticket_id=TICKET, work_order_id=order_id, department="power", decision=decision, by="sales")


def cancelled(order_id: UUID) -> WorkOrderCancelled:
    return WorkOrderCancelled(
        ticket_id=TICKET, work_order_id=order_id, department="power", reason="classified_again"
    )  # fmt: skip


def closed() -> TicketClosed:
    return TicketClosed(ticket_id=TICKET, by="a", satisfied=True)


def reopened() -> TicketReopened:
    return TicketReopened(ticket_id=TICKET, by="a", reason="又停了", work_order_ids=(FIRST,))


def merged() -> TicketMerged:
    return TicketMerged(
        ticket_id=TICKET, master_id=MASTER, hot_event=True, agent_id="a", channel="95598", title="小区停电", members=3,
        by="classification", reason=None,
    )  # fmt: skip


def released() -> TicketReleased:
    return TicketReleased(ticket_id=TICKET, master_id=MASTER, by="li", reason="另一件事")


def reopened_with_its_master() -> TicketReopened:
    return TicketReopened(ticket_id=TICKET, by="a", reason="又停了", work_order_ids=(), master_id=MASTER)


def one_answered(order_id: UUID) -> WorkOrderAnswered:
    return WorkOrderAnswered(ticket_id=TICKET, work_order_id=order_id, department=POWER, text="已修复")


def heard(facts: Sequence[Fact]) -> Standing:
    """Where a new ticket stands after these facts, one a minute."""
    standing = NEW
    for minute, fact in enumerate(facts, 1):
        standing = hear(standing, at(minute, fact)) or standing
    return standing


REVIEW = ReviewRequested(ticket_id=TICKET, urgency="normal", candidates=())
WAY: list[Fact] = [
    classified(), assigned(FIRST), order(WorkOrderDelivered, FIRST), order(WorkOrderAccepted, FIRST),
    order(WorkOrderContacted, FIRST), one_answered(FIRST), answered(), told(after(7)), closed(),
]  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "stage"),
    [
        ([], "received"),
        ([REVIEW], "in_review"),
        (WAY[:1], "classified"),
        ([REVIEW, *WAY[:1]], "classified"),
        ([*WAY[:1], REVIEW], "classified"),
        (WAY[:2], "assigned"),
        ([*WAY[:2], classified()], "assigned"),
        (WAY[:3], "delivered"),
        (WAY[:4], "accepted"),
        ([*WAY[:2], WAY[3], WAY[2]], "accepted"),  # accepted by HTTP before the delivery was recorded
        (WAY[:5], "contacted"),
        (WAY[:6], "contacted"),
        (WAY[:7], "answered"),
        (WAY[:8], "told"),
        (WAY, "closed"),
        ([*WAY[:6], told(after(6)), answered()], "told"),  # the notice came on its own topic, sooner
        ([*WAY[:3], returned(FIRST)], "returned"),
        ([*WAY[:3], returned(FIRST), rule(FIRST, "reject")], "assigned"),
        ([*WAY[:3], returned(FIRST), rule(FIRST, "uphold")], "returned"),
        ([*WAY[:3], returned(FIRST), rule(FIRST, "uphold"), assigned(SECOND, SALES, FIRST)], "assigned"),
        ([*WAY[:2], assigned(SECOND, SALES), order(WorkOrderAccepted, SECOND)], "accepted"),
        ([*WAY[:4], assigned(SECOND, SALES)], "accepted"),
        ([*WAY[:4], assigned(SECOND, SALES), returned(SECOND)], "returned"),
        ([*WAY[:2], assigned(SECOND, SALES), one_answered(SECOND)], "accepted"),
        ([*WAY[:4], classified(), cancelled(FIRST)], "classified"),
        ([*WAY[:4], classified(), cancelled(FIRST), assigned(SECOND, SALES)], "assigned"),
        ([*WAY[:4], assigned(SECOND, SALES), cancelled(FIRST)], "assigned"),
        ([*WAY[:4], cancelled(FIRST), assigned(SECOND, SALES, FIRST)], "assigned"),  # moved with others
        ([*WAY[:4], cancelled(FIRST), order(WorkOrderContacted, FIRST)], "classified"),
        ([*WAY[:7], order(WorkOrderContacted, FIRST)], "answered"),
        ([*WAY, reopened()], "reopened"),
        ([*WAY, reopened(), order(WorkOrderAccepted, FIRST)], "accepted"),
        ([*WAY, reopened(), one_answered(FIRST), answered()], "answered"),
        ([*WAY[:7], reopened()], "reopened"),
        ([*WAY, reopened(), told(after(7))], "reopened"),  # of the round before
        ([*WAY[:7], told(after(7), recipient_kind="supervisor")], "answered"),
        ([*WAY[:7], told(after(7), kind="question_asked")], "answered"),
        ([*WAY[:1], merged()], "merged"),
        ([REVIEW, merged(), classified()], "merged"),
        ([*WAY[:4], merged(), cancelled(FIRST)], "merged"),
        ([*WAY[:4], cancelled(FIRST), merged()], "merged"),
        ([*WAY[:4], merged(), cancelled(FIRST), answered()], "answered"),
        ([*WAY[:1], merged(), answered(), told(after(3))], "told"),
        ([*WAY[:1], merged(), answered(), closed()], "closed"),
        ([*WAY[:1], merged(), answered(), told(after(3)), reopened_with_its_master()], "merged"),
        ([*WAY[:1], merged(), answered(), reopened_with_its_master(), told(after(3))], "merged"),  # of the round before
        ([*WAY[:1], merged(), answered(), reopened_with_its_master(), answered()], "answered"),
        ([*WAY[:4], merged(), cancelled(FIRST), released()], "classified"),
        ([*WAY[:4], merged(), cancelled(FIRST), released(), assigned(SECOND)], "assigned"),
        ([*WAY[:1], merged(), answered(), released()], "answered"),
        ([*WAY[:8], merged()], "told"),  # it has its answer
    ],
)
def test_a_ticket_stands_where_its_furthest_department_is(facts: list[Fact], stage: str) -> None:
    assert heard(facts).stage == stage


@pytest.mark.parametrize(
    "fact", [REVIEW, *WAY[:7], assigned(THIRD), returned(FIRST), rule(FIRST, "uphold"), closed()], ids=lambda f: f.type
)
def test_a_fact_about_a_closed_ticket_is_late_and_changes_nothing(fact: Fact) -> None:
    assert hear(heard(WAY), at(60, fact)) is None


def test_the_moment_the_agent_was_told_is_noted_even_when_heard_after_the_close() -> None:
    standing = heard([*WAY[:7], closed()])
    noted = hear(standing, at(9, told(after(7))))
    assert noted
    assert (noted.stage, noted.told_minutes, noted.reached["told"]) == ("closed", 2, after(9))
    assert hear(noted, at(12, told(after(7)))) is noted


def test_each_stage_keeps_the_time_it_was_first_reached() -> None:
    standing = heard(WAY)
    assert standing.reached == {
        "received": after(0), "classified": after(1), "assigned": after(2), "delivered": after(3),
        "accepted": after(4), "contacted": after(5), "answered": after(7), "told": after(8), "closed": after(9),
    }  # fmt: skip
    assert standing.since == after(9)
    assert standing.situation == "频繁停电"
    assert standing.lead_department == "市场营销部"


def test_measures_are_ours_until_dispatch_gives_its_own() -> None:
    before = heard(WAY[:5])
    assert (before.first_contact_minutes, before.hops, before.resolve_minutes) == (5, None, None)
    done = heard(WAY)
    assert (done.first_contact_minutes, done.hops, done.transfers, done.resolve_minutes) == (7, 4, 1, 30)
    assert done.told_minutes == 1


def test_a_transfer_is_counted_and_the_former_department_has_left() -> None:
    standing = heard([*WAY[:3], returned(FIRST), rule(FIRST, "uphold"), assigned(SECOND, SALES, FIRST)])
    assert standing.transfers == 1
    assert {each.department: each.state for each in standing.orders.values()} == {
        "power": "reassigned", "sales": "assigned",
    }  # fmt: skip
    assert hear(standing, at(9, assigned(SECOND, SALES, FIRST))) is standing


def test_a_reopened_ticket_forgets_how_its_last_round_ended() -> None:
    standing = heard([*WAY, reopened()])
    assert "answered" not in standing.reached
    assert "closed" not in standing.reached
    assert (standing.resolve_minutes, standing.told_minutes) == (None, None)
    again = hear(standing, at(20, answered()))
    assert again
    assert again.reached["answered"] == after(20)


def test_a_merged_ticket_names_its_master_until_it_is_released() -> None:
    standing = heard([*WAY[:4], merged(), cancelled(FIRST)])
    assert (standing.master_id, standing.since, standing.reached["merged"]) == (MASTER, after(5), after(5))
    assert {each.state for each in standing.orders.values()} == {"cancelled"}
    free = hear(standing, at(7, released()))
    assert free
    assert (free.master_id, free.stage, free.since) == (None, "classified", after(7))


def test_a_member_that_is_reopened_with_its_master_forgets_how_its_last_round_ended() -> None:
    standing = heard([*WAY[:1], merged(), answered(), told(after(3)), reopened_with_its_master()])
    assert (standing.stage, standing.since, standing.master_id) == ("merged", after(5), MASTER)
    assert standing.reached == {
        "received": after(0), "classified": after(1), "merged": after(2), "reopened": after(5)
    }  # fmt: skip
    assert (standing.resolve_minutes, standing.told_minutes) == (None, None)


@pytest.mark.parametrize("fact", [merged(), released()], ids=["merged", "released"])
def test_a_closed_ticket_is_neither_merged_nor_released(fact: Fact) -> None:
    assert hear(heard(WAY), at(60, fact)) is None


def test_a_split_ends_the_ticket_and_names_its_parts() -> None:
    parts = tuple(SplitPart(ticket_id=UUID(int=n), number=n, title="t", text="x") for n in (1, 2))
    asked = hear(NEW, at(1, ReviewRequested(ticket_id=TICKET, urgency="normal", candidates=())))
    assert asked is not None
    found = hear(asked, at(2, TicketSplit(ticket_id=TICKET, parts=parts, by="r")))
    assert found is not None
    assert (found.stage, found.since, found.parts) == ("split", after(2), (UUID(int=1), UUID(int=2)))
    assert hear(found, at(3, classified())) is None
