"""Tickets that follow a master: merged into it by a person, or members of a folded hot event (domain.md §2, §9)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias
from uuid import UUID

from libs.shared.contracts.classification import Department
from libs.shared.contracts.dispatch import Promised
from services.dispatch.domain.ticket import Ticket

State: TypeAlias = Literal["joining", "member", "leaving", "released"]


@dataclass(frozen=True, slots=True)
class Member:
    """A ticket and its master."""

    ticket_id: UUID
    master_id: UUID
    state: State
    departments: tuple[Department, ...]  # which had a share in it, or would have got one; get it back
    hot_event: bool  # the master is a hot event's
    by: str  # principal, or "classification"
    reason: str | None


@dataclass(frozen=True, slots=True)
class Master:
    """A ticket that works for others. `over`: no more join it by themselves."""

    master_id: UUID
    over: bool
    dissolved_by: str | None  # its members go their own ways again
    reason: str | None


def promised(tickets: Iterable[Ticket]) -> tuple[Promised, ...]:
    """What these tickets were promised: of several with the same limit the earliest."""
    found: dict[tuple[object, ...], Promised] = {}
    for ticket in tickets:
        brief = ticket.brief
        promise = Promised(
            star=brief.star,
            urgency=brief.urgency,
            sla_class=brief.sla_class,
            repeats=brief.repeats,
            opened_at=brief.opened_at,
        )
        key = promise.star, promise.urgency, promise.sla_class, promise.repeats
        if key not in found or promise.opened_at < found[key].opened_at:
            found[key] = promise
    return tuple(found.values())


def behind(master: Ticket, member: Ticket) -> Literal["answer", "reopen"] | None:
    """What a member has yet to follow of what its master did."""
    if member.state == "closed":
        return None
    if master.state == "open":
        return "reopen" if member.state == "answered" else None
    if master.answered_at is None:
        return None
    stale = member.answered_at is None or member.answered_at < master.answered_at
    return "answer" if member.state == "open" or stale else None
