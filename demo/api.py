"""Zhida's HTTP APIs as the demo's players call them: a key, an Idempotency-Key for each command, patience.

Errors:
    ApiError
    ├── Refused         Zhida answered 4xx; `status` and `problem` say why
    │   └── Moved       409: not possible any more, something else has happened first
    └── Unanswered      no final answer after all attempts
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

ATTEMPTS = 8
PAUSE = 0.2  # s before the second attempt, doubled each time
TIMEOUT = aiohttp.ClientTimeout(total=30)


class ApiError(Exception):
    """A call that did not succeed."""


class Refused(ApiError):
    """Zhida said no."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(f"{status}: {problem.get('detail') or problem.get('title')}")
        self.status, self.problem = status, problem


class Moved(Refused):
    """409."""


class Unanswered(ApiError):
    """Zhida could not be reached, or had too much to do."""


@dataclass(frozen=True)
class Api:
    """One service, with one key."""

    session: aiohttp.ClientSession
    base_url: str
    key: str

    async def get(self, path: str, **query: str | int) -> Any:
        """The answer's JSON. Raises Refused, Unanswered."""
        return await self._send("GET", path, query=query)

    async def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """The same for a change that may be repeated."""
        return await self._send("PUT", path, body=body)

    async def post(self, path: str, body: Mapping[str, Any], *, key: str, agent: str | None = None) -> Any:
        """The same for a command. `key`: its Idempotency-Key; `agent`: on whose behalf a platform calls."""
        headers = {"Idempotency-Key": key} | ({"X-Agent-Id": agent} if agent else {})
        return await self._send("POST", path, body=body, headers=headers)

    async def events(
        self, recipients: Sequence[str], last: str, patience: aiohttp.ClientTimeout
    ) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Id and notice of each event behind `last` on the recipients' stream, until it ends.

        Raises: aiohttp.ClientError, TimeoutError, OSError.
        """
        headers = {"Authorization": f"Bearer {self.key}"} | ({"Last-Event-ID": last} if last else {})
        query = {"recipients": ",".join(recipients)}
        url = f"{self.base_url}/v1/stream"
        async with self.session.get(url, params=query, headers=headers, timeout=patience) as answer:
            answer.raise_for_status()
            name = ""
            async for line in answer.content:
                if line.startswith(b"id: "):
                    name = line[4:].decode().strip()
                elif line.startswith(b"data: "):
                    yield name, orjson.loads(line[6:])

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        trouble = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(PAUSE * 2 ** (attempt - 1))
            try:
                async with self.session.request(
                    method,
                    self.base_url + path,
                    params=query,
                    json=body,
                    headers={"Authorization": f"Bearer {self.key}", **(headers or {})},
                    timeout=TIMEOUT,
                ) as answer:
                    raw = await answer.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                trouble = str(error) or type(error).__name__
                continue
            if answer.status < 300:
                return orjson.loads(raw) if raw else None
            problem = _problem(raw)
            if not _passing(answer.status, problem):
                raise (Moved if answer.status == 409 else Refused)(answer.status, problem)
            trouble = f"answered {answer.status}"
        raise Unanswered(f"{method} {path}: {trouble}, {ATTEMPTS} attempts")


def _passing(status: int, problem: Mapping[str, Any]) -> bool:
    """Whether the same request may succeed a little later; also while our own earlier copy of it still runs."""
    return status >= 500 or status == 429 or (status == 409 and problem.get("title") == "Request in progress")


def _problem(raw: bytes) -> Mapping[str, Any]:
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        found = None
    return found if isinstance(found, dict) else {"detail": raw[:200].decode("utf-8", "replace")}
