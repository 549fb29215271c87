"""Decides where Kafka and Postgres come from: given addresses, else a Docker engine, else local processes."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from deploy.local import kafka, postgres
from deploy.local.place import Place
from deploy.local.supervise import ProgramError, Programs

Kind = Literal["given", "docker", "local"]
Store = Literal["kafka", "postgres"]
STORES: tuple[Store, ...] = ("kafka", "postgres")
GIVEN = ("KAFKA_BOOTSTRAP_SERVERS", "OWNER_DATABASE_URL")
START_TIME = 90.0  # seconds until a store must answer; a busy machine with two slow cores needs a few
Say = Callable[[str], None]


class BackendError(Exception):
    """Kafka or Postgres cannot be had; the text says what to do."""


@dataclass(frozen=True)
class Backend:
    """A Kafka and a Postgres that answer."""

    kind: Kind
    kafka_bootstrap_servers: str
    owner_database_url: str  # role that may create databases, roles and schemas


def choose(environment: Mapping[str, str], engine_answers: Callable[[], bool], *, keep: bool) -> Kind:
    """Decide by the environment, asking for a Docker engine only when nothing is given.

    keep: the data must outlive this process, which throwaway containers cannot promise (for that: `docker compose up`).
    ZHIDA_BACKEND=given|docker|local overrides. Raises BackendError when the wish cannot be met.
    """
    named = [name for name in GIVEN if environment.get(name)]
    match environment.get("ZHIDA_BACKEND", ""):
        case "local":
            return "local"
        case "docker" if keep:
            raise BackendError("ZHIDA_BACKEND=docker is for throwaway runs; to keep the data use `docker compose up`")
        case "docker":
            return "docker"
        case "" | "given":
            pass
        case other:
            raise BackendError(f"ZHIDA_BACKEND is {other!r}; it may be given, docker or local")
    if len(named) == len(GIVEN):
        return "given"
    if named or environment.get("ZHIDA_BACKEND"):
        missing = ", ".join(name for name in GIVEN if name not in named)
        raise BackendError(f"To use your own Kafka and Postgres set both {' and '.join(GIVEN)}; missing: {missing}")
    return "docker" if not keep and engine_answers() else "local"


@contextlib.contextmanager
def started(place: Place, *, fresh: bool = False, say: Say = print) -> Iterator[Backend]:
    """Kafka and Postgres for as long as the block lasts, from wherever `choose` says.

    fresh: forget what earlier runs left in the place. Everything started is stopped at the end of the block, or when
    this process dies. Raises BackendError.
    """
    match choose(os.environ, docker_answers, keep=False):
        case "given":
            yield given(os.environ)
        case "docker":
            from deploy.local import container

            with container.started(say) as backend:
                yield backend
        case "local":
            with private(place, fresh=fresh, say=say) as local:
                yield local.backend


def given(environment: Mapping[str, str]) -> Backend:
    url = environment["OWNER_DATABASE_URL"].replace("postgresql+asyncpg://", "postgresql://", 1)
    return Backend("given", environment["KAFKA_BOOTSTRAP_SERVERS"], url)


@dataclass(frozen=True)
class Local:
    """Kafka and Postgres as processes of one place, which can be killed and started again one by one."""

    place: Place
    programs: Programs
    backend: Backend

    def kill(self, store: Store) -> None:
        """kill -9; the data stays, as after a power cut."""
        self.programs.kill(store)

    def stop(self, store: Store) -> None:
        self.programs.stop(store)

    def start(self, store: Store) -> None:
        """Start it again at the same address, and wait until it answers."""
        start_stores(self.place, self.programs, store)


@contextlib.contextmanager
def private(place: Place, *, fresh: bool = False, say: Say = print) -> Iterator[Local]:
    """A Kafka and a Postgres of one's own, always local processes: for tests that break them. Raises BackendError."""
    with programs(place, fresh=fresh) as running:
        prepare_stores(place, say, sync=False)
        start_stores(place, running)
        yield Local(place, running, local(place))


@contextlib.contextmanager
def programs(place: Place, *, fresh: bool = False) -> Iterator[Programs]:
    """A supervisor of this place that stops with the block, or with this process however it ends."""
    running = Programs(place)
    try:
        if fresh and not place.held():
            place.delete()
        running.start_supervisor(keep=False)
    except ProgramError as error:
        raise BackendError(str(error)) from error
    try:
        yield running
    finally:
        running.shutdown()


def local(place: Place) -> Backend:
    """The addresses of the place's own Kafka and Postgres."""
    return Backend("local", kafka.bootstrap_servers(place), postgres.owner_url(place))


def prepare_stores(place: Place, say: Say, *, sync: bool) -> None:
    """Choose ports, fetch jars, format and initdb, both stores side by side. They must not be running."""
    say("Kafka and Postgres: preparing")
    place.choose_ports(kafka.CLIENT_PORT, kafka.CONTROLLER_PORT, postgres.PORT)
    with ThreadPoolExecutor(1) as beside:
        initdb = beside.submit(postgres.prepare, place, sync=sync)
        try:
            kafka.prepare(place, say)  # in this thread: the download is what Ctrl-C must reach
            initdb.result()
        except (kafka.KafkaError, postgres.PostgresError, OSError) as error:
            raise BackendError(str(error)) from error


def start_stores(place: Place, running: Programs, *stores: Store) -> None:
    """Start the stores (both, unless named) and wait until each answers a real request. Raises BackendError."""
    wanted = stores or STORES
    try:
        for store in wanted:
            running.start(store)
        for store in wanted:
            _wait(place, running, store)
    except ProgramError as error:
        raise BackendError(str(error)) from error


def _wait(place: Place, running: Programs, store: Store) -> None:
    def failed(final: bool) -> str | None:
        if not final and running.status(store).state not in ("FATAL", "EXITED"):
            return None
        return f"{store} did not come up. The end of its log:\n{running.tail(store)}\n(all of it: {place.log(store)})"

    wait({"kafka": kafka.ready, "postgres": postgres.ready}[store], place, failed)


def wait(ready: Callable[[Place], None], place: Place, failed: Callable[[bool], str | None]) -> None:
    """Ask until `ready` no longer raises.

    failed: asked after each refusal why there is no use in going on, if so; with True once START_TIME is over.
    Raises BackendError.
    """
    deadline = time.monotonic() + START_TIME
    while True:
        try:
            return ready(place)
        except (OSError, TimeoutError, kafka.KafkaError, postgres.PostgresError) as error:
            if why := failed(time.monotonic() > deadline):
                raise BackendError(f"{why}\n({error})") from error
            time.sleep(0.1)


def docker_answers() -> bool:
    """Whether a Docker engine can be reached."""
    from deploy.local import container

    return container.engine_address(os.environ) is not None
