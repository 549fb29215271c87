"""The schema under the owner role: repeatable, least privilege, partitions by the time inside the id."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from libs.operate import partition, retention, schema, topics
from libs.operate.topics import TopicsError
from libs.shared import db
from libs.shared.events import uuid7
from libs.shared.settings import Settings
from tests.conftest import fresh_name
from tests.integration.kernel.conftest import made, probe
from tests.running import Harness

TOPICS = Path("deploy/topics.toml")


async def test_migrating_twice_at_once_changes_nothing_more(database: str) -> None:
    async with made(database) as h:
        await asyncio.gather(*(schema.migrate(probe, h.running.settings) for _ in range(2)))
        assert len(await h.rows("SELECT 1 FROM probe.kernel_version")) == 1


async def test_runtime_role_sees_only_its_own_schema(h: Harness, database: str) -> None:
    owner = db.engine(database, "public", None, "tests")
    async with owner.begin() as connection:
        await connection.execute(text("CREATE SCHEMA other"))
        await connection.execute(text("CREATE TABLE other.secret (x int)"))
    await owner.dispose()
    for statement in ("SELECT * FROM other.secret", "CREATE TABLE mine (x int)", "DROP TABLE inbox"):
        with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
            await h.rows(statement)


async def test_inbox_is_partitioned_by_the_time_in_the_id_and_dropped_by_age(h: Harness, database: str) -> None:
    old_day = datetime.now(UTC) - timedelta(days=300)
    today, old = uuid7(datetime.now(UTC)), uuid7(old_day)
    await h.rows("INSERT INTO inbox SELECT unnest(CAST(:ids AS uuid[])) RETURNING 1", ids=[today, old])
    found = {
        row.id: row.place for row in await h.rows("SELECT id, CAST(tableoid::regclass AS text) AS place FROM inbox")
    }
    assert found == {today: f"inbox_{datetime.now(UTC):%Y%m%d}", old: "inbox_default"}
    report = await retention.retain(probe, h.running.settings)
    assert (report.made, report.dropped) == (1, {"inbox": [f"{old_day:%Y-%m-%d}"]})
    assert [row.id for row in await h.rows("SELECT id FROM inbox")] == [today]
    assert len(await h.rows("SELECT 1 FROM pg_inherits WHERE inhparent = CAST('inbox' AS regclass)")) == 16


async def test_rows_of_the_default_partition_move_to_a_new_day(h: Harness, database: str) -> None:
    day = datetime.now(UTC).date() + timedelta(days=partition.AHEAD["day"])
    owner = db.engine(database, "probe", None, "tests")
    late = UUID(int=int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp() * 1000) << 80)
    async with owner.begin() as connection:
        await connection.execute(text(f"DROP TABLE inbox_{day:%Y%m%d}"))
    await h.rows("INSERT INTO inbox VALUES (:id) RETURNING 1", id=late)
    assert await partition.extend(owner, "inbox", "id", "day") == 1
    await owner.dispose()
    [row] = await h.rows("SELECT CAST(tableoid::regclass AS text) AS place FROM inbox WHERE id = :id", id=late)
    assert row.place == f"inbox_{day:%Y%m%d}"


async def test_daily_job_forgets_old_idempotency_keys(h: Harness) -> None:
    await h.rows(
        "INSERT INTO command SELECT 'p', n::text, '\\x00', 200, '{}', now() - make_interval(days => n)"
        " FROM generate_series(0, 9) AS n RETURNING 1"
    )
    assert (await retention.retain(probe, h.running.settings)).rows["command"] == 3


async def test_topics_are_made_and_drift_is_set_right_but_never_the_partition_count(kafka: str) -> None:
    settings = Settings(database_url=SecretStr(""), kafka_bootstrap_servers=kafka)
    name = fresh_name("topic")
    wanted = [topics.Topic(name, 3, 1, 1000, 1, compact=False)]
    assert await topics.apply(settings, wanted, dry_run=True) == [f"would make {name} (3 partitions)"]
    assert await topics.apply(settings, wanted) == [f"made {name} (3 partitions)"]
    assert await topics.apply(settings, wanted) == []
    drifted = [topics.Topic(name, 3, 1, 2000, 1, compact=False)]
    assert await topics.apply(settings, drifted) == [f"set {name} retention.ms 1000 -> 2000"]
    with pytest.raises(TopicsError, match="has 3 partitions, wanted 6"):
        await topics.apply(settings, [topics.Topic(name, 6, 1, 2000, 1, compact=False)])
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    [found] = await admin.describe_topics([name])
    await admin.close()
    assert len(found["partitions"]) == 3


def test_production_profile_refuses_what_can_lose_events(tmp_path: Path) -> None:
    file = tmp_path / "topics.toml"
    file.write_text(TOPICS.read_text().replace("replication = 3", "replication = 2"))
    with pytest.raises(TopicsError, match="replication must be >= 3"):
        topics.load(file, "production")
    with pytest.raises(TopicsError, match="no profile 'staging'"):
        topics.load(TOPICS, "staging")
    assert {topic.partitions for topic in topics.load(TOPICS, "local")} == {12}
    assert {topic.partitions for topic in topics.load(TOPICS, "production")} == {48}
