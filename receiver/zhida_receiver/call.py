"""One call to Zhida, repeated under the same Idempotency-Key until it has a final answer.

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
from collections.abc import Mapping
from typing import Any, Final

import aiohttp

ATTEMPTS: Final = 8
FIRST_PAUSE: Final = 0.2  # seconds, doubled with every attempt

_LONGEST_PAUSE: Final = 20.0  # seconds, also for a Retry-After


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


class Line:
    """The connection to one Zhida under one API key."""

    def __init__(self, base_url: str, api_key: str, *, attempts: int, timeout: float, pause: float) -> None:
        self._base = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}", "Accept": "application/json"}
        self._attempts = attempts
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._pause = pause

    async def send(
        self,
        session: aiohttp.ClientSession,
        method: str,
        path: str,
        body: Mapping[str, str] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Mapping[str, Any]:
        """The answer's JSON. Raises Unreachable, Refused."""
        headers = self._headers if key is None else {**self._headers, "Idempotency-Key": key}
        pause = self._pause
        trouble = ""
        for attempt in range(1, self._attempts + 1):
            wait: float | None = None
            try:
                async with session.request(
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
