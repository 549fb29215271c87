"""Everything together, for up, demo and tests: Kafka, Postgres, topics, tables, and each service a process."""

import contextlib
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from deploy.local import backend, environment, together
from deploy.local.backend import Backend, BackendError, Local, Say
from deploy.local.place import PROJECT, Place
from deploy.local.supervise import ProgramError, Programs

READY_TIME = 120.0  # seconds until a service must be ready
COMMAND_TIME = 120.0  # seconds for one migration or for the topics


class StackError(Exception):
    """A command of set-up failed, or a service did not become ready; the text holds the end of its output."""


@dataclass(frozen=True)
class Stack:
    """The services of one place beside a Kafka and a Postgres that answer."""

    place: Place
    programs: Programs
    backend: Backend
    say: Say

    @property
    def local(self) -> Local:
        """Kafka and Postgres as processes to kill and start. Raises StackError when they are somebody else's."""
        if self.backend.kind != "local":
            raise StackError(f"Kafka and Postgres are {self.backend.kind} here: not ours to stop")
        return Local(self.place, self.programs, self.backend)

    def prepare(self, settings: Mapping[str, str] | None = None) -> None:
        """Create the topics and every service's tables and role. May be repeated at any time.

        settings: further variables for every service, kept in the place (`ZHIDA_…`).
        """
        names = environment.services()
        stores = {
            "kafka_bootstrap_servers": self.backend.kafka_bootstrap_servers,
            "owner_database_url": self.backend.owner_database_url,
            "kind": self.backend.kind,
        }
        self.place.remember("stores", stores)
        self.place.remember("settings", dict(settings or {}))
        idle = [name for name in environment.programs() if not self.place.holder(name)]
        self.place.choose_ports(*idle)
        self.say(f"Topics, and the tables of {', '.join(names)}")
        jobs = [partial(self.command, "topics", "apply")]
        jobs += [partial(self.command, name, "migrate", owner=True) for name in names]
        list(together.run(jobs, max(2, os.cpu_count() or 2)))

    def command(self, *words: str, owner: bool = False, replica: int = 1) -> str:
        """Run `zhida WORDS` in its service's environment; what it printed. Raises StackError.

        owner: with the owner's database address too, as `migrate` needs it.
        """
        service = words[0] if words[0] in environment.services() else environment.services()[0]
        surroundings = environment.of(self.place, service, replica, owner=owner)
        line = [environment.zhida(), *words]
        done = subprocess.run(
            line, env=surroundings, cwd=PROJECT, capture_output=True, text=True, timeout=COMMAND_TIME, check=False
        )
        if done.returncode:
            output = f"{done.stdout}{done.stderr}"[-4_000:]
            raise StackError(f"`zhida {' '.join(words)}` failed ({done.returncode}):\n{output}")
        return done.stdout

    def create_key(self, service: str, principal: str, *scopes: str) -> str:
        """A new API key of the service, for this principal with these scopes. Raises StackError."""
        options = [word for scope in scopes for word in ("--scope", scope)]
        return self.command(service, "keys", "create", "--principal", principal, *options).split()[-1]

    def start(self, *services: str, replica: int = 1) -> None:
        """Start services (all, unless named) and wait until each is ready. replica: which process of the service."""
        names = [environment.replica_name(service, replica) for service in services or environment.services()]
        for name in names:
            self.programs.start(name)
        for name in names:
            self._wait_ready(name)

    def stop(self, *services: str, replica: int = 1) -> None:
        """SIGTERM: services end in good order. All running processes, unless services are named."""
        running = [name for name in environment.programs() if self.programs.status(name).pid]
        self.programs.stop(*([environment.replica_name(name, replica) for name in services] or running))

    def kill(self, service: str, replica: int = 1) -> None:
        """kill -9 of one process of a service."""
        self.programs.kill(environment.replica_name(service, replica))

    def signal(self, service: str, signal_name: str, replica: int = 1) -> None:
        """Send STOP, CONT, HUP … to one process of a service."""
        self.programs.signal(environment.replica_name(service, replica), signal_name)

    def url(self, service: str, replica: int = 1) -> str:
        """Base address of the service's HTTP API."""
        return f"http://127.0.0.1:{self.place.port(environment.replica_name(service, replica))}"

    def environment(self, service: str, replica: int = 1, *, owner: bool = False) -> dict[str, str]:
        """Environment of a process of this service, for whoever starts one itself."""
        return environment.of(self.place, service, replica, owner=owner)

    def is_ready(self, service: str, replica: int = 1) -> bool:
        try:
            direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never by way of a proxy
            with direct.open(f"{self.url(service, replica)}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def _wait_ready(self, name: str) -> None:
        service, _, number = name.partition("-")
        deadline = time.monotonic() + READY_TIME
        while not self.is_ready(service, int(number or 1)):
            state = self.programs.status(name).state
            if state in ("FATAL", "EXITED") or time.monotonic() > deadline:
                log = f"{self.programs.tail(name, 25)}\n(all of it: {self.place.log(name)})"
                raise StackError(f"{name} is {state} and not ready. The end of its log:\n{log}")
            time.sleep(0.1)


@contextlib.contextmanager
def running(
    place: Place,
    *,
    fresh: bool = False,
    private: bool = False,
    start: bool = True,
    settings: Mapping[str, str] | None = None,
    say: Say = print,
) -> Iterator[Stack]:
    """The whole of Zhida for as long as the block lasts, or until this process dies, however it does.

    fresh: forget what earlier runs left in the place. private: Kafka and Postgres are local processes of this place,
    whatever the environment offers, so that `Stack.local` may break them. start: the services too, not only what they
    need. settings: further `ZHIDA_…` variables for every service. Raises BackendError or StackError.
    """
    kind = "local" if private else backend.choose(os.environ, backend.docker_answers, keep=False)
    with contextlib.ExitStack() as closing:
        if kind == "local":
            stores = closing.enter_context(backend.private(place, fresh=fresh, say=say))
            stack = Stack(place, stores.programs, stores.backend, say)
        else:
            found = closing.enter_context(backend.started(place, fresh=fresh, say=say))
            stack = Stack(place, closing.enter_context(backend.programs(place, fresh=fresh)), found, say)
        try:
            stack.prepare(settings)
            if start:
                say(f"Services: starting {', '.join(environment.services())}")
                stack.start()
        except ProgramError as error:
            raise StackError(str(error)) from error
        yield stack


def joined(place: Place, say: Say = print) -> Stack | None:
    """The stack that `make up` left running in this place, or None."""
    programs = Programs(place)
    stores = place.recall("stores")
    if not programs.join() or not stores:
        return None
    kind: backend.Kind = "local" if stores["kind"] == "local" else "given"
    return Stack(place, programs, Backend(kind, stores["kafka_bootstrap_servers"], stores["owner_database_url"]), say)


def kept(place: Place, settings: Mapping[str, str], say: Say = print) -> Stack:
    """Start what is not running yet and leave it running when this process ends (`make up`)."""
    programs = Programs(place)
    kind = backend.choose(os.environ, backend.docker_answers, keep=True)
    try:
        if not programs.join():
            programs.start_supervisor(keep=True)
        if kind == "given":
            found = backend.given(os.environ)
        else:
            idle = [store for store in backend.STORES if not programs.status(store).pid]
            if len(idle) == len(backend.STORES):
                backend.prepare_stores(place, say, sync=True)
            backend.start_stores(place, programs, *idle)
            found = backend.local(place)
        stack = Stack(place, programs, found, say)
        stack.prepare(settings)
        say(f"Services: starting {', '.join(environment.services())}")
        stack.start()
    except ProgramError as error:
        raise BackendError(str(error)) from error
    return stack
