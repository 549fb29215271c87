"""Local Kafka and Postgres outlive crashes, and nothing outlives who started them."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import pytest

from deploy.local import backend, kafka, postgres
from deploy.local.backend import BackendError, Local
from deploy.local.place import Place
from deploy.local.supervise import ITSELF

WAIT = 60.0  # seconds; what is waited for here takes two or three

STARTER = """
import sys
from pathlib import Path
from deploy.local import backend
from deploy.local.place import Place

with backend.private(Place(Path(sys.argv[1])), say=lambda _: None):
    print("up", flush=True)
    sys.stdin.read()
"""


def start_elsewhere(place: Place) -> subprocess.Popen[str]:
    """Another process that starts both stores and holds them; returns when they answer."""
    line = [sys.executable, "-c", STARTER, str(place.folder)]
    process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout
    assert process.stdout.readline() == "up\n"
    return process


def end(process: subprocess.Popen[str], number: signal.Signals) -> None:
    process.send_signal(number)
    process.communicate(timeout=WAIT)


def wait_until_held(place: Place, names: set[str]) -> None:
    """A killed process gives its lock back a moment later."""
    deadline = time.monotonic() + WAIT
    while set(place.held()) != names:
        assert time.monotonic() < deadline, place.held()
        time.sleep(0.05)


def execute(local: Local, statement: str) -> object:
    async def query() -> object:
        connection = await asyncpg.connect(local.backend.owner_database_url, timeout=10)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(query())


def test_nothing_outlives_a_killed_starter_and_a_killed_supervisor_leaves_no_ruin(own_place: Place) -> None:
    starter = start_elsewhere(own_place)
    assert set(own_place.held()) == {ITSELF, "kafka", "postgres"}
    with pytest.raises(BackendError, match="already runs"), backend.private(own_place, say=lambda _: None):
        pass
    end(starter, signal.SIGKILL)
    wait_until_held(own_place, set())

    starter = start_elsewhere(own_place)
    left = own_place.held()
    os.kill(left[ITSELF], signal.SIGKILL)
    end(starter, signal.SIGKILL)
    wait_until_held(own_place, {"kafka", "postgres"})  # orphans

    with backend.private(own_place, say=lambda _: None):
        now = own_place.held()
        assert set(now) == set(left)
        assert not set(now.values()) & set(left.values())
    assert own_place.held() == {}


def test_interrupted_starter_stops_all_in_good_order(own_place: Place) -> None:
    starter = start_elsewhere(own_place)
    end(starter, signal.SIGINT)
    assert own_place.held() == {}
    log = own_place.log("postgres").read_text()
    assert "database system is shut down" in log


def test_data_survive_kill_9_half_made_folders_do_not(own_place: Place) -> None:
    for path in ("kafka/data.partial/junk", "kafka/data/empty", "postgres/data.partial/junk"):
        (own_place.folder / path).mkdir(parents=True)
    with backend.private(own_place, say=lambda _: None) as local:
        execute(local, "CREATE TABLE kept AS SELECT 42 AS answer")
        for store in backend.STORES:
            local.kill(store)
            with pytest.raises((OSError, kafka.KafkaError, postgres.PostgresError)):
                {"kafka": kafka.ready, "postgres": postgres.ready}[store](own_place)
            local.start(store)
        assert execute(local, "SELECT answer FROM kept") == 42
        address = local.backend
    with backend.private(own_place, say=lambda _: None) as local:
        assert local.backend == address
        assert execute(local, "SELECT answer FROM kept") == 42
    with backend.private(own_place, fresh=True, say=lambda _: None) as local:
        assert execute(local, "SELECT to_regclass('kept')") is None


def test_folder_with_a_long_and_awkward_name_will_do(own_place: Place) -> None:
    place = Place(own_place.folder / "直达 #1 ; 100% \"q\" 'a' $HOME" / ("long " * 30))
    with backend.private(place, say=lambda _: None) as local:
        assert execute(local, "SELECT 1") == 1
    assert len(str(place.folder)) > 200
    place.delete()


def test_broker_that_cannot_start_is_reported_with_the_end_of_its_log(own_place: Place) -> None:
    with backend.private(own_place, say=lambda _: None) as local:
        local.stop("kafka")
        Path(own_place.folder / "kafka/server.properties").write_text("process.roles=nonsense\n")
        with pytest.raises(BackendError, match="nonsense"):
            local.start("kafka")
