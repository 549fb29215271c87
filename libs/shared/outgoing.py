"""Requests to addresses that users give us: only to public addresses, or to networks an administrator has listed.

The address a connection really goes to is judged, each time one is opened: whatever a name resolves to, however an
address is written and whatever was true a moment ago. Redirects are for the caller to leave alone
(`allow_redirects=False`); proxies of the environment are not used.
"""

import asyncio
import errno
import ipaddress
import re
import select
import socket
from collections.abc import Sequence
from functools import partial
from typing import Any
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import AddrInfoType, Connection
from aiohttp.tracing import Trace
from yarl import URL

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_URL = 2048  # characters
WIDEST = {4: 8, 6: 16}  # shortest prefix that may be allowed: less would switch the guard off
UNICAST = ipaddress.ip_network("2000::/3")  # all of IPv6 that is given out for the public internet
TRANSLATED = ipaddress.ip_network("64:ff9b::/96")  # NAT64: the last 32 bits are the IPv4 address
CARRIER = ipaddress.ip_network("100.64.0.0/10")
RELAY = ipaddress.ip_network("192.88.99.0/24")
NAME = re.compile(r"[A-Za-z0-9_.-]{1,253}")  # of a host, as it is looked up


class UrlRefused(ValueError):
    """A URL that may not be called; the text names the reason and never quotes the URL."""


class AddressRefused(OSError):
    """A connection was about to go to an address outside the public internet and the allowed networks."""


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Networks in CIDR form. Raises ValueError naming the one that is wrong and why."""
    found = []
    for text in texts:
        try:
            network = ipaddress.ip_network(text)
        except ValueError as error:
            raise ValueError(f"{text}: {error}") from None
        if network.prefixlen < WIDEST[network.version]:
            raise ValueError(f"{text}: too wide, the prefix must be /{WIDEST[network.version]} or longer")
        found.append(network)
    return tuple(found)


def check_url(url: str, networks: Sequence[Network] = ()) -> URL:
    """The URL, when it may be called. https is required unless a network is allowed. Raises UrlRefused.

    A name is judged by what it resolves to when a connection is opened (`connector`), an address also here.
    """
    if len(url) > MAX_URL:
        raise UrlRefused(f"longer than {MAX_URL} characters")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise UrlRefused("holds a space or a control character")
    try:
        parsed = URL(url)
        port = parsed.port
    except ValueError:
        raise UrlRefused("not a URL") from None
    if parsed.scheme not in ("https", "http"):
        raise UrlRefused("the scheme must be https")
    if parsed.scheme == "http" and not networks:
        raise UrlRefused("https is required; http only where an allowed network is listed")
    if not parsed.host or not port:
        raise UrlRefused("names no host")
    if parsed.user is not None or parsed.password is not None:
        raise UrlRefused("must not carry a user name or password")
    if parsed.raw_fragment:
        raise UrlRefused("must not have a fragment")
    try:
        address = ipaddress.ip_address(parsed.host)
    except ValueError:
        if not NAME.fullmatch(parsed.raw_host or ""):
            raise UrlRefused("the host is neither a name nor an address") from None
        return parsed
    reason = refusal(address, networks)
    if reason:
        raise UrlRefused(f"the address is {reason}; list its network to allow it")
    return parsed


def refusal(address: Address, networks: Sequence[Network] = ()) -> str | None:
    """Why no connection may go to that address; None: it may. IPv4 inside IPv6 is judged as the IPv4 it leads to."""
    if any(address in network for network in networks):
        return None
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped
        if inner is None and address in TRANSLATED:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return refusal(inner, networks)
        if address.sixtofour is not None or address.teredo is not None:
            return "a tunnel to IPv4"
    for name, holds in (
        ("loopback", address.is_loopback),
        ("unspecified", address.is_unspecified),
        ("multicast", address.is_multicast),
        ("link-local", address.is_link_local),
        ("shared by a carrier (100.64.0.0/10)", address in CARRIER),
        ("reserved", address.is_reserved or address in RELAY),
        ("private", address.is_private),
        ("not public", not address.is_global or (address.version == 6 and address not in UNICAST)),
    ):
        if holds:
            return name
    return None


def connector(networks: Sequence[Network], *, limit: int) -> aiohttp.TCPConnector:
    """Connections for one trust: the public internet and these networks; at most `limit` at a time.

    A refused address raises AddressRefused, wrapped in aiohttp.ClientConnectorError as `os_error`.
    """
    return _Connector(limit=limit, ttl_dns_cache=10, socket_factory=partial(_vetted, tuple(networks)))


class _Connector(aiohttp.TCPConnector):
    """Leaves a connection on which more came than was asked for: it would pass for the answer to what comes next."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._known: WeakSet[ResponseHandler] = WeakSet()

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol, transport = connection.protocol, connection.transport
            if protocol is None or transport is None:
                return connection
            if protocol not in self._known:
                self._known.add(protocol)
                return connection
            if not protocol.should_close and not _readable(transport):
                return connection
            connection.close()


def _readable(transport: asyncio.Transport) -> bool:
    poll = select.poll()
    poll.register(transport.get_extra_info("socket"), select.POLLIN)
    return bool(poll.poll(0))


def _vetted(networks: tuple[Network, ...], target: AddrInfoType) -> socket.socket:
    """A socket for exactly the address that is about to be connected to."""
    family, kind, protocol, _, where = target
    address = ipaddress.ip_address(str(where[0]).partition("%")[0])
    reason = refusal(address, networks)
    if reason:
        raise AddressRefused(errno.EACCES, f"address refused: {reason}")
    return socket.socket(family=family, type=kind, proto=protocol)
