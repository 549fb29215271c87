"""A killed simulator has lost nothing that it answered."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from zhida_receiver import new_secret, signed_headers, trial

SECRET = new_secret()
ROLE = {"code": "power", "api_key": "k.s", "keys": [SECRET]}


async def send(session: aiohttp.ClientSession, url: str, delivery_id: str) -> int:
    body = trial.sample()
    headers = signed_headers(body, delivery_id, datetime.now(UTC), [SECRET])
    async with session.post(url, data=body, headers=headers) as response:
        return response.status


@contextmanager
def process(plan: Path, ready: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    ready.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-c",
        "from zhida_receiver.command import main; main()",
        "simulate",
        "--config",
        str(plan),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            wait_until(ready.exists)
            yield running, json.loads(ready.read_text())["departments"]["power"]["url"]
        finally:
            running.kill()


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline, "took longer than 10 s"
        os.sched_yield()


async def test_killed_simulator_remembers_what_it_answered(tmp_path: Path) -> None:
    plan, ready = tmp_path / "plan.json", tmp_path / "ready.json"
    role = {**ROLE, "behaviour": {"never_accepts": 1}}
    plan.write_text(
        json.dumps(
            {"dispatch": "http://127.0.0.1:9", "departments": [role], "log": "log.jsonl", "receipts": "r.db"}
            | {"ready": "ready.json", "poll": 0}
        )
    )
    async with aiohttp.ClientSession() as session:
        with process(plan, ready) as (running, url):
            assert await asyncio.gather(*(send(session, url, f"m{n}") for n in range(50))) == [200] * 50
            running.send_signal(signal.SIGKILL)
        with process(plan, ready) as (running, url):
            assert await asyncio.gather(*(send(session, url, f"m{n}") for n in range(51))) == [200] * 51
            running.send_signal(signal.SIGTERM)
            output, _ = running.communicate(timeout=10)
    assert running.returncode == 0
    assert output.splitlines()[-1].startswith("zhida-receiver: 1 departments in ")
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    found = Counter((line["webhook_id"], line["duplicate"]) for line in lines)
    assert found == {**{(f"m{n}", False): 1 for n in range(51)}, **{(f"m{n}", True): 1 for n in range(50)}}
