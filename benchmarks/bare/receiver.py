"""The departments' side of deliveries: answers every POST at once, remembers which webhook came when; may hang.

`python -m benchmarks.bare.receiver PORT [PATH…]`: requests to these paths are never answered. `GET /` gives the count,
`GET /log` one line `path webhook-id unix-seconds` for each request, the answered ones, and forgets them.
"""

import asyncio
import sys
import time

from deploy.local.leash import leash

ANSWER = b"HTTP/1.1 204 No Content\r\nServer: receiver\r\n\r\n"


class Receiver(asyncio.Protocol):
    """One connection: just enough of HTTP/1.1 to take POSTs with a Content-Length, as fast as Python can."""

    count = 0
    log: list[tuple[bytes, bytes, float]] = []  # noqa: RUF012  # of all connections together
    silent: frozenset[bytes] = frozenset()

    def __init__(self) -> None:
        self.rest = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.rest += data
        while (end := self.rest.find(b"\r\n\r\n")) >= 0:
            head = self.rest[: end + 2]
            lower = head.lower()
            length = int(_header(lower, b"content-length") or 0)
            if len(self.rest) < end + 4 + length:
                return
            self.rest = self.rest[end + 4 + length :]
            self.take(head, lower)

    def take(self, head: bytes, lower: bytes) -> None:
        assert self.transport is not None
        method, path, _ = head.split(b" ", 2)
        if method == b"GET":
            text = str(Receiver.count).encode()
            if path == b"/log":
                text = b"\n".join(b"%b %b %.6f" % each for each in Receiver.log)
                Receiver.log = []
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
            return
        if path in Receiver.silent:
            return
        Receiver.count += 1
        webhook = _header(lower, b"webhook-id")
        if webhook:  # bare clients send none
            Receiver.log.append((path, webhook, time.time()))
        self.transport.write(ANSWER)


def _header(head: bytes, name: bytes) -> bytes:
    at = head.find(b"\r\n" + name + b":")
    return head[at + len(name) + 3 : head.find(b"\r\n", at + 2)].strip() if at >= 0 else b""


async def serve(port: int, silent: list[str]) -> None:
    """Listen on that port until the process ends."""
    Receiver.silent = frozenset(path.encode() for path in silent)
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", port, backlog=1000)
    await server.serve_forever()


if __name__ == "__main__":
    leash()
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2:]))
