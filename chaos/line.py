"""The proxy process from outside: opens links and changes what becomes of their traffic."""

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any, Self

from chaos.proxy import Mode
from deploy.local.place import PROJECT


class Lines:
    """All links of a stage. Connections that go through them, and whatever is done to these."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._asking = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "chaos.proxy",
            cwd=PROJECT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process and self._process.stdin:
            self._process.stdin.close()
            await self._process.wait()

    async def open(self, name: str, port: int, *to: int) -> None:
        """Listen on a port of 127.0.0.1 and lead to the first of these that takes a connection."""
        await self._ask(do="open", name=name, port=port, to=to)

    async def change(self, names: Sequence[str], mode: Mode, delay: float = 0.0) -> int:
        """What becomes of traffic from now on; how many connections were open."""
        answers = [await self._ask(do="change", name=name, mode=mode, delay=delay) for name in names]
        return sum(answer["connections"] for answer in answers)

    async def cut(self, names: Sequence[str]) -> int:
        """Reset every open connection of these; how many."""
        answers = [await self._ask(do="cut", name=name) for name in names]
        return sum(answer["connections"] for answer in answers)

    async def _ask(self, **command: Any) -> dict[str, Any]:
        async with self._asking:
            assert self._process is not None
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            await self._process.stdin.drain()
            answer: dict[str, Any] = json.loads(await asyncio.wait_for(self._process.stdout.readline(), 10))
        if "error" in answer:
            raise OSError(f"proxy, {command}: {answer['error']}")
        return answer
