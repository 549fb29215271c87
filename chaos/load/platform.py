"""The call-centre platform: hands tickets in by HTTP and by the inbound topic, and enters each in the ledger."""

import asyncio
import itertools
import json
import random
import secrets
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from demo.api import Api, Refused, Unanswered
from libs.shared.events import INBOUND
from libs.shared.kafka import shut
from reconcile.ledger import Expected, Ledger

# Each is sure to be classified by the matrix's own phrases.
MATTERS: Final = (
    ("小区变压器容量不足", "小区变压器太小，天天过载跳闸，变压器容量不够用，请求给小区变压器扩容。"),
    ("园区供电能力不足", "我们园区供电能力跟不上，开发区供电不足影响投产，请尽快落实配套电源和园区电力配套。"),
    ("反对变电站选址", "反对在小区旁建变电站，变电站离小区太近，变电站规划公示没有征求我们意见，请重新选址。"),
    ("高压线走向", "高压线走向不合理，线路路径从居民楼上方通过，高压线从我家房顶过，高压走廊太近。"),
    ("农网改造", "农网改造一直没有做，村里线路老化多年，农村电网改造什么时候轮到我们。"),
)
BY_HTTP = 3  # one ticket in so many comes by HTTP
URGENT = 20  # one in so many is urgent, its customer has five stars: its clocks are the short ones of the policy
PRESSING = "家里有老人靠制氧机。"
REPEATS, CONFLICTS, BAD = 40, 90, 70  # one in so many comes again, comes again with another text, is no ticket
UNDER_WAY = 200  # requests and records not yet confirmed, at most
SEND_TIME = 20.0  # s until a record must be confirmed


@dataclass(frozen=True, slots=True)
class Offer:
    """Something to hand in. `name`: channel|external_ref, empty where it has none."""

    name: str
    body: bytes
    http: bool
    expect: Expected = "ticket"


@dataclass
class Platform:
    """Hands tickets in, `rate` a second, until told to stop. `open_tickets` says how many are not closed yet."""

    intake: Api
    kafka: str
    ledger: Ledger
    agents: tuple[str, ...]
    rate: float
    most_open: int
    open_tickets: Callable[[int], int]
    seed: int
    most: int | None = None  # tickets
    tickets: int = 0  # handed to the network so far, each reference once
    counts: Counter[str] = field(default_factory=Counter)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(UNDER_WAY))
    _producer: AIOKafkaProducer | None = None
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    _later: deque[Offer] = field(default_factory=lambda: deque(maxlen=200))  # to be handed in once more

    async def run(self) -> None:
        """Hand in until told to stop; ends once each ticket is confirmed."""
        draw = random.Random(f"{self.seed}|platform")
        run = secrets.token_hex(3)
        pace, loop = 1 / self.rate, asyncio.get_running_loop()
        due = loop.time()
        async with asyncio.TaskGroup() as group:
            for number in itertools.count():
                if self.stopping.is_set() or (self.most is not None and self.tickets >= self.most):
                    break
                due = max(due + pace, loop.time() - 1)  # what was held back for long is not made up for
                if (wait := due - loop.time()) > 0.002:
                    await asyncio.sleep(wait)
                await self._room()
                for offer in self._next(f"{run}-{number}", number, draw):
                    await self._places.acquire()
                    group.create_task(self._hand_in(offer))
        await self._close()

    async def _room(self) -> None:
        """Wait while too many tickets are open."""
        while not self.stopping.is_set():
            if self.open_tickets(self.tickets) <= self.most_open:
                return
            await asyncio.sleep(0.05)

    def _next(self, reference: str, number: int, draw: random.Random) -> list[Offer]:
        title, text = MATTERS[number % len(MATTERS)]
        urgent = number % URGENT == 0
        body = {
            "channel": "95598",
            "external_ref": reference,
            "agent_id": self.agents[number % len(self.agents)],
            "title": title,
            "text": f"{text}第{number}户来电。{PRESSING if urgent else ''}",
            "customer": {"star": 5 if urgent else number % 4 + 1},
            "opened_at": datetime.now(UTC).isoformat(),
        }
        self.tickets += 1
        offers = [Offer(f"95598|{reference}", _bytes(body), number % BY_HTTP == 0)]
        if self._later and draw.random() < 1 / REPEATS:
            again = self._later[0]
            offers.append(Offer(again.name, again.body, draw.random() < 0.5))
        if self._later and draw.random() < 1 / CONFLICTS:
            other = self._later.popleft()
            changed = {**json.loads(other.body), "text": "同一编号，却是另一件事。"}
            by_http = draw.random() < 0.5
            # What is confirmed on the topic need not be read yet: only there the other one is sure to come second.
            offers.append(Offer(other.name, _bytes(changed), other.http and by_http, "refused"))
        if draw.random() < 1 / BAD:
            offers.append(_bad(f"{reference}-bad", draw))
        return offers

    async def _hand_in(self, offer: Offer) -> None:
        try:
            await (self._by_http if offer.http else self._by_kafka)(offer)
            self.counts[f"{'http' if offer.http else 'kafka'} {offer.expect}"] += 1
            if offer.expect == "ticket":
                self._later.append(offer)
        finally:
            self._places.release()

    async def _by_http(self, offer: Offer) -> None:
        """Under one key until there is a final answer."""
        key = secrets.token_hex(12)
        number = self.ledger.offered(offer.name, key, offer.expect)
        while True:
            try:
                answer = await self.intake.post("/v1/tickets", json.loads(offer.body), key=key)
            except Unanswered:
                continue
            except Refused as refused:
                self.ledger.answered(number, refused.status)
                if offer.expect == "ticket":
                    self.counts["http refused a ticket"] += 1
                return
            self.ledger.answered(number, 202, answer["ticket_id"])
            return

    async def _by_kafka(self, offer: Offer) -> None:
        """Until it is confirmed; what was not is a record of its own when it is sent again."""
        while True:
            number = self.ledger.offered(offer.name, None, offer.expect)
            try:
                producer = await self._open()
                sent = await asyncio.wait_for(
                    producer.send_and_wait(INBOUND, offer.body, key=offer.name.encode() or None), SEND_TIME
                )
            except (KafkaError, TimeoutError, OSError):
                self.ledger.unknown(number)
                self.counts["kafka unconfirmed"] += 1
                await self._close()
                await asyncio.sleep(0.2)
                continue
            self.ledger.published(number, sent.partition, sent.offset)
            return

    async def _open(self) -> AIOKafkaProducer:
        async with self._opening:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self.kafka,
                    acks="all",
                    enable_idempotence=True,
                    request_timeout_ms=10_000,
                    linger_ms=2,
                )
                try:
                    await producer.start()
                except BaseException:
                    await shut(producer, producer.client, 1)
                    raise
                self._producer = producer
            return self._producer

    async def _close(self) -> None:
        producer, self._producer = self._producer, None
        if producer:
            await shut(producer, producer.client, 5)


def _bytes(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


def _bad(reference: str, draw: random.Random) -> Offer:
    """A record of the inbound topic that intake must refuse by name."""
    plain = {"channel": "12345", "external_ref": reference, "title": "路灯不亮", "text": "小区门口路灯三天不亮。"}
    value = draw.choice(
        (
            b'{"channel": "12345", ',
            _bytes({**plain, "priority": "high"}),
            _bytes({**plain, "customer": {"star": 9}}),
            _bytes({**plain, "text": "很长。" * 60_000}),
        )
    )
    return Offer(f"12345|{reference}", value, False, "refused")
