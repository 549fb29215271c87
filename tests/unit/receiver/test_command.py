"""The command zhida-receiver as a department uses it in its first hour."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner
from zhida_receiver import Keys, new_key_pair, new_secret, signed_headers, trial
from zhida_receiver.command import main

SECRET = new_secret()
BODY = '{"type":"work_order.assigned","data":{"title":"停电"}}'.encode()


def captured(folder: Path, key: str = SECRET, at: datetime | None = None) -> list[str]:
    headers = signed_headers(BODY, "msg_1", at or datetime.now(UTC), [key])
    lines = ["POST /webhooks HTTP/1.1", *(f"{name.title()}: {value}" for name, value in headers.items())]
    (folder / "headers").write_text("\r\n".join(lines))
    (folder / "body").write_bytes(BODY)
    return ["verify", "--headers", str(folder / "headers"), "--body", str(folder / "body")]


def test_verify_says_that_a_delivery_is_genuine(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [*captured(tmp_path), "--key", SECRET])
    assert result.exit_code == 0
    assert result.output.startswith("genuine: msg_1, signed ")
    assert result.output.endswith("scheme v1\n")


def test_verify_says_why_a_delivery_is_not_genuine(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [*captured(tmp_path), "--key", new_secret()])
    assert result.exit_code == 1
    assert "no signature belongs to a key we trust" in result.output


def test_verify_looks_at_an_old_capture_only_when_told(tmp_path: Path) -> None:
    arguments = [*captured(tmp_path, at=datetime.now(UTC) - timedelta(days=3)), "--key", SECRET]
    refused = CliRunner().invoke(main, arguments)
    assert refused.exit_code == 1
    assert "allowed 300 s" in refused.output
    assert CliRunner().invoke(main, [*arguments, "--any-time"]).exit_code == 0


def test_verify_takes_keys_from_a_file_and_the_body_from_standard_input(tmp_path: Path) -> None:
    private, public = new_key_pair()
    (tmp_path / "keys").write_text(f"# ours\n{public}\n")
    arguments = captured(tmp_path, private)[:-1]
    result = CliRunner().invoke(main, [*arguments, "-", "--keys-file", str(tmp_path / "keys")], input=BODY)
    assert (result.exit_code, result.output.split()[-1]) == (0, "v1a")


@pytest.mark.parametrize("arguments", [[], ["--key", "secret"], ["--keys-file", "/nowhere"]])
def test_verify_without_a_readable_key_is_wrong_use(arguments: list[str], tmp_path: Path) -> None:
    assert CliRunner().invoke(main, [*captured(tmp_path), *arguments]).exit_code == 2


def test_key_prints_keys_that_fit() -> None:
    secret = CliRunner().invoke(main, ["key"]).output.strip()
    assert Keys([secret]).verify(BODY, signed_headers(BODY, "msg_1", datetime.now(UTC), [secret])).scheme == "v1"
    private, public = CliRunner().invoke(main, ["key", "--pair"]).output.split()
    headers = signed_headers(BODY, "msg_1", datetime.now(UTC), [private])
    assert Keys([public]).verify(BODY, headers).scheme == "v1a"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give either --key or --keys-file"),
        (["--key", SECRET, "--auto-accept"], "--auto-accept needs"),
        (["--key", "oops"], "a key begins with whsec_"),
        (["--keys-file", "/nowhere"], "/nowhere"),
    ],
)
def test_serve_used_wrongly_says_how(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(main, ["serve", *arguments])
    assert result.exit_code == 2
    assert said in result.output


def test_simulate_names_what_is_wrong_with_its_plan(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("{}")
    result = CliRunner().invoke(main, ["simulate", "--config", str(tmp_path / "plan.json")])
    assert result.exit_code == 1
    assert "dispatch: missing" in result.output


@contextmanager
def serving(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-c", "from zhida_receiver.command import main; main()", "serve", "--port", "0"]
    command += ["--key", SECRET, "--receipts", str(folder / "r.db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            yield running, running.stdout.readline().split()[2].rstrip(",")
        finally:
            running.terminate()


def test_ready_made_receiver_passes_the_trial_and_shows_each_order_once(tmp_path: Path) -> None:
    with serving(tmp_path) as (running, url):
        tried = CliRunner().invoke(main, ["try", url, "--key", SECRET])
        running.terminate()
        shown, _ = running.communicate(timeout=10)
    assert tried.exit_code == 0, tried.output
    assert tried.output.count("ok  ") == 9
    assert sum(line.startswith("派工单 ") for line in shown.splitlines()) == 2
    assert running.returncode == 0


async def test_receiver_that_believes_everything_fails_the_trial() -> None:
    async def gullible(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_post("/", gullible)
    async with TestServer(app) as server:
        found = [finding async for finding in trial.attempt(str(server.make_url("/")), [SECRET])]
    assert [finding.good for finding in found] == [True] * 4 + [False] * 5


def test_trial_of_nobody_says_so() -> None:
    result = CliRunner().invoke(main, ["try", "http://127.0.0.1:9/", "--key", SECRET])
    assert result.exit_code == 1
    assert "BAD  takes a genuine delivery with 2xx: Cannot connect" in result.output


def test_trial_with_a_public_key_says_what_to_give_instead() -> None:
    result = CliRunner().invoke(main, ["try", "http://127.0.0.1:9/", "--key", new_key_pair()[1]])
    assert result.exit_code == 2
    assert "whsk_" in result.output
