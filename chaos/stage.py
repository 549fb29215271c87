"""The stage: Kafka and Postgres of a place of its own, every service under the launcher, and links between them."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from chaos.disk import Disk
from chaos.line import Lines
from chaos.member import Member, MemberError
from deploy.local import backend, environment, kafka, postgres
from deploy.local.backend import Say
from deploy.local.place import Place
from deploy.local.stack import Stack

REPLICAS: Final[Mapping[str, int]] = {
    "intake": 2,
    "classification": 1,
    "dispatch": 2,
    "sla_timer": 2,
    "notification": 1,
}
KAFKA = "kafka"  # the link of every service to the broker
INNER = "kafka-linked"  # the broker's port behind it
LISTENERS = """
# Services come through the proxy, everybody else directly.
listeners=CLIENT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller},LINKED://127.0.0.1:{inner}
advertised.listeners=CLIENT://127.0.0.1:{client},LINKED://127.0.0.1:{link}
group.min.session.timeout.ms=500
listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT,LINKED:PLAINTEXT
"""


@dataclass
class Stage:
    """What faults are done to. Members by name: `dispatch`, `dispatch-2`, …"""

    stack: Stack
    lines: Lines
    disk: Disk
    members: dict[str, Member] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        return self.stack.place

    def of(self, service: str) -> list[Member]:
        """The processes of a service."""
        return [member for member in self.members.values() if member.service == service]

    def url(self, service: str) -> str:
        """A service's HTTP address: leads to any of its processes."""
        return f"http://127.0.0.1:{self.place.port(_front(service))}"

    async def ready(self, *names: str, seconds: float = 90.0) -> None:
        """Wait until these members (all, unless named) are ready. Raises MemberError."""
        deadline = time.monotonic() + seconds
        for name in names or tuple(self.members):
            member = self.members[name]
            number = int(name.partition("-")[2] or 1)
            while not await asyncio.to_thread(self.stack.is_ready, member.service, number):
                if time.monotonic() > deadline or not member.alive:
                    tail = self.stack.programs.tail(name, 20)
                    raise MemberError(f"{name} is not ready after {seconds:.0f} s:\n{tail}")
                await asyncio.sleep(0.1)

    async def tend(self) -> None:
        """For ever: start again what has died, as a supervisor does, half a second later."""
        while True:
            for member in self.members.values():
                if member.watch() and not member.down:
                    await asyncio.sleep(0.5)
                    await member.start()
            await asyncio.sleep(0.1)

    async def add(self, service: str, replica: int, session: int | None) -> Member:
        """One more process of a service, not started; its link to Postgres is `postgres:NAME`."""
        name = environment.replica_name(service, replica)
        link = f"postgres:{name}"
        if name not in self.members:
            self.place.choose_ports(link)
            await self.lines.open(link, self.place.port(link), self.place.port(postgres.PORT))
        surroundings = self.stack.environment(service, replica)
        surroundings["DATABASE_URL"] = _through(surroundings["DATABASE_URL"], self.place.port(link))
        surroundings["KAFKA_BOOTSTRAP_SERVERS"] = f"127.0.0.1:{self.place.port(KAFKA_LINK)}"
        self.members[name] = Member(self.place, service, name, surroundings, session=session)
        return self.members[name]


KAFKA_LINK = "link-kafka"


@contextlib.asynccontextmanager
async def opened(
    place: Place,
    settings: Mapping[str, str],
    *,
    replicas: Mapping[str, int] = REPLICAS,
    session: int | None = None,
    say: Say = print,
) -> AsyncIterator[Stage]:
    """Everything running and ready; stopped at the end, or when this process dies, however it does."""
    with contextlib.ExitStack() as closing:
        disk = Disk(place)
        closing.callback(disk.unmount)
        programs = closing.enter_context(backend.programs(place))
        disk.mount()
        await asyncio.to_thread(backend.prepare_stores, place, say, sync=False)
        place.choose_ports(INNER, KAFKA_LINK, *map(_front, environment.services()))
        with (place.folder / "kafka" / "server.properties").open("a") as file:
            file.write(
                LISTENERS.format(
                    client=place.port(kafka.CLIENT_PORT),
                    controller=place.port(kafka.CONTROLLER_PORT),
                    inner=place.port(INNER),
                    link=place.port(KAFKA_LINK),
                )
            )
        await asyncio.to_thread(backend.start_stores, place, programs)
        stack = Stack(place, programs, backend.local(place), say)
        await asyncio.to_thread(stack.prepare, settings)
        await disk.use()
        async with Lines() as lines:
            stage = Stage(stack, lines, disk)
            await lines.open(KAFKA, place.port(KAFKA_LINK), place.port(INNER))
            for service in environment.services():
                count = replicas.get(service, 1)
                ports = [place.port(environment.replica_name(service, n)) for n in range(1, environment.REPLICAS + 1)]
                await lines.open(_front(service), place.port(_front(service)), *ports)
                for number in range(1, count + 1):
                    await stage.add(service, number, session)
            say(f"Services: starting {len(stage.members)} processes")
            try:
                for member in stage.members.values():
                    await member.start()
                await stage.ready()
                yield stage
            finally:
                await asyncio.gather(*(member.stop() for member in stage.members.values()), return_exceptions=True)


def _front(service: str) -> str:
    return f"front-{service}"


def _through(url: str, port: int) -> str:
    """The same database by way of a link."""
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{user}@127.0.0.1:{port}").geturl()
