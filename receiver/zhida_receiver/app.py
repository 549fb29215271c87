"""A web application that receives Zhida's webhooks: verifies, deduplicates, hands over, answers.

| answer | when |
|---|---|
| what `on_delivery` replied, 204 by default | verified and new; if 2xx, kept and given again to every repeat |
| 400 | a webhook header is missing or unreadable, or the body is not what Zhida sends |
| 401 | the signature belongs to no key of ours, or was made too long ago |
| 413 | the body is larger than `most_bytes` |
| 500, 503 | `on_delivery` raised, or took longer than `timeout`: nothing kept, Zhida tries again |
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Final

from aiohttp import web

from zhida_receiver.batch import Batch
from zhida_receiver.key import Verifier
from zhida_receiver.notice import Notice, NoticeUnreadable
from zhida_receiver.receipt import KEEP, Receipt, Receipts, Reply
from zhida_receiver.signature import ID_HEADER, DeliveryUnverified, HeaderMissing, HeaderUnreadable, Keys

_FORGET_EVERY: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request that came in, and what it was answered."""

    received_at: datetime  # UTC
    id: str  # webhook-id, believed or not; may be empty
    notice: Notice | None  # None when it was not to be believed or read
    status: int
    duplicate: bool = False


OnDelivery = Callable[[Notice], Awaitable[Reply | None]]
OnAttempt = Callable[[Attempt], Awaitable[None]]


def receiver(
    on_delivery: OnDelivery,
    keys: Sequence[str] | Verifier,
    receipts: Receipts,
    *,
    path: str = "/webhooks",
    timeout: float = 10.0,  # seconds; Zhida waits a little longer
    most_bytes: int = 1024 * 1024,
    keep: timedelta = KEEP,
    on_attempt: OnAttempt | None = None,
) -> web.Application:
    """An application with `POST path` for Zhida and `GET /livez` for the department's own watch.

    `on_delivery` hears each webhook until it has replied 2xx (None is 204), then never again: repeats get the
    kept reply. Concurrent repeats wait for the first. A crash between the end of `on_delivery` and the keeping
    of its reply makes Zhida send it once more, so give outside effects a key made from `notice.id`; effects in
    SQLite can go through `Receipts.once` and are then exactly once. `on_attempt` is awaited before every answer.
    """
    verifier = keys if not isinstance(keys, Sequence) else Keys(keys)
    hall = _Hall(on_delivery, verifier, receipts, timeout, on_attempt)

    async def lifetime(_: web.Application) -> AsyncIterator[None]:
        forgetting = asyncio.create_task(_forget(receipts, keep))
        yield
        forgetting.cancel()
        await hall.close()

    app = web.Application(client_max_size=most_bytes)
    app.router.add_post(path, hall.answer)
    app.router.add_get("/livez", _alive)
    app.cleanup_ctx.append(lifetime)
    return app


class _Hall:
    """Where deliveries arrive: one at a time per webhook-id, any number side by side otherwise."""

    def __init__(
        self,
        on_delivery: OnDelivery,
        verifier: Verifier,
        receipts: Receipts,
        timeout: float,
        on_attempt: OnAttempt | None,
    ) -> None:
        self._on_delivery = on_delivery
        self._verifier = verifier
        self._receipts = receipts
        self._timeout = timeout
        self._on_attempt = on_attempt
        self._keeping = Batch(receipts.add)
        self._underway: dict[str, asyncio.Future[Reply]] = {}

    async def close(self) -> None:
        await self._keeping.close()

    async def answer(self, request: web.Request) -> web.Response:
        received_at = datetime.now(UTC)
        claimed = request.headers.get(ID_HEADER, "")
        notice: Notice | None = None
        duplicate = False
        try:
            body = await request.read()
            notice = Notice.of(self._verifier.verify(body, request.headers))
        except web.HTTPRequestEntityTooLarge:
            reply = _problem(413, "the body is larger than this receiver takes")
        except (HeaderMissing, HeaderUnreadable, NoticeUnreadable) as error:
            reply = _problem(400, str(error))
        except DeliveryUnverified as error:
            reply = _problem(401, str(error))
        else:
            reply, duplicate = await self._settle(notice, received_at)
        if self._on_attempt is not None:
            await self._on_attempt(Attempt(received_at, claimed, notice, reply.status, duplicate))
        return _response(reply)

    async def _settle(self, notice: Notice, received_at: datetime) -> tuple[Reply, bool]:
        """The reply to this delivery, and whether it is a repeat."""
        underway = self._underway.get(notice.id)
        if underway is not None:
            await asyncio.wait([underway])
            if underway.cancelled():
                return _problem(503, "the first copy of this delivery failed; send it again"), False
            return underway.result(), True
        kept = self._receipts.find(notice.id)
        if kept is not None:
            return kept.reply, True
        underway = self._underway[notice.id] = asyncio.get_running_loop().create_future()
        try:
            reply = await self._first(notice, received_at)
            underway.set_result(reply)
        finally:
            underway.cancel()  # without effect once it has its result
            del self._underway[notice.id]
        return reply, False

    async def _first(self, notice: Notice, received_at: datetime) -> Reply:
        try:
            async with asyncio.timeout(self._timeout):
                reply = await self._on_delivery(notice) or Reply()
        except TimeoutError:
            return _problem(503, f"not dealt with in {self._timeout:g} s")
        if not 200 <= reply.status < 300:
            return reply
        return (await self._keeping.put(Receipt(notice.id, received_at, reply))).reply


async def _alive(_: web.Request) -> web.Response:
    return web.Response(text="ok")


async def _forget(receipts: Receipts, keep: timedelta) -> None:
    while True:
        await asyncio.to_thread(receipts.forget, datetime.now(UTC) - keep)
        await asyncio.sleep(_FORGET_EVERY.total_seconds())


def _problem(status: int, detail: str) -> Reply:
    """A refusal as RFC 9457 writes it."""
    body = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Reply(status, json.dumps(body, ensure_ascii=False).encode(), "application/problem+json")


def _response(reply: Reply) -> web.Response:
    if not reply.body:
        return web.Response(status=reply.status, headers=dict(reply.headers))
    headers = {"Content-Type": reply.content_type, **dict(reply.headers)}
    return web.Response(status=reply.status, body=reply.body, headers=headers)
