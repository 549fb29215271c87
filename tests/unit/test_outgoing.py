"""Where requests may go: by URL, by address, and by the connection that is really opened."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from libs.shared import outgoing
from libs.shared.outgoing import AddressRefused, UrlRefused, check_url, parse_networks, refusal

LOCAL = parse_networks(["127.0.0.0/8"])


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("::1", "loopback"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("10.0.0.1", "private"),
        ("172.16.9.9", "private"),
        ("192.168.1.1", "private"),
        ("192.0.2.1", "private"),
        ("198.18.0.1", "private"),
        ("169.254.169.254", "link-local"),
        ("fe80::1", "link-local"),
        ("100.64.0.1", "shared by a carrier (100.64.0.0/10)"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("192.88.99.1", "reserved"),
        ("fd00::1", "private"),
        ("2001:db8::1", "private"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:10.1.2.3", "private"),
        ("::ffff:169.254.169.254", "link-local"),
        ("64:ff9b::7f00:1", "loopback"),
        ("64:ff9b::a00:1", "private"),
        ("2002:7f00:1::", "a tunnel to IPv4"),
        ("2002:808:808::", "a tunnel to IPv4"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "a tunnel to IPv4"),
        ("::127.0.0.1", "reserved"),
        ("fec0::1", "not public"),
        ("8.8.8.8", None),
        ("2606:4700:4700::1111", None),
        ("::ffff:8.8.8.8", None),
        ("64:ff9b::808:808", None),
    ],
)
def test_only_public_addresses_pass(address: str, reason: str | None) -> None:
    assert refusal(ipaddress.ip_address(address)) == reason


@pytest.mark.parametrize(
    ("network", "address"),
    [("10.0.0.0/8", "10.9.8.7"), ("127.0.0.1/32", "::ffff:127.0.0.1"), ("fd00::/16", "fd00::1")],
)
def test_a_listed_network_passes_and_its_neighbour_does_not(network: str, address: str) -> None:
    networks = parse_networks([network])
    assert refusal(ipaddress.ip_address(address), networks) is None
    assert refusal(ipaddress.ip_address("192.168.0.1"), networks) == "private"


@pytest.mark.parametrize(
    ("url", "networks", "words"),
    [
        ("ftp://example.org/x", (), "scheme"),
        ("//example.org/x", (), "scheme"),
        ("http://example.org/x", (), "https is required"),
        ("https:///x", (), "names no host"),
        ("https://exam ple.org/", (), "space"),
        ("https://example.org/a\tb", (), "control character"),
        ("https://exam<ple.org/", (), "neither a name nor an address"),
        ("https://user:secret@example.org/", (), "user name"),
        ("https://user@example.org/", (), "user name"),
        ("https://example.org/#part", (), "fragment"),
        ("https://example.org:99999/", (), "not a URL"),
        ("https://" + "a" * 2050, (), "longer"),
        ("https://127.0.0.1/", (), "loopback"),
        ("https://[::1]:8443/", (), "loopback"),
        ("https://[::ffff:10.0.0.1]/", (), "private"),
        ("http://10.0.0.1/", LOCAL, "private"),
    ],
)
def test_a_url_is_refused_by_name_of_reason(url: str, networks: tuple[outgoing.Network, ...], words: str) -> None:
    with pytest.raises(UrlRefused, match=words):
        check_url(url, networks)


def test_public_urls_and_listed_networks_pass() -> None:
    assert str(check_url("https://example.org/hook?a=1")) == "https://example.org/hook?a=1"
    assert check_url("http://127.0.0.1:9000/hook", LOCAL).port == 9000


@pytest.mark.parametrize(
    ("text", "words"),
    [("10.0.0.1/8", "host bits"), ("nonsense", "nonsense"), ("0.0.0.0/0", "too wide"), ("::/0", "too wide")],
)
def test_a_bad_network_is_named(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_networks([text])


class Rebinding(AbstractResolver):
    """Answers with a public-looking name's loopback address, as a hostile name server would."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=a, port=port, family=socket.AF_INET, proto=0, flags=0)
            for a in self.addresses
        ]

    async def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server on loopback that must never be reached, unless it is allowed."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="inside")

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert runner.addresses
    yield runner.addresses[0][1]
    await runner.cleanup()


async def fetch(url: str, networks: tuple[outgoing.Network, ...], resolver: AbstractResolver | None = None) -> str:
    connector = outgoing.connector(networks, limit=2)
    if resolver:
        connector._resolver = resolver
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(url, allow_redirects=False, timeout=aiohttp.ClientTimeout(total=5)) as response,
    ):
        return await response.text()


@pytest.mark.parametrize("addresses", [("127.0.0.1",), ("127.0.0.1", "10.0.0.1"), ("127.0.0.1", "127.0.0.2")])
async def test_a_name_that_resolves_inwards_is_refused_when_connecting(port: int, addresses: tuple[str, ...]) -> None:
    with pytest.raises(aiohttp.ClientConnectorError, match="address refused"):
        await fetch(f"http://public.example:{port}/", (), Rebinding(*addresses))


async def test_a_literal_address_is_refused_when_connecting(port: int) -> None:
    with pytest.raises(aiohttp.ClientConnectorError) as caught:
        await fetch(f"http://127.0.0.1:{port}/", ())
    assert isinstance(caught.value.os_error, AddressRefused)


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "0177.0.0.1"])
async def test_other_spellings_of_loopback_are_refused(port: int, host: str) -> None:
    with pytest.raises(aiohttp.ClientError):
        await fetch(f"http://{host}:{port}/", ())


async def test_a_listed_network_is_reached(port: int) -> None:
    assert await fetch(f"http://public.example:{port}/", LOCAL, Rebinding("127.0.0.1")) == "inside"


async def test_an_allowed_address_beside_a_refused_one_is_the_only_one_used(port: int) -> None:
    found = await asyncio.wait_for(fetch(f"http://x.example:{port}/", LOCAL, Rebinding("10.0.0.1", "127.0.0.1")), 10)
    assert found == "inside"


async def test_an_answer_that_nobody_waits_for_is_not_taken_for_the_next_one() -> None:
    """A receiver answers its first request twice, the second time a moment later."""
    requests = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        while await reader.readuntil(b"\r\n\r\n"):
            requests += 1
            answer = f"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{requests}".encode()
            writer.write(answer)
            if requests == 1:
                await writer.drain()
                await asyncio.sleep(0.02)
                writer.write(answer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with aiohttp.ClientSession(connector=outgoing.connector(LOCAL, limit=1)) as session:
        answers = []
        for _ in range(3):
            async with session.get(url) as response:
                answers.append(await response.text())
            await asyncio.sleep(0.05)
    server.close()
    assert answers == ["1", "2", "3"]
