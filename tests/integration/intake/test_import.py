"""`zhida intake import`: over real HTTP, interrupted in every way, never doubling a row."""

import asyncio
import csv
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
import uvicorn

from libs.shared import keys
from services.intake import upload
from services.intake.domain.columns import Columns, combine
from services.intake.upload import Journal, Tally, UploadError
from tests.running import Harness

HEADER = ["编号", "标题", "内容", "时间", "星级"]


def rows(count: int, **changes: str) -> list[list[str]]:
    return [
        [f"I-{n}", "停电", f"第{n}户停电，电话138{n:08d}", "2020-01-06 12:00:00", changes.get(f"star_{n}", "3")]
        for n in range(count)
    ]


def write(path: Path, lines: list[list[str]], encoding: str = "utf-8") -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file).writerows([HEADER, *lines])
    return path


@pytest.fixture
async def address(h: Harness) -> AsyncIterator[str]:
    """Intake's own HTTP server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(h.app, port=port, log_level="error", lifespan="off"))
    server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.wait({serving}, timeout=0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await serving


@pytest.fixture
async def key(h: Harness) -> str:
    """A publisher's key."""
    return await keys.create(h.running, "import", ["publish"], None)


async def zhida(address: str, key: str, state: Path, *args: object) -> subprocess.CompletedProcess[str]:
    """`zhida intake import …` as an operator runs it: with an address and a key, and no database."""
    process = await asyncio.create_subprocess_exec(
        *command(*args), env=environment(address, key, state), cwd=state,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return subprocess.CompletedProcess([], process.returncode or 0, out.decode(), err.decode())


def command(*args: object) -> list[str]:
    return [sys.executable, "-c", "from libs.operate.cli import main; main()", "intake", "import", *map(str, args)]


def environment(address: str, key: str, state: Path) -> dict[str, str]:
    ours = {"ZHIDA_INTAKE_URL": address, "ZHIDA_INTAKE_KEY": key, "XDG_STATE_HOME": str(state), "COLUMNS": "200"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ZHIDA_", "DATABASE"))}
    return kept | ours | {"PYTHONPATH": str(Path(__file__).parents[3])}


async def test_a_file_becomes_tickets_and_again_nothing_new(h: Harness, address: str, key: str, tmp_path: Path) -> None:
    file = write(tmp_path / "t.csv", rows(120))
    first = await zhida(address, key, tmp_path, file, "--channel", "12345", "--batch", "50")
    assert (first.returncode, first.stdout.strip()) == (
        0, "120 rows: 120 new tickets, 0 were there already, 0 refused",
    ), first.stderr  # fmt: skip
    again = await zhida(address, key, tmp_path, file, "--channel", "12345")
    assert (again.returncode, again.stdout.strip()) == (
        0, "120 rows: 0 new tickets, 120 were there already, 0 refused",
    )  # fmt: skip
    [row] = await h.rows("SELECT count(*) AS count, min(opened_at) AS first FROM ticket WHERE channel = '12345'")
    assert row.count == 120
    assert row.first.isoformat() == "2020-01-06T04:00:00+00:00"


async def test_refused_rows_stand_in_a_file_with_their_reasons(
    h: Harness, address: str, key: str, tmp_path: Path
) -> None:
    lines = rows(10, star_3="9", star_7="很高")
    lines[8][2] = ""
    lines.append([*lines[0], "one cell too many"])
    out = tmp_path / "bad.csv"
    done = await zhida(
        address, key, tmp_path, write(tmp_path / "t.csv", lines), "--channel", "12345", "--rejected", out
    )
    assert done.returncode == 3
    assert done.stdout.strip() == f"11 rows: 7 new tickets, 0 were there already, 4 refused (see {out})"
    with out.open(encoding="utf-8-sig", newline="") as file:
        refused = list(csv.DictReader(file))
    assert [(row["编号"], row["_line"], row["_errors"]) for row in refused] == [
        ("I-3", "5", "customer.star (column 星级): must be at most 5"),
        ("I-7", "9", "customer.star (column 星级): must be a whole number"),
        ("I-8", "10", "text (column 内容): is missing"),
        ("I-0", "12", "the row has more cells than the first line has columns"),
    ]
    assert len(await h.rows("SELECT 1 FROM ticket")) == 7


async def test_a_gb18030_file_is_read_and_in_the_wrong_encoding_refused(
    h: Harness, address: str, key: str, tmp_path: Path
) -> None:
    file = write(tmp_path / "t.csv", rows(3), "gb18030")
    wrong = await zhida(address, key, tmp_path, file, "--channel", "12345")
    assert wrong.returncode == 1
    assert "the first line is not utf-8; try --encoding gb18030" in wrong.stderr
    right = await zhida(address, key, tmp_path, file, "--channel", "12345", "--encoding", "gb18030")
    assert right.returncode == 0, right.stderr
    assert {row.title for row in await h.rows("SELECT title FROM ticket")} == {"停电"}


async def test_a_row_of_bytes_that_are_no_text_is_refused_alone(
    h: Harness, address: str, key: str, tmp_path: Path
) -> None:
    file = write(tmp_path / "t.csv", rows(5))
    file.write_bytes(file.read_bytes().replace("第2户".encode(), b"\xff\xfe"))
    done = await zhida(address, key, tmp_path, file, "--channel", "12345")
    assert (done.returncode, done.stdout.split(" (")[0]) == (
        3, "5 rows: 4 new tickets, 0 were there already, 1 refused",
    )  # fmt: skip
    assert "text (column 内容): is not valid Unicode" in (tmp_path / "t.csv.rejected.csv").read_text()


async def test_a_killed_import_goes_on_where_it_stopped(h: Harness, address: str, key: str, tmp_path: Path) -> None:
    file = write(tmp_path / "t.csv", rows(400, star_5="9", star_395="9"))
    args = command(file, "--channel", "12345", "--batch", "2")
    process = await asyncio.create_subprocess_exec(
        *args, env=environment(address, key, tmp_path), cwd=tmp_path,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while len(await h.rows("SELECT 1 FROM ticket LIMIT 41")) < 41:
        assert time.monotonic() < deadline
    process.kill()
    await process.wait()
    before = len(await h.rows("SELECT 1 FROM ticket"))
    assert 41 <= before < 398
    done = await zhida(address, key, tmp_path, file, "--channel", "12345", "--batch", "2")
    assert done.returncode == 3
    assert "going on after row" in done.stderr
    assert done.stdout.split(" (")[0] == "400 rows: 398 new tickets, 0 were there already, 2 refused"
    assert len(await h.rows("SELECT 1 FROM ticket")) == 398
    with (tmp_path / "t.csv.rejected.csv").open(encoding="utf-8-sig", newline="") as out:
        assert [row["编号"] for row in csv.DictReader(out)] == ["I-5", "I-395"]


class Flaky(httpx.HTTPTransport):
    """The network between importer and intake: some requests do not arrive, some answers do not come back."""

    def __init__(self, lost: Callable[[int], str]) -> None:
        super().__init__()
        self.count = 0
        self._lost = lost

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.count += 1
        fate = self._lost(self.count)
        if fate == "request":
            raise httpx.ConnectError("no route", request=request)
        answer = super().handle_request(request)
        if fate == "answer":
            answer.read()
            raise httpx.ReadTimeout("no answer", request=request)
        return answer


@contextmanager
def importing(address: str, key: str, path: Path, lost: Callable[[int], str]) -> Any:
    """What `send` needs, over a network that loses things."""
    sheet = upload.look(path, "utf-8")
    columns = Columns(combine(sheet.header, []), ZoneInfo("Asia/Shanghai"), {"channel": "12345"})
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=address, headers=headers, transport=Flaky(lost), timeout=20) as client:
        yield lambda **more: upload.send(
            sheet, columns, client, Journal(path.parent, sheet.digest), path.with_suffix(".bad"),
            batch=10, report=lambda _: None, **more,
        )  # fmt: skip


@pytest.mark.parametrize("fate", ["request", "answer"])
async def test_what_the_network_loses_is_sent_again_and_counted_once(
    h: Harness, address: str, key: str, tmp_path: Path, fate: str
) -> None:
    file = write(tmp_path / "t.csv", rows(40, star_15="9"))
    with importing(address, key, file, lambda n: fate if n in (2, 4) else "") as send:
        tally = await asyncio.to_thread(send)
    assert (tally.done, tally.created, tally.existing, tally.refused) == (40, 39, 0, 1)
    assert len(await h.rows("SELECT 1 FROM ticket")) == 39


@pytest.mark.parametrize("lost", [("request", 1), ("request", 3), ("answer", 1), ("answer", 2), ("answer", 4)])
async def test_a_stopped_import_counts_every_row_once_when_run_again(
    h: Harness, address: str, key: str, tmp_path: Path, lost: tuple[str, int]
) -> None:
    fate, first_lost = lost
    file = write(tmp_path / "t.csv", rows(40, star_15="9", star_35="9"))
    with (
        importing(address, key, file, lambda n: fate if n >= first_lost else "") as send,
        pytest.raises(UploadError, match="run the same command again"),
    ):
        await asyncio.to_thread(send, tries=1)
    with importing(address, key, file, lambda _: "") as send:
        tally = await asyncio.to_thread(send)
    assert (tally.done, tally.created, tally.existing, tally.refused) == (40, 38, 0, 2)
    assert len(await h.rows("SELECT 1 FROM ticket")) == 38
    with file.with_suffix(".bad").open(encoding="utf-8-sig", newline="") as out:
        assert [row["编号"] for row in csv.DictReader(out)] == ["I-15", "I-35"]


async def test_a_wrong_key_stops_the_import_at_once(address: str, h: Harness, tmp_path: Path) -> None:
    agent = await keys.create(h.running, "agent", ["agent"], None)
    file = write(tmp_path / "t.csv", rows(3))
    for key, reason in (("zh0.wrong", "401 Unauthorized"), (agent, "403 Forbidden")):
        done = await zhida(address, key, tmp_path, file, "--channel", "12345")
        assert done.returncode == 1
        assert f"refused the import: {reason}" in done.stderr


async def test_a_mapping_file_decides(h: Harness, address: str, key: str, tmp_path: Path) -> None:
    mapping = tmp_path / "m.yaml"
    mapping.write_text(
        "columns: {编号: customer.customer_id, 星级: business_type}\nconstants: {channel: website}\n"
        "values: {business_type: {3: fault}}\ntimezone: UTC\n"
    )
    done = await zhida(address, key, tmp_path, write(tmp_path / "t.csv", rows(2)), "--mapping", mapping)
    assert done.returncode == 0, done.stderr
    for row in await h.rows("SELECT * FROM ticket"):
        assert (row.channel, row.business_type, row.opened_at.hour) == ("website", "fault", 12)
        assert row.customer_id.startswith("I-")
        assert row.external_ref.startswith("row-")


async def test_a_file_of_ones_own_is_never_replaced(address: str, key: str, tmp_path: Path, h: Harness) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text("my,own\n")
    file = write(tmp_path / "t.csv", rows(1))
    done = await zhida(address, key, tmp_path, file, "--channel", "12345", "--rejected", mine)
    assert done.returncode == 1
    assert mine.read_text() == "my,own\n"


def test_a_damaged_journal_is_named(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "x")
    journal.write(Tally(done=3))
    assert journal.read()
    journal.path.write_text("{")
    with pytest.raises(UploadError, match="is damaged"):
        journal.read()
