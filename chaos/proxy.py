"""A TCP proxy in a process of its own, whose links can be cut, slowed, held or made deaf while they carry traffic.

`python -m chaos.proxy`: commands come as JSON lines on standard input, each is answered by one line; it ends with its
standard input.

| mode | what becomes of traffic |
|---|---|
| pass | goes through |
| refuse | open connections are reset, new ones too |
| slow | goes through, each chunk `delay` seconds late |
| hold | nothing goes through, nothing is closed; passes when the mode changes |
| deaf | requests go through, answers never do (half-open); connections are reset when the mode changes |
"""

import asyncio
import json
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast

import uvloop

Mode: TypeAlias = Literal["pass", "refuse", "slow", "hold", "deaf"]

HIGH = 4 * 1024 * 1024  # bytes that may wait for one peer


@dataclass
class Link:
    """One listening port and where it leads: the first of its targets that takes a connection, in turns."""

    targets: list[tuple[str, int]]
    mode: Mode = "pass"
    delay: float = 0.0  # s
    pairs: set["Pair"] = field(default_factory=set)
    turn: int = 0
    server: asyncio.Server | None = None

    def change(self, mode: Mode, delay: float) -> int:
        """Give the link another mode; how many connections it had."""
        before, self.mode, self.delay = self.mode, mode, delay
        count = len(self.pairs)
        for pair in list(self.pairs):
            if mode == "refuse" or before == "deaf":
                pair.abort()
            else:
                pair.flush()
        return count

    def cut(self) -> int:
        """Reset every open connection."""
        count = len(self.pairs)
        for pair in list(self.pairs):
            pair.abort()
        return count


@dataclass(eq=False)
class Pair:
    """A client's connection and ours to the target. `ends[0]` is the client's side."""

    link: Link
    ends: list[asyncio.Transport | None] = field(default_factory=lambda: [None, None])
    waiting: list[deque[bytes]] = field(default_factory=lambda: [deque(), deque()])  # for ends[0], for ends[1]
    closing: list[bool] = field(default_factory=lambda: [False, False])
    gone: bool = False

    def carry(self, to: int, data: bytes) -> None:
        """Bytes for that end."""
        link = self.link
        if link.mode == "slow":
            asyncio.get_running_loop().call_later(link.delay, self._late, to, data)
            return
        self._late(to, data)

    def _late(self, to: int, data: bytes) -> None:
        end = self.ends[to]
        if self.gone:
            return
        if end is None or self.waiting[to] or self.link.mode == "hold" or (self.link.mode == "deaf" and to == 0):
            self.waiting[to].append(data)
            if sum(map(len, self.waiting[to])) > HIGH and (other := self.ends[1 - to]):
                other.pause_reading()
            return
        end.write(data)

    def flush(self) -> None:
        """Send what has waited, where the mode lets it."""
        if self.link.mode in ("hold", "deaf"):
            return
        for to, end in enumerate(self.ends):
            if end is not None and not self.gone:
                while self.waiting[to]:
                    end.write(self.waiting[to].popleft())
                if (other := self.ends[1 - to]) and not other.is_closing():
                    other.resume_reading()
                if self.closing[to]:
                    end.close()

    def ended(self, which: int) -> None:
        """One end was closed; so is the other, unless the network is not to tell it."""
        other = 1 - which
        self.ends[which] = None
        self.closing[other] = True
        if self.link.mode not in ("hold", "deaf") and (end := self.ends[other]) is not None:
            if self.link.mode == "slow":
                asyncio.get_running_loop().call_later(self.link.delay, end.close)
            else:
                end.close()
        if self.ends == [None, None]:
            self.abort()

    def abort(self) -> None:
        """Reset both ends."""
        self.gone = True
        self.link.pairs.discard(self)
        for end in self.ends:
            if end is not None:
                end.abort()


class End(asyncio.Protocol):
    """One side of a pair."""

    def __init__(self, pair: Pair, which: int, opened: Callable[[Pair], None] | None = None) -> None:
        self.pair, self.which, self._opened = pair, which, opened

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.pair.ends[self.which] = cast(asyncio.Transport, transport)
        if self.pair.gone or self.pair.link.mode == "refuse":
            self.pair.abort()
        elif self._opened:
            self._opened(self.pair)
        else:
            self.pair.flush()

    def data_received(self, data: bytes) -> None:
        self.pair.carry(1 - self.which, data)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, _: Exception | None) -> None:
        self.pair.ended(self.which)

    def pause_writing(self) -> None:
        if (other := self.pair.ends[1 - self.which]) and not other.is_closing():
            other.pause_reading()

    def resume_writing(self) -> None:
        if (other := self.pair.ends[1 - self.which]) and not other.is_closing():
            other.resume_reading()


class Proxy:
    """All links of one process."""

    def __init__(self) -> None:
        self.links: dict[str, Link] = {}
        self._opening: set[asyncio.Task[None]] = set()

    async def do(self, command: dict[str, Any]) -> dict[str, Any]:
        """One command; what is answered."""
        name = command["name"]
        match command["do"]:
            case "open":
                link = self.links[name] = Link([("127.0.0.1", port) for port in command["to"]])
                loop = asyncio.get_running_loop()
                link.server = await loop.create_server(lambda: self._client(link), "127.0.0.1", command["port"])
                return {}
            case "change":
                link = self.links[name]
                return {"connections": link.change(command["mode"], float(command.get("delay", 0)))}
            case "cut":
                return {"connections": self.links[name].cut()}
        raise ValueError(f"unknown command {command['do']}")

    def _client(self, link: Link) -> End:
        pair = Pair(link)
        link.pairs.add(pair)
        return End(pair, 0, self._opened)

    def _opened(self, pair: Pair) -> None:
        task = asyncio.create_task(self._reach(pair))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _reach(self, pair: Pair) -> None:
        link = pair.link
        for _ in link.targets:
            link.turn = (link.turn + 1) % len(link.targets)
            try:
                await asyncio.get_running_loop().create_connection(lambda: End(pair, 1), *link.targets[link.turn])
            except OSError:
                continue
            return
        pair.abort()


async def _serve() -> None:
    proxy = Proxy()
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        try:
            answer = await proxy.do(json.loads(line))
        except (OSError, ValueError, KeyError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(_serve())
