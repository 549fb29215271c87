"""A place keeps ports, secrets and locks through crashes and beside other places."""

import os
import secrets
import socket
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.local import place as places
from deploy.local.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path / "a place #1 ; 100%")
    made.make()
    return made


def test_ports_are_remembered_and_differ(place: Place) -> None:
    place.choose_ports("one", "two", "three")
    chosen = [place.port(name) for name in ("one", "two", "three")]
    assert len(set(chosen)) == 3
    assert all(places.LOWEST_PORT <= port <= places.HIGHEST_PORT for port in chosen)
    place.choose_ports("two", "three", "one")
    assert [place.port(name) for name in ("one", "two", "three")] == chosen


def test_port_taken_by_somebody_else_is_replaced(place: Place) -> None:
    place.choose_ports("one", "two")
    one, two = place.port("one"), place.port("two")
    with socket.create_server(("127.0.0.1", one)):
        place.choose_ports("one", "two")
    assert place.port("one") != one
    assert place.port("two") == two


def test_damaged_file_of_ports_is_as_good_as_none(place: Place) -> None:
    (place.folder / "ports.json").write_text('{"one": 2')
    place.choose_ports("one")
    assert places.free(place.port("one"))


def test_a_secret_that_several_ask_for_at_once_is_one_secret(place: Place) -> None:
    together = threading.Barrier(4)

    def slow() -> str:
        together.wait(timeout=10)  # each has found it missing by now
        return secrets.token_hex(8)

    with ThreadPoolExecutor(4) as pool:
        drawn = [future.result() for future in [pool.submit(place.secret, "password", slow) for _ in range(4)]]
    assert set(drawn) == {place.secret("password")}
    assert sorted(path.name for path in (place.folder / "secrets").iterdir()) == ["password"]


def test_secrets_are_drawn_once_and_readable_by_their_owner_alone(place: Place) -> None:
    first = place.secret("password")
    assert len(first) == 48
    assert place.secret("password") == first
    assert place.secret("other") != first
    path = place.secret_file("password")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_lock_tells_a_living_program_from_a_stale_file(place: Place) -> None:
    code = "import os, sys; from deploy.local.place import Place; from pathlib import Path\n"
    code += "Place(Path(sys.argv[1])).hold('kafka'); os.execvp('sh', ['sh', '-c', 'echo held; read line'])"
    line = [sys.executable, "-c", code, str(place.folder)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout
        assert program.stdin
        assert program.stdout.readline() == "held\n"  # it has become another program, and holds on
        assert place.held() == {"kafka": program.pid}
        with pytest.raises(BlockingIOError):
            place.hold("kafka")
        program.stdin.close()
        program.wait(10)
    assert place.held() == {}
    assert (place.folder / "locks" / "kafka.lock").read_text() == f"{program.pid}\n"


def test_throwaway_clears_what_dead_runs_left_and_spares_the_living(tmp_path: Path) -> None:
    dead, living = places.throwaway(tmp_path), places.throwaway(tmp_path)
    for each in (dead, living):
        os.utime(each.folder, (0, 0))
    code = "import sys; from deploy.local.place import Place; from pathlib import Path\n"
    code += "Place(Path(sys.argv[1])).hold('kafka'); print('held', flush=True); sys.stdin.read()"
    line = [sys.executable, "-c", code, str(living.folder)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout
        program.stdout.readline()
        new = places.throwaway(tmp_path)
        program.communicate(timeout=10)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([living.folder.name, new.folder.name])
