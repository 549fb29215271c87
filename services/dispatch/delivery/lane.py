"""One endpoint in the process that sends to it: its queue, its connections, its breaker, and one attempt."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import random

import aiohttp
from yarl import URL

from libs.shared import outgoing
from services.dispatch.delivery import backoff, signing
from services.dispatch.delivery.breaker import Breaker, Outcome, Pace, outcome
from services.dispatch.delivery.signing import Key
from services.dispatch.domain.endpoint import Attempt, Delivery, Endpoint, Look

MARGIN = 5.0  # s of the lease that must be left when a request could end
ANSWER = 1024  # bytes of a refusing answer that are kept
QUEUE = 4  # deliveries in memory for each request at a time
AGENT = "Zhida/1 (+webhooks)"
LATE = timedelta(seconds=1)  # so long after its time a delivery is usually committed
WHOLE = 3.0  # s after which a look begins at the beginning again, for what was committed even later
BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass
class Lane:
    """The owner's side of an endpoint. Created and closed on the event loop."""

    endpoint: Endpoint
    keys: Sequence[tuple[Key, datetime | None]]  # the newest first, each with its expiry
    url: URL
    clock: Callable[[], datetime]
    session: aiohttp.ClientSession
    breaker: Breaker
    pace: Pace
    lease_until: float = 0.0  # monotonic
    under_way: int = 0
    closing: bool = False
    more: bool = False  # the last load was full: there may be more
    # What was due before has been seen. Without it each look would pass by the index entries of all that was settled
    # since they were last cleaned, which somebody's open snapshot may put off for long.
    floor: datetime = BEGINNING
    whole_at: float = 0.0  # monotonic: when a look begins at the beginning again
    queue: deque[Delivery] = field(default_factory=deque)

    @classmethod
    def open(
        cls, endpoint: Endpoint, keys: Sequence[tuple[Key, datetime | None]], clock: Callable[[], datetime]
    ) -> "Lane":
        """A lane for this version of the endpoint. Raises ValueError where its URL or networks are not allowed."""
        networks = outgoing.parse_networks(endpoint.networks)
        url = outgoing.check_url(endpoint.url, networks)
        session = aiohttp.ClientSession(
            connector=outgoing.connector(networks, limit=endpoint.concurrency),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=endpoint.timeout_seconds),
            headers={"User-Agent": AGENT, "Content-Type": "application/json", "Accept-Encoding": "identity"},
            auto_decompress=False,
        )
        pace = Pace(endpoint.concurrency, endpoint.concurrency)
        return cls(endpoint, keys, url, clock, session, endpoint.breaker, pace)

    @property
    def wants(self) -> int:
        """How many more deliveries to load; few where the endpoint would not be tried now."""
        room = self.breaker.room(self.clock(), self.under_way, self.pace.now)
        if self.closing or not room:
            return 0
        if self.breaker.state != "closed":
            return max(1 - len(self.queue), 0)
        space = QUEUE * self.pace.now - len(self.queue)
        return space if space > QUEUE * self.pace.now // 2 else 0  # larger loads, fewer of them

    def look(self) -> Look:
        """The look that is due now."""
        if time.monotonic() >= self.whole_at:
            self.floor, self.whole_at = BEGINNING, time.monotonic() + WHOLE
        return Look(self.wants, self.floor, self.clock())

    def load(self, look: Look, found: Sequence[Delivery], new: Iterable[Delivery]) -> None:
        """Queue what is new of what a look has found."""
        self.queue.extend(new)
        self.more = len(found) >= look.room
        self.floor = max(each.due_at for each in found) if self.more else max(look.floor, look.at - LATE)

    def may_start(self) -> bool:
        """Whether the next request may start: room at the endpoint, and enough of the lease left for it to end."""
        ends = time.monotonic() + self.endpoint.timeout_seconds + MARGIN
        room = self.breaker.room(self.clock(), self.under_way, self.pace.now)
        return bool(self.queue) and room > 0 and ends <= self.lease_until and not self.closing

    def begin(self) -> Delivery:
        """Take the next delivery; `attempt` must follow."""
        self.breaker = self.breaker.begin()
        self.under_way += 1
        return self.queue.popleft()

    def forget(self) -> list[Delivery]:
        """Empty the queue: its rows stand in the database."""
        left = list(self.queue)
        self.queue.clear()
        self.floor = BEGINNING
        return left

    async def attempt(self, delivery: Delivery) -> tuple[Attempt, Outcome]:
        """Send one delivery once, and draw the consequences for this endpoint. Raises nothing but cancellation."""
        at, began = self.clock(), time.monotonic()
        status, answer, error, wait = None, None, None, None
        try:
            keys = [key for key, expires_at in self.keys if expires_at is None or expires_at > at]
            headers = signing.headers(keys, str(delivery.delivery_id), at, delivery.body)
            headers["traceparent"] = delivery.traceparent
            async with self.session.post(
                self.url, data=delivery.body, headers=headers, allow_redirects=False
            ) as response:
                status = response.status
                beginning = await _beginning(response)
                wait = backoff.retry_after(response.headers.get("Retry-After"), self.clock())
            if not 200 <= status < 300:
                answer = beginning.decode("utf-8", "replace").replace("\x00", "") or None
                error = f"answered {status}"
        except (aiohttp.ClientError, OSError, ValueError) as problem:
            # An answer whose body broke off has still been given: its status counts.
            error = None if status is not None and 200 <= status < 300 else reason(problem)
        finally:
            self.under_way -= 1
        result = outcome(status, wait)
        now = self.clock()
        self.breaker = self.breaker.after(result, now, wait)
        self.pace = self.pace.after(result)
        number = delivery.attempts + 1
        return (
            Attempt(
                delivery=delivery,
                number=number,
                at=at,
                ms=round((time.monotonic() - began) * 1000),
                ok=result == "success",
                status=status,
                error=error,
                answer=answer,
                next_at=None if result == "success" else backoff.next_try(number, now, random(), wait),
                gone=result == "gone",
            ),
            result,
        )

    async def close(self) -> None:
        """Close the connections."""
        self.closing = True
        await self.session.close()


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """The first bytes of an answer. A longer one is not read on: its connection is closed instead of kept."""
    read = b""
    while len(read) < ANSWER and (chunk := await response.content.read(ANSWER - len(read))):
        read += chunk
    return read


def reason(error: Exception) -> str:
    """Why there was no answer, in few words; no part of any body."""
    if isinstance(error, TimeoutError):
        return "timeout"
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    text = getattr(inner, "strerror", None) or str(inner)
    return f"{type(error).__name__}: {text}".replace("\x00", "")[:300]
