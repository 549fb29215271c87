"""Sends notices to channels. Deliveries are rows; one process holds the lease `channels` and works them off.

A crash between sending and recording sends once more, under the same id: receivers drop what they have seen.
"""

import asyncio
import random
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import aiohttp
from prometheus_client import Counter
from sqlalchemy.exc import SQLAlchemyError

from libs.shared import outgoing
from libs.shared.contracts.notification import NotificationFailed, NotificationSent
from libs.shared.outgoing import AddressRefused, UrlRefused
from libs.shared.service import Running
from libs.shared.telemetry import log
from services.notification.domain import channel as rules
from services.notification.domain.channel import Outcome
from services.notification.domain.notice import Recipient
from services.notification.resources import Resources
from services.notification.store import channel as store
from services.notification.store.channel import Result

LEASE_SECONDS = 60.0
TIMEOUT_SECONDS = 10.0  # of one request
SHARE = 5  # deliveries of one channel in one round, one after the other: SHARE * TIMEOUT + 5 < LEASE
LOOK_SECONDS = 1.0
ANSWER_BYTES = 4096  # of a robot's answer

ATTEMPTS = Counter("zhida_channel_attempts_total", "Requests to channels", ["outcome"])


async def run(running: Running) -> None:
    """Hold the lease and send what is due until the process stops; errors of the database are retried."""
    while not running.stopping.is_set():
        try:
            if not await running.hold("channels", LEASE_SECONDS):
                await running.pause(LEASE_SECONDS / 6)
            elif not await round_(running):
                await running.wait("channels", LOOK_SECONDS)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            log.warning("channels.retry", error=type(error).__name__)
            await running.pause(LOOK_SECONDS)
    await running.release("channels")


async def round_(running: Running) -> int:
    """Send what is due, each channel's own in order, all channels at once; answers how many were tried."""
    rows = await store.due(running, SHARE)
    if rows:
        groups = [list(group) for _, group in groupby(rows, key=lambda row: row.channel)]
        await asyncio.gather(*[_work_off(running, group) for group in groups])
    return len(rows)


async def _work_off(running: Running, rows: Sequence[Any]) -> None:
    """Send one channel's deliveries and record them; the first that fails leaves the rest for later, untried."""
    tried: list[tuple[Any, Outcome]] = []
    async with _session(rows[0]) as session:
        for row in rows:
            if running.stopping.is_set():
                break
            outcome = await _attempt(running, session, row)
            tried.append((row, outcome))
            if not outcome.sent and not row.removed:
                break
    await _record(running, tried)


def _session(row: Any) -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    connector = outgoing.connector(outgoing.parse_networks(row.networks), limit=1)
    return aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False)


async def _attempt(running: Running, session: aiohttp.ClientSession, row: Any) -> Outcome:
    if row.removed:
        return Outcome(False, None, "channel_removed")
    if row.data is None:
        return Outcome(False, None, "notice_gone")
    resources: Resources = running.resources
    sent = rules.body(row.format, resources.show(row))
    timestamp = int(running.now().timestamp())
    headers = {
        "content-type": "application/json",
        "webhook-id": str(row.delivery_id),
        "webhook-timestamp": str(timestamp),
    }
    if row.secret:
        headers["webhook-signature"] = rules.signature(row.secret, str(row.delivery_id), timestamp, sent)
    try:
        url = outgoing.check_url(row.url, outgoing.parse_networks(row.networks))
        async with session.post(url, data=sent, headers=headers, allow_redirects=False) as answer:
            body = await answer.content.read(ANSWER_BYTES)
            return rules.judge(row.format, answer.status, body, _seconds(answer.headers.get("retry-after", "")))
    except UrlRefused as error:
        return Outcome(False, None, f"url refused: {error}")
    except aiohttp.ClientConnectorError as error:
        refused = isinstance(error.os_error, AddressRefused)
        return Outcome(False, None, "address refused" if refused else "cannot connect")
    except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
        return Outcome(False, None, type(error).__name__)


def _seconds(header: str) -> float | None:
    return float(header) if header.isascii() and header.isdigit() and len(header) < 9 else None


async def _record(running: Running, tried: Sequence[tuple[Any, Outcome]]) -> None:
    results = {row.delivery_id: (row, _result(row, outcome)) for row, outcome in tried}
    async with running.transaction({str(row.ticket_id) for row, _ in tried}) as tx:
        counted = await store.settle(tx, [result for _, result in results.values()])
        for id_, (row, result) in results.items():
            if id_ in counted and result.state != "pending":
                tx.publish(_said(row, result))
    for _, result in results.values():
        ATTEMPTS.labels(result.state if result.state != "pending" else "retry").inc()


def _result(row: Any, outcome: Outcome) -> Result:
    attempt = row.attempts + 1
    if outcome.sent:
        return Result(row.delivery_id, row.ticket_id, attempt, "sent", outcome.status, "", None)
    final = row.removed or row.data is None
    wait = None if final else rules.wait(attempt, outcome.retry_after, random.random())
    state: rules.State = "failed" if wait is None else "pending"
    return Result(row.delivery_id, row.ticket_id, attempt, state, outcome.status, outcome.reason, wait)


def _said(row: Any, result: Result) -> NotificationSent | NotificationFailed:
    recipient = Recipient.at(row.recipient)
    if result.state == "sent":
        return NotificationSent(
            ticket_id=row.ticket_id,
            notification_id=row.delivery_id,
            recipient_kind=recipient.kind,
            recipient=recipient.id,
            kind=row.kind,
            channel=row.channel,
            number=None,
            caused_at=row.caused_at,
        )
    return NotificationFailed(
        ticket_id=row.ticket_id,
        notification_id=row.delivery_id,
        recipient_kind=recipient.kind,
        recipient=recipient.id,
        kind=row.kind,
        channel=row.channel,
        attempts=result.attempt,
        reason=result.reason,
    )
