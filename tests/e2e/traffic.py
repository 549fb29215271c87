"""Tickets as a call-centre platform publishes them, by the inbound topic and by HTTP, whatever breaks meanwhile."""

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from aiokafka.errors import KafkaError

from libs.shared.events import INBOUND
from reconcile import Ledger
from tests.e2e.zhida import PATIENCE, PLATFORM, Zhida, producing

PACE, RUSH, TRICKLE = 25.0, 100, 5.0  # tickets a second, tickets, tickets a second

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


async def hand_in(zhida: Zhida, offered: dict[str, Any], ledger: Ledger) -> None:
    """By HTTP, until intake has answered that it is taken."""
    offer = ledger.offered(_name(offered))
    answer = await zhida.insist(PLATFORM, "POST", "intake/v1/tickets", offered)
    ledger.answered(offer, 202, answer["ticket_id"])


async def publish(zhida: Zhida, waiting: "asyncio.Queue[dict[str, Any]]", ledger: Ledger) -> None:
    """By the inbound topic, for ever. What was not acknowledged is sent again, so it may stand there twice."""
    each: dict[str, Any] | None = None
    offer = -1
    while True:
        deadline = time.monotonic() + PATIENCE
        try:
            async with producing(zhida.stack.backend.kafka_bootstrap_servers) as producer:
                while True:
                    if each is None:
                        each = await waiting.get()
                        offer = ledger.offered(_name(each))
                    sent = producer.send_and_wait(INBOUND, json.dumps(each).encode(), key=_name(each).encode())
                    place = await asyncio.wait_for(sent, 10)
                    ledger.published(offer, place.partition, place.offset)
                    each, deadline = None, time.monotonic() + PATIENCE
                    waiting.task_done()
        except (KafkaError, TimeoutError, OSError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.2)


def _name(offered: dict[str, Any]) -> str:
    return f"{offered['channel']}|{offered['external_ref']}"


async def flow(zhida: Zhida, tickets: Iterator[dict[str, Any]], stop: asyncio.Event, ledger: Ledger) -> None:
    """Hand tickets in, every third by HTTP, until told to stop; ends once each is accepted.

    The first RUSH come at PACE, those after them at TRICKLE: the flow lasts as long as the machine needs, whatever
    else it does, and does not swell meanwhile.
    """
    waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        publishing = group.create_task(publish(zhida, waiting, ledger))
        for number, each in enumerate(tickets):
            if number % 3:
                waiting.put_nowait(each)
            else:
                group.create_task(hand_in(zhida, each, ledger))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 1 / (PACE if number < RUSH else TRICKLE))
            if stop.is_set():
                break
        await waiting.join()
        publishing.cancel()
