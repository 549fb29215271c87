"""What becomes of traffic on a link in each mode."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from chaos.line import Lines
from deploy.local.place import free


@dataclass
class Road:
    """A link `road` that leads to a server which echoes."""

    lines: Lines
    port: int
    heard: list[bytes]
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def client(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        return reader, writer


@pytest.fixture
async def road() -> AsyncIterator[Road]:
    heard: list[bytes] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            heard.append(data)
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    dead = next(port for port in range(29_000, 29_999) if free(port))
    port = next(port for port in range(dead + 1, 29_999) if free(port))
    async with Lines() as lines, server:
        await lines.open("road", port, dead, server.sockets[0].getsockname()[1])
        road = Road(lines, port, heard)
        yield road
        for writer in road.writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def answered(reader: asyncio.StreamReader, seconds: float = 5) -> bytes:
    return await asyncio.wait_for(reader.read(1000), seconds)


async def lost(reader: asyncio.StreamReader) -> bool:
    """Whether the connection was reset or ended."""
    try:
        return await answered(reader) == b""
    except ConnectionError:
        return True


async def test_traffic_passes_to_the_first_target_that_answers(road: Road) -> None:
    reader, writer = await road.client()
    writer.write(b"hello")
    assert await answered(reader) == b"hello"
    writer.close()


async def test_a_cut_resets_what_is_open_and_lets_new_connections_through(road: Road) -> None:
    reader, writer = await road.client()
    writer.write(b"a")
    await answered(reader)
    assert await road.lines.cut(["road"]) == 1
    assert await lost(reader)
    reader, writer = await road.client()
    writer.write(b"b")
    assert await answered(reader) == b"b"
    writer.close()


async def test_a_held_link_delivers_everything_in_order_afterwards(road: Road) -> None:
    reader, writer = await road.client()
    writer.write(b"1")
    await answered(reader)
    await road.lines.change(["road"], "hold")
    writer.write(b"2")
    with pytest.raises(TimeoutError):
        await answered(reader, 0.2)
    writer.write(b"3")
    await road.lines.change(["road"], "pass")
    assert await asyncio.wait_for(reader.readexactly(2), 5) == b"23"
    writer.close()


async def test_on_a_half_open_link_requests_arrive_and_answers_do_not(road: Road) -> None:
    reader, writer = await road.client()
    writer.write(b"1")
    await answered(reader)
    await road.lines.change(["road"], "deaf")
    writer.write(b"2")
    with pytest.raises(TimeoutError):
        await answered(reader, 0.3)
    assert road.heard == [b"1", b"2"]
    await road.lines.change(["road"], "pass")
    assert await lost(reader)


async def test_a_link_that_refuses_resets_new_connections(road: Road) -> None:
    await road.lines.change(["road"], "refuse")
    reader, _ = await road.client()
    assert await lost(reader)
    await road.lines.change(["road"], "pass")
