"""Many connections, each sending one ticket after the other: `generator PORT KEY CONNECTIONS WARM SECONDS`.

Writes one line of JSON: tickets answered 202 within the measured seconds, in all, and what else was answered.
"""

import asyncio
import json
import secrets
import sys
import time
from collections import Counter
from typing import cast

import orjson
import uvloop

from deploy.local.leash import leash

TICKET = {
    "channel": "95598",
    "external_ref": "@@@@",
    "agent_id": "agent-7",
    "title": "小区停电两天",
    "text": "2栋从前天晚上停电，联系电话13812345678，请尽快处理。",
    "place": {"area_code": "430102", "address": "幸福路1号2栋1301，联系人电话 0731-82345678"},
    "customer": {"customer_id": "C-1", "name": "张三", "phone": "138 1234 5678", "star": 3},
}


class Connection(asyncio.Protocol):
    """One connection: the next ticket goes when the last was answered."""

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self.load.next())

    def data_received(self, data: bytes) -> None:
        """Count an answer and send the next."""
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) < length:
            return
        self.received = b""
        self.load.count(head[9:12])
        if self.load.over:
            self.transport.close()
        else:
            self.transport.write(self.load.next())

    def connection_lost(self, error: Exception | None) -> None:
        """Note what ended too early."""
        self.load.left.discard(self)
        if not self.load.over:
            self.load.answers[b"lost"] += 1
        if not self.load.left:
            self.load.ended.set()


class Load:
    """What all connections share."""

    def __init__(self, key: str, warm: float, seconds: float) -> None:
        before, after = json.dumps(TICKET, ensure_ascii=False).encode().split(b"@@@@")
        self.parts = before, after
        self.run = secrets.token_hex(6)
        self.number = 0
        self.length = len(before) + len(after)
        self.head = (
            "POST /v1/tickets HTTP/1.1\r\nHost: zhida\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {key}\r\n"
        ).encode()
        self.first = time.perf_counter() + warm
        self.last = self.first + seconds
        self.measured = 0
        self.answers: Counter[bytes] = Counter()
        self.left: set[Connection] = set()
        self.ended = asyncio.Event()

    @property
    def over(self) -> bool:
        """Whether no more is to be sent."""
        return time.perf_counter() >= self.last

    def next(self) -> bytes:
        """A request with a ticket and a key that were never sent before."""
        self.number += 1
        name = f"{self.run}-{self.number}".encode()
        length = self.length + len(name)
        return b"%bIdempotency-Key: %b\r\nContent-Length: %d\r\n\r\n%b%b%b" % (
            self.head, name, length, self.parts[0], name, self.parts[1],
        )  # fmt: skip

    def count(self, status: bytes) -> None:
        """An answer has come."""
        self.answers[status] += 1
        self.measured += status == b"202" and self.first <= time.perf_counter() < self.last


async def main(port: int, key: str, connections: int, warm: float, seconds: float) -> None:
    """All of it."""
    load = Load(key, warm, seconds)
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        connection = Connection(load)
        load.left.add(connection)
        await loop.create_connection(lambda made=connection: made, "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.wait_for(load.ended.wait(), warm + seconds + 30)
    others = {status.decode(): count for status, count in load.answers.items() if status != b"202"}
    found = {"taken": load.measured, "seconds": seconds, "all": load.answers[b"202"], "others": others}
    print(orjson.dumps(found).decode(), flush=True)
    if others:
        sys.exit(f"not every ticket was taken: {others}")


if __name__ == "__main__":
    leash()
    uvloop.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5])))
