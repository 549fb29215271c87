"""Bare HTTP clients: POST one body to many paths as fast as they can; nothing is signed, guarded, read or recorded.

`python -m benchmarks.bare.poster aiohttp|httpx URL PATHS AT_A_TIME SECONDS BYTES` prints how many were answered,
from when to when (monotonic seconds), and how many CPU seconds that took.
"""

import asyncio
import itertools
import sys
import time

import aiohttp
import httpx

HEADERS = {"Content-Type": "application/json"}


async def by_aiohttp(urls: list[str], at_a_time: int, until: float, body: bytes) -> int:
    """One session with as many connections as requests at a time."""
    done, turn = 0, itertools.cycle(urls)
    connector = aiohttp.TCPConnector(limit=at_a_time)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), headers=HEADERS) as http:

        async def lane() -> None:
            nonlocal done
            while time.monotonic() < until:
                async with http.post(next(turn), data=body) as response:
                    await response.read()
                done += 1

        await asyncio.gather(*(lane() for _ in range(at_a_time)))
    return done


async def by_httpx(urls: list[str], at_a_time: int, until: float, body: bytes) -> int:
    """One client with as many connections as requests at a time."""
    done, turn = 0, itertools.cycle(urls)
    limits = httpx.Limits(max_connections=at_a_time, max_keepalive_connections=at_a_time)
    async with httpx.AsyncClient(limits=limits, headers=HEADERS, timeout=60, trust_env=False) as http:

        async def lane() -> None:
            nonlocal done
            while time.monotonic() < until:
                await http.post(next(turn), content=body)
                done += 1

        await asyncio.gather(*(lane() for _ in range(at_a_time)))
    return done


if __name__ == "__main__":
    kind, address, paths, at_a_time, seconds, size = sys.argv[1:]
    posting = {"aiohttp": by_aiohttp, "httpx": by_httpx}[kind]
    targets = [f"{address}/{number}" for number in range(int(paths))]
    began, before = time.monotonic(), time.process_time()
    count = asyncio.run(posting(targets, int(at_a_time), began + float(seconds), b"x" * int(size)))
    print(count, began, time.monotonic(), time.process_time() - before, flush=True)
