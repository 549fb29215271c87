"""The returns court: a department's "not mine", and the ruling on it (domain.md §3)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

from services.dispatch.domain.order import Judge

Decision: TypeAlias = Literal["uphold", "reject"]


@dataclass(frozen=True, slots=True)
class ReturnCase:
    """One return and what became of it. Times are UTC."""

    return_id: UUID
    work_order_id: UUID
    ticket_id: UUID
    situation: str  # code; with the department: the cell of the matrix
    department: str  # code
    reason_code: str
    reason: str
    suggested_department: str | None
    judge_kind: Judge
    judge: str  # the lead department's code, or the supervisor's principal
    opened_at: datetime
    decision: Literal["uphold", "reject", "void"] | None = None  # void: the ticket moved on before a ruling
    ruled_by: str | None = None
    ruled_at: datetime | None = None
    note: str | None = None
    reassigned_to: str | None = None
    matrix_wrong: bool = False  # upheld, and the matrix itself is wrong here


def may_rule(case: ReturnCase, principal: str, scopes: frozenset[str]) -> bool:
    """Whether this caller is the judge: the lead department, or the supervisors for what has come to them.

    Any supervisor may rule on a second return, so that a missing one holds nothing up; so may an administrator.
    """
    if "admin" in scopes:
        return True
    match case.judge_kind:
        case "lead":
            return "department" in scopes and principal == case.judge
        case "supervisor":
            return "supervise" in scopes
