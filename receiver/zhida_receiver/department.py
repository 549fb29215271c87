"""A department's calls back to Zhida: its work orders, accept, contacted, ask the agent, answer, return, evidence.

Each command carries an Idempotency-Key and is repeated under the same key while Zhida cannot be reached or is
overloaded, so it takes effect once however often it had to be sent. All raise what `call` lists.
"""

import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar
from urllib.parse import quote

import aiohttp

from zhida_receiver.call import ATTEMPTS, FIRST_PAUSE, Line
from zhida_receiver.notice import WorkOrder, moment

Decision = Literal["uphold", "reject"]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An entry of the work order list: the order, its state, and all that Zhida said of it."""

    order: WorkOrder
    state: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OpenReturn:
    """A return that waits for this department's ruling, as lead."""

    return_id: str
    work_order_id: str
    ticket_id: str
    reason_code: str
    reason: str
    suggested_department: str | None
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of a list."""

    items: tuple[Item, ...]
    after: str | None  # give it back as `after` for the next part; None: this was the last


class Department:
    """One department, by its API key. Use it as an async context manager, from one event loop."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        attempts: int = ATTEMPTS,
        timeout: float = 15.0,  # seconds, each attempt
        pause: float = FIRST_PAUSE,  # seconds before the second attempt
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        self._line = Line(base_url, api_key, attempts=attempts, timeout=timeout, pause=pause)
        self._session = session
        self._own_session = session is None

    async def __aenter__(self) -> Self:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._own_session and self._session is not None:
            await self._session.close()
            self._session = None

    async def work_orders(self, state: str = "open", *, after: str | None = None, limit: int = 100) -> Page[OpenOrder]:
        """One page of this department's work orders, oldest first. `state`: a state, "open" or "all"."""
        found = await self._page("/v1/work-orders", after, limit, state=state)
        return Page(tuple(_open_order(item) for item in found.get("items", ())), found.get("next") or None)

    async def every_work_order(self, state: str = "open") -> AsyncIterator[OpenOrder]:
        """All pages of `work_orders`, one order after another."""
        after: str | None = None
        while True:
            page = await self.work_orders(state, after=after)
            for item in page.items:
                yield item
            if page.after is None:
                return
            after = page.after

    async def returns(self, *, after: str | None = None, limit: int = 100) -> Page[OpenReturn]:
        """One page of the returns that wait for this department's ruling, oldest first."""
        found = await self._page("/v1/returns", after, limit)
        return Page(tuple(_open_return(item) for item in found.get("items", ())), found.get("next") or None)

    async def work_order(self, work_order_id: str) -> OpenOrder:
        """One work order as it stands now. Raises Unknown."""
        return _open_order(await self._send("GET", _path(work_order_id)))

    async def accept(self, work_order_id: str, *, key: str | None = None) -> Mapping[str, Any]:
        """Take the work order on. For all commands: `key` is the Idempotency-Key, a random one when not given;
        a key of your own (say, webhook-id and the command's name) also covers a restart of your program."""
        return await self._command(work_order_id, "accept", {}, key)

    async def contacted(
        self, work_order_id: str, *, note: str | None = None, key: str | None = None
    ) -> Mapping[str, Any]:
        """The customer was spoken to: stops the first-contact clock."""
        return await self._command(work_order_id, "contacted", _filled(note=note), key)

    async def ask_agent(self, work_order_id: str, text: str, *, key: str | None = None) -> Mapping[str, Any]:
        """Ask the front-line agent; the reply comes as the webhook question.answered."""
        return await self._command(work_order_id, "questions", {"text": text}, key)

    async def answer_question(self, question_id: str, text: str, *, key: str | None = None) -> Mapping[str, Any]:
        """Answer what the agent asked with the webhook question.asked."""
        path = f"/v1/questions/{quote(question_id, safe='')}/answer"
        return await self._send("POST", path, {"text": text}, key=key or str(uuid.uuid4()))

    async def answer(
        self, work_order_id: str, text: str, *, resolution: str | None = None, key: str | None = None
    ) -> Mapping[str, Any]:
        """The answer, straight to the agent's screen."""
        return await self._command(work_order_id, "answer", _filled(text=text, resolution=resolution), key)

    async def return_(
        self,
        work_order_id: str,
        reason_code: str,
        reason: str,
        *,
        suggested_department: str | None = None,
        key: str | None = None,
    ) -> Mapping[str, Any]:
        """Not ours, and why. The lead department rules on it."""
        body = _filled(reason_code=reason_code, reason=reason, suggested_department=suggested_department)
        return await self._command(work_order_id, "return", body, key)

    async def add_evidence(
        self, work_order_id: str, kind: str, uri: str, *, note: str | None = None, key: str | None = None
    ) -> Mapping[str, Any]:
        """Attach a photograph, record or sheet by its address."""
        return await self._command(work_order_id, "evidence", _filled(kind=kind, uri=uri, note=note), key)

    async def rule(
        self,
        work_order_id: str,
        decision: Decision,
        *,
        department: str | None = None,
        note: str | None = None,
        key: str | None = None,
    ) -> Mapping[str, Any]:
        """The lead department's ruling on a return: uphold it (to which `department`) or reject it, binding."""
        body = _filled(decision=decision, department=department, note=note)
        return await self._command(work_order_id, "ruling", body, key)

    async def _command(
        self, work_order_id: str, name: str, body: Mapping[str, str], key: str | None
    ) -> Mapping[str, Any]:
        return await self._send("POST", f"{_path(work_order_id)}/{name}", body, key=key or str(uuid.uuid4()))

    async def _page(self, path: str, after: str | None, limit: int, **query: str) -> Mapping[str, Any]:
        return await self._send("GET", path, query={"limit": str(limit), **query, **_filled(after=after)})

    async def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, str] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Mapping[str, Any]:
        if self._session is None:
            raise RuntimeError("use Department as an async context manager: async with Department(…) as department")
        return await self._line.send(self._session, method, path, body, query=query, key=key)


def _path(work_order_id: str) -> str:
    return f"/v1/work-orders/{quote(work_order_id, safe='')}"


def _filled(**fields: str | None) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value is not None}


def _open_order(data: Mapping[str, Any]) -> OpenOrder:
    return OpenOrder(WorkOrder.of(data), str(data.get("state", "")), data)


def _open_return(data: Mapping[str, Any]) -> OpenReturn:
    suggested = data.get("suggested_department")
    return OpenReturn(
        return_id=str(data["return_id"]),
        work_order_id=str(data["work_order_id"]),
        ticket_id=str(data["ticket_id"]),
        reason_code=str(data["reason_code"]),
        reason=str(data["reason"]),
        suggested_department=None if suggested is None else str(suggested),
        opened_at=moment(data["opened_at"], "opened_at"),
    )
