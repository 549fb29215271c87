"""What Zhida tells a department: the body of a webhook, read into types.

Fields and types this version does not know are kept and passed over, so that Zhida can add to them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Literal, Self, get_args

from zhida_receiver.signature import Delivery

NoticeType = Literal[
    "work_order.assigned",
    "work_order.reopened",  # the customer was not satisfied (发回重办)
    "work_order.cancelled",  # stop: closed, or no longer this department's
    "work_order.joined",  # it works for more tickets now
    "ticket.amended",  # the customer has added something
    "question.asked",  # the agent asks the department
    "question.answered",  # the agent answers the department's question
    "return.opened",  # to the lead department, for its ruling
    "return.ruled",  # to the department that returned the work order
    "test",
]
KNOWN_TYPES: frozenset[str] = frozenset(get_args(NoticeType))


class NoticeUnreadable(Exception):
    """The body is not what Zhida sends; `str()` names the field."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One verified and parsed webhook."""

    id: str  # webhook-id: the same over every retry
    type: str  # one of NoticeType, or one that a later Zhida has added
    timestamp: datetime  # when it happened, UTC
    data: Mapping[str, Any]

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        """Read a delivery's body. Raises NoticeUnreadable."""
        try:
            body = json.loads(delivery.body)
        except ValueError as error:
            raise NoticeUnreadable(f"body: not JSON ({error})") from None
        if not isinstance(body, dict):
            raise NoticeUnreadable("body: expected a JSON object")
        data = body.get("data")
        if not isinstance(data, dict):
            raise NoticeUnreadable("data: expected an object")
        kind = body.get("type")
        if not isinstance(kind, str) or not kind:
            raise NoticeUnreadable("type: expected a name such as work_order.assigned")
        return cls(delivery.id, kind, moment(body.get("timestamp"), "timestamp"), MappingProxyType(data))


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """One department's share of a ticket, as told by work_order.assigned and work_order.reopened."""

    work_order_id: str
    ticket_id: str
    department: str  # code
    lead_department: str  # code
    situation_code: str
    situation_name: str
    category_path: tuple[str, ...]
    title: str
    text: str
    place: str
    star: int | None  # 1-5
    urgency: str
    sensitive: bool  # the customer is on the ledger of sensitive customers (特殊群体)
    opened_at: datetime | None  # when the customer made the request
    amendments: tuple[str, ...]  # what the customer has added since
    due: Mapping[str, datetime]  # clock name → deadline; empty when none is told
    join_policy: str
    agent_id: str
    channel: str

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """Read the data of a notice, or an entry of the department API. Raises NoticeUnreadable."""
        situation = data.get("situation")
        due = data.get("due")
        path = data.get("category_path")
        star = data.get("star")
        opened_at = data.get("opened_at")
        amendments = data.get("amendments")
        return cls(
            work_order_id=_identifier(data, "work_order_id"),
            ticket_id=_identifier(data, "ticket_id"),
            department=_code(data.get("department")),
            lead_department=_code(data.get("lead_department")),
            situation_code=_text(situation, "code") if isinstance(situation, Mapping) else "",
            situation_name=_text(situation, "name") if isinstance(situation, Mapping) else "",
            category_path=tuple(str(level) for level in path) if isinstance(path, list) else (),
            title=_text(data, "title"),
            text=_text(data, "text"),
            place=_place(data.get("place")),
            star=star if isinstance(star, int) else None,
            urgency=_text(data, "urgency"),
            sensitive=data.get("sensitive") is True,
            opened_at=moment(opened_at, "data.opened_at") if opened_at is not None else None,
            amendments=tuple(
                _text(one, "text")
                for one in (amendments if isinstance(amendments, list) else ())
                if isinstance(one, Mapping)
            ),
            due={
                str(clock): moment(deadline, f"data.due.{clock}")
                for clock, deadline in (due.items() if isinstance(due, Mapping) else ())
                if deadline is not None
            },
            join_policy=_text(data, "join_policy"),
            agent_id=_text(data, "agent_id"),
            channel=_text(data, "channel"),
        )


def _identifier(data: Mapping[str, Any], field: str) -> str:
    value = data.get(field)
    if not isinstance(value, str) or not value:
        raise NoticeUnreadable(f"data.{field}: missing")
    return value


def _text(data: Mapping[str, Any], field: str) -> str:
    value = data.get(field)
    return "" if value is None else str(value)


def _code(department: object) -> str:
    if isinstance(department, Mapping):
        return _text(department, "code")
    return "" if department is None else str(department)


def _place(place: object) -> str:
    match place:
        case Mapping():
            return " ".join(str(part) for part in place.values() if part)
        case None:
            return ""
        case _:
            return str(place)


def moment(value: object, field: str) -> datetime:
    """An ISO 8601 time with its offset, in UTC. Raises NoticeUnreadable naming the field."""
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        raise NoticeUnreadable(f"{field}: expected an ISO 8601 time") from None
    if found.tzinfo is None:
        raise NoticeUnreadable(f"{field}: expected a time with an offset")
    return found.astimezone(UTC)
