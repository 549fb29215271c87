"""Receipts: a repeat gets the first answer, and nothing that was answered is forgotten by a killed process."""

import os
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from zhida_receiver import Receipt, Receipts, Reply

NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)

WRITER = """
import sys
from datetime import UTC, datetime
from zhida_receiver import Receipt, Receipts, Reply
receipts = Receipts(sys.argv[1])
number = 0
while True:
    receipts.add([Receipt(f"msg_{number}", datetime.now(UTC), Reply(200, str(number).encode()))])
    print(number, flush=True)
    number += 1
"""


def receipt(name: str, body: bytes = b"", at: datetime = NOON) -> Receipt:
    return Receipt(name, at, Reply(200, body))


@pytest.mark.parametrize("place", [":memory:", "receipts.db"])
def test_receipt_is_found_as_it_was_kept(place: str, tmp_path: Path) -> None:
    with Receipts(place if place == ":memory:" else tmp_path / place) as receipts:
        assert receipts.find("a") is None
        receipts.add([receipt("a", b'{"ok":true}'), receipt("b")])
        assert receipts.find("a") == receipt("a", b'{"ok":true}')
        assert receipts.count() == 2


def test_first_of_two_receipts_stands() -> None:
    with Receipts() as receipts:
        assert receipts.add([receipt("a", b"first"), receipt("a", b"second")]) == [receipt("a", b"first")] * 2
        assert receipts.add([receipt("a", b"third")]) == [receipt("a", b"first")]


def test_two_processes_sharing_a_file_agree(tmp_path: Path) -> None:
    with Receipts(tmp_path / "r.db") as one, Receipts(tmp_path / "r.db") as other:
        one.add([receipt("a", b"one")])
        assert other.add([receipt("a", b"other")]) == [receipt("a", b"one")]
        assert other.find("a") == one.find("a")


def test_effect_and_receipt_are_kept_together() -> None:
    runs: list[str] = []

    def effect(db: sqlite3.Connection) -> Reply:
        db.execute("CREATE TABLE job (name TEXT)")
        runs.append("ran")
        return Reply(200, b"done")

    with Receipts() as receipts:
        first = receipts.once("a", effect)
        assert receipts.once("a", effect) == first
        assert runs == ["ran"]


def test_failed_effect_leaves_nothing_behind(tmp_path: Path) -> None:
    def broken(db: sqlite3.Connection) -> Reply:
        db.execute("CREATE TABLE job (name TEXT)")
        raise RuntimeError("no")

    def works(db: sqlite3.Connection) -> Reply:
        db.execute("CREATE TABLE job (name TEXT)")  # would fail, had the first one stayed
        return Reply(201)

    with Receipts(tmp_path / "r.db") as receipts:
        with pytest.raises(RuntimeError):
            receipts.once("a", broken)
        assert receipts.find("a") is None
        assert receipts.once("a", works).reply.status == 201


def test_receipts_outlive_a_killed_process(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "r.db")], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        kept = [int(writer.stdout.readline()) for _ in range(20)]
        os.kill(writer.pid, signal.SIGKILL)
        kept += [int(line) for line in writer.stdout if line.endswith("\n")]
    with Receipts(tmp_path / "r.db") as receipts:
        for number in kept:
            found = receipts.find(f"msg_{number}")
            assert found is not None
            assert found.reply == Reply(200, str(number).encode())
        assert receipts.count() in (len(kept), len(kept) + 1)


def test_old_receipts_are_forgotten_and_young_ones_kept() -> None:
    with Receipts() as receipts:
        receipts.add([receipt("old", at=NOON - timedelta(days=31)), receipt("young")])
        assert receipts.forget(NOON - timedelta(days=30)) == 1
        assert receipts.find("old") is None
        assert receipts.find("young") is not None
