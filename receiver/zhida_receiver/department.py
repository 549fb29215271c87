"""A department's calls back to Zhida: its work orders, accept, contacted, ask the agent, answer, return, evidence.

Each command carries an Idempotency-Key and is repeated under the same key while Zhida cannot be reached or is
overloaded, so it takes effect once however often it had to be sent.

DepartmentError
├── Unreachable        no final answer after all attempts: repeat later under the same key
└── Refused            Zhida said no; `status`, `detail` and `problem` say why
    ├── KeyRefused     401, 403: the API key is unknown, expired, or not this department's
    ├── Unknown        404: no such work order, or not this department's
    └── MoveRefused    409: not possible in this state; `state` and `allowed` say what is
"""

import asyncio
import json
import random
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import quote

import aiohttp

from zhida_receiver.notice import WorkOrder

ATTEMPTS: Final = 8
_FIRST_PAUSE: Final = 0.2  # seconds, doubled with every attempt
_LONGEST_PAUSE: Final = 20.0  # seconds, also for a Retry-After

Decision = Literal["uphold", "reject"]


class DepartmentError(Exception):
    """The root of this module's errors."""


class Unreachable(DepartmentError):
    """No final answer after all attempts. Whether the last one took effect is unknown: repeat under the same key."""


class Refused(DepartmentError):
    """Zhida answered 4xx."""

    def __init__(self, status: int, detail: str, problem: Mapping[str, Any]) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail
        self.problem = problem  # the body, RFC 9457


class KeyRefused(Refused):
    """401 or 403."""


class Unknown(Refused):
    """404."""


class MoveRefused(Refused):
    """409."""

    @property
    def state(self) -> str:
        """The state that stands in the way."""
        return str(self.problem.get("state", ""))

    @property
    def allowed(self) -> tuple[str, ...]:
        """The moves that are possible instead."""
        return tuple(str(move) for move in self.problem.get("allowed") or ())


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An entry of the work order list: the order, its state, and all that Zhida said of it."""

    order: WorkOrder
    state: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list."""

    items: tuple[OpenOrder, ...]
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
        pause: float = _FIRST_PAUSE,  # seconds before the second attempt
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        self._base = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}", "Accept": "application/json"}
        self._attempts = attempts
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._pause = pause
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

    async def work_orders(self, state: str | None = None, *, after: str | None = None, limit: int = 100) -> Page:
        """One page of this department's work orders, oldest first. `state`: a state, "open" or "all"."""
        query = {"limit": str(limit)} | ({"state": state} if state else {}) | ({"after": after} if after else {})
        found = await self._send("GET", "/v1/work-orders", query=query)
        return Page(tuple(_open_order(item) for item in found.get("items", ())), found.get("next") or None)

    async def every_work_order(self, state: str | None = None) -> AsyncIterator[OpenOrder]:
        """All pages of `work_orders`, one order after another."""
        after: str | None = None
        while True:
            page = await self.work_orders(state, after=after)
            for item in page.items:
                yield item
            if page.after is None:
                return
            after = page.after

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
        headers = self._headers if key is None else {**self._headers, "Idempotency-Key": key}
        pause = self._pause
        trouble = ""
        for attempt in range(1, self._attempts + 1):
            wait: float | None = None
            try:
                async with self._session.request(
                    method,
                    self._base + path,
                    params=query,
                    json=body,
                    headers=headers,
                    timeout=self._timeout,
                    allow_redirects=False,
                ) as response:
                    raw = await response.read()
                if response.status < 300:
                    return _parsed(raw)
                answer = _parsed(raw)
                if not _passing(response.status, answer):
                    raise _refusal(response.status, answer)
                trouble = f"answered {response.status}"
                wait = _retry_after(response.headers.get("Retry-After"))
            except (aiohttp.ClientError, TimeoutError) as error:
                trouble = str(error) or type(error).__name__
            if attempt < self._attempts:
                # Full jitter: many departments that lost Zhida together do not come back together.
                await asyncio.sleep(random.uniform(0, pause) if wait is None else wait)
                pause = min(pause * 2, _LONGEST_PAUSE)
        raise Unreachable(f"{method} {path}: {trouble}, {self._attempts} attempts")


def _path(work_order_id: str) -> str:
    return f"/v1/work-orders/{quote(work_order_id, safe='')}"


def _filled(**fields: str | None) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value is not None}


def _open_order(data: Mapping[str, Any]) -> OpenOrder:
    return OpenOrder(WorkOrder.of(data), str(data.get("state", "")), data)


def _parsed(raw: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(raw) if raw else {}
    except ValueError:
        found = {"detail": raw[:200].decode("utf-8", "replace")}
    return found if isinstance(found, dict) else {"items": found}


def _passing(status: int, problem: Mapping[str, Any]) -> bool:
    """Whether the same request may succeed a little later. A 409 without a state: our earlier copy still runs."""
    return status >= 500 or status == 429 or (status == 409 and "state" not in problem)


def _refusal(status: int, problem: Mapping[str, Any]) -> Refused:
    detail = str(problem.get("detail") or problem.get("title") or "no reason given")
    match status:
        case 401 | 403:
            return KeyRefused(status, detail, problem)
        case 404:
            return Unknown(status, detail, problem)
        case 409:
            return MoveRefused(status, detail, problem)
        case _:
            return Refused(status, detail, problem)


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait; dates are passed over, our own pause then counts."""
    return min(float(value), _LONGEST_PAUSE) if value and value.isascii() and value.isdigit() else None
