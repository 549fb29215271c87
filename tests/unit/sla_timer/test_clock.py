"""When clocks start and how long they may run: tables."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest

from libs.shared.contracts.classification import Department
from libs.shared.contracts.dispatch import MasterJoined, Promised, WorkOrderAssigned
from libs.shared.events import Envelope
from services.sla_timer import policy_file
from services.sla_timer.domain import clock
from services.sla_timer.domain.clock import STAGES, Joined, Known, Plan, Promise, State, WorkOrder

OPENED = datetime(2026, 11, 20, 8, tzinfo=UTC)
ASSIGNED = OPENED + timedelta(minutes=2)
TICKET, ORDER = UUID(int=1), UUID(int=2)
REPAIR, LEAD = Department(code="repair", name="抢修班"), Department(code="lead", name="生产设备管理部")
POLICY = policy_file.load(policy_file.DEFAULT)


def ids() -> Callable[[], UUID]:
    numbers = count(100)
    return lambda: UUID(int=next(numbers))


def assigned(**changes: Any) -> WorkOrderAssigned:
    values: dict[str, Any] = {
        "ticket_id": TICKET,
        "work_order_id": ORDER,
        "department": REPAIR,
        "lead_department": LEAD,
        "supervisor": "sup",
        "agent_id": "a1",
        "sla_class": "maintenance",
        "star": 1,
        "urgency": "normal",
        "opened_at": OPENED,
        "situation": "停电",
    }
    event = WorkOrderAssigned(**{**values, **changes})
    return event.enveloped(Envelope(UUID(int=9), "dispatch", ASSIGNED, 1, ""))


def promise(**changes: Any) -> Promise:
    values: dict[str, Any] = {
        "id": UUID(int=50),
        "ticket_id": TICKET,
        "work_order_id": ORDER,
        "kind": "accept",
        "department": REPAIR,
        "lead_department": LEAD,
        "supervisor": "sup",
        "started_at": ASSIGNED,
        "limit_seconds": 1800,
        "rule": "default: limits.accept",
        "sla_class": "maintenance",
        "star": 1,
    }
    return Promise(**{**values, **changes})


def resolve(limit_seconds: int = 96 * 3600, **changes: Any) -> Promise:
    return promise(
        **{"work_order_id": None, "kind": "resolve", "department": None, "started_at": OPENED, **changes},
        limit_seconds=limit_seconds,
    )


def plan(event: WorkOrderAssigned, order: WorkOrder | None = None, known: list[Known] | None = None) -> Plan:
    return clock.assign(event, order or WorkOrder(ORDER, TICKET), known or [], POLICY, ids())


def test_an_assignment_starts_three_clocks_said_in_one_event() -> None:
    made = plan(assigned())
    assert [(each.kind, each.started_at, each.due_at, each.work_order_id) for each in made.starts] == [
        ("accept", ASSIGNED, ASSIGNED + timedelta(minutes=30), ORDER),
        ("first_contact", ASSIGNED, ASSIGNED + timedelta(hours=2), ORDER),
        ("resolve", OPENED, OPENED + timedelta(hours=96), None),
    ]
    said = made.said()
    assert [(each.kind, each.department) for each in said.clocks] == [
        ("accept", REPAIR),
        ("first_contact", REPAIR),
        ("resolve", None),
    ]


@pytest.mark.parametrize(
    ("order", "kinds"),
    [
        (WorkOrder(ORDER, TICKET), ["accept", "first_contact", "resolve"]),
        (WorkOrder(ORDER, TICKET, accepted=True), ["first_contact", "resolve"]),
        (WorkOrder(ORDER, TICKET, contacted=True), ["resolve"]),
        (WorkOrder(ORDER, TICKET, ended=True), ["resolve"]),
        (WorkOrder(ORDER, TICKET, ticket_ended=True), []),
    ],
)
def test_a_stage_that_was_heard_of_before_starts_no_clock(order: WorkOrder, kinds: list[str]) -> None:
    assert [each.kind for each in plan(assigned(), order).starts] == kinds


@pytest.mark.parametrize("changes", [{"repeats": 2}, {"channel": "12398"}])
def test_a_repeat_and_an_escalated_ticket_have_stricter_clocks(changes: dict[str, Any]) -> None:
    made = plan(assigned(**changes))
    assert [(each.kind, each.limit_seconds) for each in made.starts] == [
        ("accept", 1350),
        ("first_contact", 5400),
        ("resolve", 72 * 3600),
    ]
    assert {each.rule.rpartition(", ")[2] for each in made.starts} == {"75 % by repeated"}


def promised(hours_earlier: int, **changes: Any) -> Promised:
    opened = OPENED - timedelta(hours=hours_earlier)
    values = {"star": 1, "urgency": "normal", "sla_class": "maintenance", "repeats": 0, "opened_at": opened}
    return Promised(**{**values, **changes})


def joined(*members: Promised) -> MasterJoined:
    return MasterJoined(ticket_id=TICKET, tickets=(UUID(int=70),), members=1, promised=members)


@pytest.mark.parametrize(
    ("members", "bound"),
    [
        ([promised(0)], None),
        ([promised(-5)], None),
        ([promised(3)], (3, 96)),
        ([promised(-5, star=5)], (-5, 8)),
        ([promised(3), promised(-5, star=5), promised(80, sla_class="construction")], (-5, 8)),
        ([promised(0, repeats=1)], (0, 72)),
        ([promised(0, channel="12345")], (0, 72)),
        ([promised(400)], (400, 96)),  # its time is over already
        ([], None),
    ],
)
def test_a_master_is_bound_by_the_strictest_promise_of_all(
    members: list[Promised], bound: tuple[int, int] | None
) -> None:
    strictest, made = clock.join(joined(*members), None, [Known(resolve(), "running")], POLICY, ids())
    clocks = [((OPENED - each.started_at).total_seconds() / 3600, each.limit_seconds / 3600) for each in made.starts]
    assert clocks == ([bound] if bound else [])
    assert made.replaced == ((resolve().id,) if bound else ())
    assert (strictest is None) == (not members)
    assert all(
        (each.lead_department, each.supervisor, each.work_order_id) == (LEAD, "sup", None) for each in made.starts
    )


def test_what_joins_later_never_loosens_a_masters_clock() -> None:
    first, made = clock.join(joined(promised(3, star=5)), None, [Known(resolve(), "running")], POLICY, ids())
    assert first
    known = [Known(resolve(), "cancelled"), Known(made.starts[0], "running")]
    again, more = clock.join(joined(promised(90)), first, known, POLICY, ids())
    assert (again, more) == (first, Plan(TICKET))


def test_what_joined_before_the_first_work_order_binds_its_clock() -> None:
    strictest, made = clock.join(joined(promised(3)), None, [], POLICY, ids())
    assert made == Plan(TICKET)
    started = plan(assigned(), WorkOrder(ORDER, TICKET, joined=strictest)).starts[-1]
    assert (started.started_at, started.limit_seconds) == (OPENED - timedelta(hours=3), 96 * 3600)


@pytest.mark.parametrize(
    ("changes", "hours"),
    [
        ({}, None),
        ({"sla_class": "construction", "star": 5}, None),
        ({"star": 5}, 8),  # its own, from its own opening: due before the member's
        ({"star": 4}, None),  # due after it
    ],
)
def test_a_further_work_order_keeps_to_what_joined_or_is_stricter(changes: dict[str, Any], hours: int | None) -> None:
    strictest = Joined(
        OPENED - timedelta(hours=80), 96 * 3600, "default: limits.resolve.maintenance.1", "maintenance", 1
    )
    known = [Known(resolve(), "cancelled"), Known(strictest.over(resolve(), UUID(int=60)), "running")]
    made = plan(assigned(**changes), WorkOrder(ORDER, TICKET, joined=strictest), known)
    again = [each for each in made.starts if each.kind == "resolve"]
    assert [(each.started_at, each.limit_seconds) for each in again] == ([(OPENED, hours * 3600)] if hours else [])
    assert made.replaced == ((UUID(int=60),) if hours else ())


def test_a_reopened_master_has_the_limit_that_bound_it_last() -> None:
    strictest = Joined(OPENED - timedelta(hours=80), 8 * 3600, "rule", "maintenance", 5)
    known = [Known(resolve(), "cancelled"), Known(strictest.over(resolve(), UUID(int=49)), "met")]
    made = clock.restart(TICKET, [], known, at=ASSIGNED, new_id=ids(), kinds=("resolve",))
    assert [(each.started_at, each.limit_seconds) for each in made.starts] == [(ASSIGNED, 8 * 3600)]


@pytest.mark.parametrize(
    ("had", "star", "sla_class", "limit_hours"),
    [
        (1, 1, "maintenance", None),
        (1, 5, "maintenance", 8),
        (5, 1, "maintenance", None),
        (4, 4, "maintenance", None),
        (5, 1, "construction", 20 * 24),
        (1, 5, "construction", 20 * 24),
    ],
)
def test_a_further_work_order_tightens_the_resolve_clock_or_gives_it_the_new_class(
    had: int, star: int, sla_class: str, limit_hours: int | None
) -> None:
    hours = {1: 96, 4: 24, 5: 8}[had]
    known = [Known(resolve(hours * 3600, star=had), "running")]
    made = plan(assigned(star=star, sla_class=sla_class, opened_at=OPENED + timedelta(hours=1)), known=known)
    again = [each for each in made.starts if each.kind == "resolve"]
    assert [each.limit_seconds // 3600 for each in again] == ([limit_hours] if limit_hours else [])
    assert all((each.started_at, each.star) == (OPENED, max(had, star)) for each in again)
    assert len(made.replaced) == len(again)


def test_a_repeated_assignment_starts_nothing() -> None:
    known = [
        Known(promise(), "met"),
        Known(promise(kind="first_contact"), "running"),
        Known(resolve(), "running"),
    ]
    assert plan(assigned(), known=known).starts == ()


@pytest.mark.parametrize(
    ("state", "kinds", "started"),
    [
        ("running", (*STAGES, "resolve"), []),
        ("met", (*STAGES, "resolve"), ["accept", "resolve"]),
        ("missed", STAGES, ["accept"]),
        ("cancelled", ("resolve",), ["resolve"]),
    ],
)
def test_a_restart_begins_again_what_had_ended(state: State, kinds: tuple[Any, ...], started: list[str]) -> None:
    at = OPENED + timedelta(days=3)
    known = [Known(promise(), state), Known(resolve(8 * 3600), state)]
    made = clock.restart(TICKET, [WorkOrder(ORDER, TICKET)], known, at=at, new_id=ids(), kinds=kinds)
    assert [each.kind for each in made.starts] == started
    assert all(each.started_at == at for each in made.starts)
    assert {each.limit_seconds for each in made.starts} <= {1800, 8 * 3600}


def test_a_restart_takes_the_limit_of_the_clock_that_took_anothers_place() -> None:
    replaced = Known(promise(id=UUID(int=90), kind="resolve", work_order_id=None, limit_seconds=999), "cancelled")
    last = Known(promise(id=UUID(int=51), kind="resolve", work_order_id=None, limit_seconds=10), "missed")
    made = clock.restart(TICKET, [], [last, replaced], at=ASSIGNED, new_id=ids(), kinds=("resolve",))
    assert [each.limit_seconds for each in made.starts] == [10]


def test_a_restart_takes_the_limit_of_the_latest_clock() -> None:
    older = Known(resolve(96 * 3600), "cancelled")
    newer = Known(resolve(8 * 3600, id=UUID(int=60), started_at=OPENED + timedelta(hours=1)), "missed")
    made = clock.restart(TICKET, [], [newer, older], at=ASSIGNED, new_id=ids(), kinds=("resolve",))
    assert [each.limit_seconds for each in made.starts] == [8 * 3600]
