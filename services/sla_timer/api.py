"""What people and programs may look at: a ticket's clocks, the running ones by deadline, the policy."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from libs.shared.contracts.classification import Department
from libs.shared.contracts.sla_timer import ClockKind
from libs.shared.storable import Instant
from libs.shared.web import Caller, Refused, after, caller, cursor, problems, running
from services.sla_timer import store
from services.sla_timer.domain.clock import State
from services.sla_timer.domain.policy import Policy
from services.sla_timer.store.row import promised

router = APIRouter(tags=["clocks"])

FAR = datetime(9999, 1, 1, tzinfo=UTC)
START = datetime(1, 1, 1, tzinfo=UTC), UUID(int=0)

Reader = Annotated[Caller, caller("agent", "department", "supervise")]


class ClockView(BaseModel):
    """One clock as it stands now."""

    clock_id: UUID
    ticket_id: UUID
    work_order_id: UUID | None = Field(description="null: the ticket's own clock")
    kind: ClockKind
    state: State
    department: Department | None = Field(description="whose clock it is; null: the ticket's")
    lead_department: Department
    supervisor: str
    started_at: datetime
    due_at: datetime
    limit_seconds: int
    remaining_seconds: float | None = Field(description="until due, negative when overdue; null: it has stopped")
    passed_percent: int = Field(description="the last warning point passed, 0: none")
    stopped_at: datetime | None
    rule: str = Field(description="the place in the policy that set the limit")


class TicketClocks(BaseModel):
    """Every clock of a ticket, oldest first."""

    ticket_id: UUID
    clocks: list[ClockView]


class ClockPage(BaseModel):
    """One page of clocks, the earliest deadline first."""

    items: list[ClockView]
    next: str | None


@router.get("/v1/tickets/{ticket_id}/clocks", summary="A ticket's clocks", responses=problems(404, 422))
async def clocks_of_ticket(request: Request, ticket_id: UUID, who: Reader) -> TicketClocks:
    """State, deadline and remaining seconds of each. A department sees tickets that it leads, else its own clocks."""
    rows = await store.of_ticket(running(request), ticket_id)
    if not _sees_all(who):
        own = [row for row in rows if who.principal in (row.department, row.lead)]
        rows = rows if any(row.lead == who.principal for row in own) else own
    if not rows:
        raise Refused(404, "Not found", "no clocks of such a ticket are known to this key")
    return TicketClocks(ticket_id=ticket_id, clocks=[_view(row) for row in rows])


@router.get("/v1/clocks", summary="Clocks by deadline", responses=problems(403, 422))
async def clocks(
    request: Request,
    *,
    who: Annotated[Caller, caller("department", "supervise")],
    state: State = "running",
    due_before: Instant | None = None,
    department: Annotated[str | None, Query(max_length=100, description="code; a department sees only its own")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    after_: Annotated[str | None, Query(alias="after", description="`next` of the page before")] = None,
) -> ClockPage:
    """Clocks in one state, the earliest deadline first."""
    if not who.scopes & {"supervise", "admin"}:
        if department not in (None, who.principal):
            raise Refused(403, "Forbidden", "a department sees only its own clocks")
        department = who.principal
    place: tuple[Any, ...] = after(after_, datetime.fromisoformat, UUID) or START
    rows = await store.page(
        running(request),
        state,
        department,
        before=due_before or FAR,
        after=(place[0], place[1]),
        count=limit + 1,
    )
    shown = rows[:limit]
    following = cursor(shown[-1].due_at, shown[-1].id) if len(rows) > limit else None
    return ClockPage(items=[_view(row) for row in shown], next=following)


@router.get("/v1/policy", summary="The SLA policy in force", responses=problems())
async def policy(request: Request, _: Reader) -> Policy:
    """Limits in seconds, warning points in per cent, and the level that hears of each."""
    found: Policy = running(request).resources
    return found


def _sees_all(who: Caller) -> bool:
    return bool(who.scopes & {"agent", "supervise", "admin"})


def _view(row: Any) -> ClockView:
    promise = promised(row)
    return ClockView(
        ticket_id=promise.ticket_id,
        state=row.state,
        remaining_seconds=(promise.due_at - row.now).total_seconds() if row.state == "running" else None,
        passed_percent=row.passed,
        stopped_at=row.stopped_at,
        rule=promise.rule,
        **dict(promise.told()),
    )
