"""Tries a department's receiver, written in whatever language, with the deliveries it must take and must refuse."""

import json
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import aiohttp

from zhida_receiver.signature import SIGNATURE_HEADER, new_key_pair, new_secret, signed_headers

_TIMEOUT: Final = 15.0  # seconds; Zhida waits about as long


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a receiver must do, and whether it did."""

    name: str
    good: bool
    seen: str


@dataclass(frozen=True, slots=True)
class _Response:
    status: int  # 0: none came
    body: bytes
    trouble: str = ""

    @property
    def taken(self) -> bool:
        return 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        return 400 <= self.status < 500

    def __str__(self) -> str:
        return self.trouble or f"answered {self.status}"


async def attempt(url: str, keys: Sequence[str]) -> AsyncIterator[Finding]:
    """Send the deliveries to `url`, signed with `keys` (`whsec_` or `whsk_`), and judge what comes back.

    The work order in them is invented and says so: a receiver under trial should not be one at work.
    """
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT)) as session:

        async def send(body: bytes, headers: Mapping[str, str]) -> _Response:
            headers = {"Content-Type": "application/json", **headers}
            try:
                async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                    return _Response(response.status, await response.read())
            except (aiohttp.ClientError, TimeoutError) as error:
                return _Response(0, b"", str(error) or type(error).__name__)

        now = datetime.now(UTC)
        body = sample()
        genuine = signed_headers(body, _new_id(), now, keys)
        first = await send(body, genuine)
        yield Finding("takes a genuine delivery with 2xx", first.taken, str(first))
        again = await send(body, genuine)
        yield Finding(
            "answers a repeat as it answered the first",
            (again.status, again.body) == (first.status, first.body) and again.taken,
            str(again),
        )
        strange = [new_key_pair()[0] if key.startswith("whsk_") else new_secret() for key in keys]
        both = signed_headers(body, _new_id(), now, [*strange, *keys])
        response = await send(body, both)
        yield Finding(
            "takes a delivery signed with an unknown key and its own (rotation)", response.taken, str(response)
        )
        later = sample("work_order.some_later_invention")
        response = await send(later, signed_headers(later, _new_id(), now, keys))
        yield Finding("takes a type it does not know, and passes over it", response.taken, str(response))

        bad: list[tuple[str, bytes, Mapping[str, str]]] = [
            ("refuses a changed body", body.replace(b"normal", b"urgent"), signed_headers(body, _new_id(), now, keys)),
            ("refuses an unknown key", body, signed_headers(body, _new_id(), now, strange)),
            (
                "refuses a delivery signed ten minutes ago",
                body,
                signed_headers(body, _new_id(), now - timedelta(minutes=10), keys),
            ),
            (
                "refuses a delivery signed ten minutes ahead",
                body,
                signed_headers(body, _new_id(), now + timedelta(minutes=10), keys),
            ),
            (
                "refuses a delivery without a signature",
                body,
                {n: v for n, v in signed_headers(body, _new_id(), now, keys).items() if n != SIGNATURE_HEADER},
            ),
        ]
        for name, content, headers in bad:
            response = await send(content, headers)
            yield Finding(f"{name} with 4xx", response.refused, str(response))


def sample(kind: str = "work_order.assigned") -> bytes:
    """The body of an invented webhook."""
    now = datetime.now(UTC)
    return json.dumps(
        {
            "type": kind,
            "timestamp": now.isoformat(),
            "data": {
                "work_order_id": str(uuid.uuid4()),
                "ticket_id": str(uuid.uuid4()),
                "department": {"code": "trial", "name": "试验部门"},
                "lead_department": {"code": "trial", "name": "试验部门"},
                "situation": {"code": "trial", "name": "接入试验"},
                "category_path": ["试验", "试验", "试验"],
                "title": "接入试验,请勿处理",
                "text": "这是一张用于接入试验的派工单,内容为虚构,无需处理。",
                "place": {"area_code": "000000", "address": "试验路1号"},
                "star": 1,
                "urgency": "normal",
                "due": {"accept": (now + timedelta(minutes=30)).isoformat()},
                "join_policy": "all",
                "agent_id": "trial",
                "channel": "95598",
            },
        },
        ensure_ascii=False,
    ).encode()


def _new_id() -> str:
    return f"trial_{uuid.uuid4().hex}"
