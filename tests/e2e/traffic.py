"""Tickets as a call-centre platform publishes them, by the inbound topic and by HTTP, whatever breaks meanwhile."""

import asyncio
import itertools
import json
import secrets
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from aiokafka.errors import KafkaError

from libs.shared.events import INBOUND
from tests.e2e.zhida import PATIENCE, PLATFORM, Zhida, producing

AGENTS = ("A1001", "A1002", "A1003")

# Each is sure to be classified by the matrix's own phrases; what comes out is read from the events, not written here.
MATTERS = (
    ("小区变压器容量不足", "小区变压器太小，天天过载跳闸，变压器容量不够用，请求给小区变压器扩容。"),
    ("园区供电能力不足", "我们园区供电能力跟不上，开发区供电不足影响投产，请尽快落实配套电源和园区电力配套。"),
    ("反对变电站选址", "反对在小区旁建变电站，变电站离小区太近，变电站规划公示没有征求我们意见，请重新选址。"),
    ("高压线走向", "高压线走向不合理，线路路径从居民楼上方通过，高压线从我家房顶过，高压走廊太近。"),
    ("农网改造", "农网改造一直没有做，村里线路老化多年，农村电网改造什么时候轮到我们。"),
)


def ticket(title: str, text: str, *, agent_id: str | None = None, **more: Any) -> dict[str, Any]:
    """A ticket with a number of its own."""
    return {
        "channel": "95598",
        "external_ref": f"E2E-{secrets.token_hex(6)}",
        "agent_id": agent_id,
        "title": title,
        "text": text,
        "opened_at": datetime.now(UTC).isoformat(),
        **more,
    }


def tickets() -> Iterator[dict[str, Any]]:
    """Any number of different ones, of all matters and agents in turn."""
    for number in itertools.count(1):
        title, text = MATTERS[number % len(MATTERS)]
        name = AGENTS[number % len(AGENTS)]
        yield ticket(title, f"{text}第{number}户来电。", agent_id=name, customer={"star": number % 5 + 1})


async def flow(zhida: Zhida, offered: Sequence[dict[str, Any]], per_second: float) -> None:
    """Publish at that pace, every third by HTTP; returns once each is accepted, however often it had to be sent."""
    began = time.monotonic()
    by_http = [asyncio.create_task(_hand_in(zhida, each, began + n / per_second)) for n, each in _third(offered, 0)]
    try:
        rest = [*_third(offered, 1), *_third(offered, 2)]
        await _publish(zhida, [(began + n / per_second, each) for n, each in sorted(rest, key=lambda pair: pair[0])])
        await asyncio.gather(*by_http)
    finally:
        for task in by_http:
            task.cancel()
        await asyncio.gather(*by_http, return_exceptions=True)


def _third(offered: Sequence[dict[str, Any]], which: int) -> list[tuple[int, dict[str, Any]]]:
    return [(n, each) for n, each in enumerate(offered) if n % 3 == which]


async def _hand_in(zhida: Zhida, offered: dict[str, Any], at: float) -> None:
    await asyncio.sleep(at - time.monotonic())
    await zhida.insist(PLATFORM, "POST", "intake/v1/tickets", offered)


async def _publish(zhida: Zhida, offered: list[tuple[float, dict[str, Any]]]) -> None:
    """A record that was not acknowledged is sent again by a new producer: it may stand on the topic twice."""
    deadline = time.monotonic() + PATIENCE
    while offered:
        try:
            async with producing(zhida.stack.backend.kafka_bootstrap_servers) as producer:
                while offered:
                    at, each = offered[0]
                    await asyncio.sleep(at - time.monotonic())
                    name = f"{each['channel']}|{each['external_ref']}"
                    sent = producer.send_and_wait(INBOUND, json.dumps(each).encode(), key=name.encode())
                    await asyncio.wait_for(sent, 10)
                    del offered[0]
        except (KafkaError, TimeoutError, OSError) as error:
            assert time.monotonic() < deadline, f"Kafka does not take records: {error!r}"
            await asyncio.sleep(0.2)
