"""The oracle is alive: of a real run it says nothing, and each wrong planted in that run's own data it names."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from sqlalchemy.engine import make_url

from deploy.local import backend, environment
from deploy.local.backend import Backend
from deploy.local.place import Place
from libs.shared.events import FLOW
from reconcile import SERVICES, Report, Sources, Unseen, gather, judge, ledger, reconcile
from reconcile.book import Book
from reconcile.check import CHECKS
from tests.e2e.field import Field
from tests.e2e.plant import PLANTED, Wrong
from tests.e2e.stage import TICKETS, Played

COPY = "planted"  # the database that wrongs are planted in


@pytest.fixture(autouse=True)
def healthy() -> None:
    """The run's own Kafka and Postgres are started again; nothing of what the other tests share is needed."""


async def copied(url: str) -> str:
    """A copy of a database that nobody is connected to."""
    target = make_url(url)
    owner = await asyncpg.connect(target.set(database="postgres").render_as_string(hide_password=False))
    try:
        await owner.execute(f'CREATE DATABASE "{COPY}" TEMPLATE "{target.database}"')
    finally:
        await owner.close()
    return target.set(database=COPY).render_as_string(hide_password=False)


@contextlib.asynccontextmanager
async def planting(book: Book, url: str, kafka: str, files: dict[str, list[dict[str, Any]]]) -> AsyncIterator[Field]:
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    database = await asyncpg.connect(url)
    try:
        yield Field(book, database, kafka, producer, files)
    finally:
        await database.close()
        await producer.stop()


def left_behind(folder: Path, url: str, kafka: str) -> Sources:
    return Sources.of(
        url,
        kafka,
        ledgers=[folder / "ledger.jsonl"],
        receipts=sorted(folder.glob("departments/*/log.jsonl")) or [folder / "receipts.jsonl"],
        streams=[folder / "screens.jsonl"],
        whole=True,
        closed=True,
    )


@dataclass(frozen=True)
class Verdicts:
    """Of the run as it was, and of the same with everything planted."""

    clean: Report
    window: Report  # of the later half of its tickets
    planted: Report
    tickets: dict[str, UUID | None]  # what was planted → the ticket it was done to
    commands: tuple[tuple[int, Any], tuple[int, Any]]  # exit code and JSON of `zhida reconcile`, of either

    @property
    def named(self) -> set[str]:
        """Tickets that something was planted in."""
        return {str(ticket) for ticket in self.tickets.values()}


@pytest.fixture(scope="module")
def stores_of_demo(demo_played: Played) -> Iterator[Backend]:
    """The run's own Kafka and Postgres, started again."""
    with backend.private(demo_played.place, say=lambda _: None) as local:
        yield local.backend


@pytest.fixture(scope="module")
async def verdicts(demo_played: Played, stores_of_demo: Backend, tmp_path_factory: pytest.TempPathFactory) -> Verdicts:
    return await tried(demo_played.place.folder, stores_of_demo, tmp_path_factory.mktemp("planted"))


async def tried(run: Path, stores: Backend, folder: Path) -> Verdicts:
    """Judge a run, plant everything in a copy of it, and judge that."""
    url, kafka = stores.owner_database_url, stores.kafka_bootstrap_servers
    as_it_was = left_behind(run, url, kafka)
    files = {
        "ledger": list(ledger.read(as_it_was.ledgers)),
        "receipts": list(ledger.read(as_it_was.receipts)),
        "screens": list(ledger.read(as_it_was.streams)),
    }
    with await gather(as_it_was) as book:
        clean = await judge(book, as_it_was)
        before = await command(run, url, kafka)
        births = [row[0] for row in book.rows("SELECT ticket FROM ticket ORDER BY ticket")]
        since = datetime.fromtimestamp(int.from_bytes(births[TICKETS // 2][:6], "big") / 1000, UTC)
        window = await reconcile(replace(as_it_was, since=since, whole=False))
        copy = await copied(url)
        async with planting(book, copy, kafka, files) as field:
            done: dict[Wrong, UUID | None] = {}
            for _, _, wrong in PLANTED:
                if wrong not in done:
                    done[wrong] = await wrong(field)
    for name, lines in field.files.items():
        (folder / f"{name}.jsonl").write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    planted = await reconcile(left_behind(folder, copy, kafka))
    commands = before, await command(run, copy, kafka)
    return Verdicts(clean, window, planted, {what: done[wrong] for what, _, wrong in PLANTED}, commands)


async def command(run: Path, url: str, kafka: str) -> tuple[int, Any]:
    """`zhida reconcile` without any file, each service's schema read under its own role."""
    secret = Place(run).secret
    named = {name: environment.role_url(url, name, secret(f"{name}-password")) for name in SERVICES}
    words = [word for name, address in named.items() for word in ("--database", f"{name}={address}")]
    process = await asyncio.create_subprocess_exec(
        *[environment.zhida(), "reconcile", "--json", "--settle", "0", *words],
        env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": kafka},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode in (0, 1), errors.decode()
    return process.returncode, orjson.loads(told)


def test_of_a_real_run_the_oracle_says_nothing(verdicts: Verdicts) -> None:
    clean = verdicts.clean
    assert [str(finding) for finding in clean.findings] == []
    assert clean.counts["tickets"] == TICKETS
    for account in clean.accounts:
        assert account.records == sum(
            (account.new, account.duplicate, account.dead, account.parked, account.skipped)
        ), account
        assert account.written == account.sent + account.pending, account


@pytest.mark.parametrize(("what", "check"), [(what, check) for what, check, _ in PLANTED], ids=[p[0] for p in PLANTED])
def test_what_is_planted_is_named(verdicts: Verdicts, what: str, check: str) -> None:
    [result] = [each for each in verdicts.planted.results if each.check.name.startswith(check)]
    ticket = verdicts.tickets[what]
    assert result.count
    assert {finding.ticket for finding in result.findings} & {None, str(ticket)}


def test_nothing_is_said_of_tickets_that_nothing_was_done_to(
    verdicts: Verdicts,
) -> None:
    assert [str(each) for each in verdicts.planted.findings if each.ticket and each.ticket not in verdicts.named] == []


async def test_a_window_holds_the_tickets_born_in_it(verdicts: Verdicts) -> None:
    assert verdicts.window.failed == {}
    assert TICKETS // 2 <= verdicts.window.counts["tickets"] < TICKETS  # more where several were born in one instant
    assert 0 < verdicts.window.counts["work orders"] < verdicts.clean.counts["work orders"]


async def test_topics_that_have_forgotten_the_beginning_cannot_be_judged_from_there(
    verdicts: Verdicts, demo_played: Played, stores_of_demo: Backend
) -> None:
    kafka, url = stores_of_demo.kafka_bootstrap_servers, stores_of_demo.owner_database_url
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.delete_records({TopicPartition(FLOW, 0): RecordsToDelete(before_offset=1)})
    await admin.close()
    with pytest.raises(Unseen, match=r"the topics go back to .* only"):
        await reconcile(left_behind(demo_played.place.folder, url, kafka))


def test_the_command_under_the_services_own_roles_says_the_same(verdicts: Verdicts) -> None:
    (status, told), (planted_status, planted_told) = verdicts.commands
    assert (status, told["balances"], told["counts"]["tickets"]) == (0, True, TICKETS)
    assert (planted_status, planted_told["balances"]) == (1, False)
    assert any(check["findings"] for check in planted_told["checks"])
    assert planted_told["stories"]


def test_every_check_is_tried_with_something_planted() -> None:
    for check in CHECKS:
        assert any(check.name.startswith(name) for _, name, _ in PLANTED), check.name
