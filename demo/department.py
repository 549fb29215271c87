"""The departments: simulator processes of the receiver kit, a key for each, their endpoints made known to dispatch."""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.api import Api
from deploy.local.place import PROJECT

PROCESSES = 3
START_TIME = 60.0  # s until a simulator must listen
STOP_TIME = 20.0  # s it has to end
NETWORK = "127.0.0.0/8"  # the administrator allows it: the demo's departments live on this machine

# Seconds and shares; see the receiver kit's README. One department is overworked, so that clocks warn and run out.
USUAL: Mapping[str, Any] = {
    "accept_after": {"median": 0.4, "spread": 0.6, "longest": 6},
    "contact_after": {"median": 0.6, "spread": 0.6, "longest": 6},
    "answer_after": {"median": 1.2, "spread": 0.6, "longest": 8},
    "reply_after": {"median": 0.5, "spread": 0.4, "longest": 3},
    "rule_after": {"median": 0.5, "spread": 0.4, "longest": 3},
    "returns": 0.05,
    "upholds": 0.7,
    "asks": 0.06,
    "patience": 8,
    "adds_evidence": 0.1,
    "fails": 0.03,
    "throttles": 0.01,
    "retry_after": 1,
    "hangs": 0.004,
    "hang_seconds": 2,
}
SLOW: Mapping[str, Any] = {
    "accept_after": {"median": 4, "spread": 0.7, "longest": 16},
    "contact_after": {"median": 1, "spread": 0.6, "longest": 4},
    "answer_after": {"median": 2, "spread": 0.6, "longest": 6},
}


@dataclass(frozen=True)
class Hall:
    """One simulator process and what it writes."""

    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def log(self) -> Path:
        """What reached its departments, and what they called."""
        return self.folder / "log.jsonl"

    @property
    def summary(self) -> str:
        """Its last line."""
        return (self.folder / "output.txt").read_text(encoding="utf-8").strip().rpartition("\n")[2]


@contextlib.contextmanager
def played(
    folder: Path,
    dispatch_url: str,
    keys: Mapping[str, str],
    *,
    processes: int,
    seed: int,
    behaviour: Mapping[str, Any],
    special: Mapping[str, Mapping[str, Any]] | None = None,
    calls: int = 32,
    poll: float = 5,
) -> Iterator[list[Hall]]:
    """Simulators that together play these departments (code → API key), until the block ends.

    `behaviour`: that of all; `special`: of single ones, where it differs. `calls`: at the same time, of one process;
    `poll`: seconds between two looks at a department's list.
    """
    halls: list[Hall] = []
    try:
        for number in range(min(processes, len(keys))):
            own = folder / str(number + 1)
            own.mkdir(parents=True)
            codes = list(keys)[number::processes]
            plan = {
                "dispatch": dispatch_url,
                "departments": [_role(own, code, keys, (special or {}).get(code, {})) for code in codes],
                "log": "log.jsonl",
                "receipts": "receipts.db",
                "ready": "ready.json",
                "seed": seed,
                "poll": poll,
                "concurrency": calls,
                "behaviour": behaviour,
            }
            halls.append(start(own, plan))
        yield halls
    finally:
        stop(halls)


def _role(folder: Path, code: str, keys: Mapping[str, str], behaviour: Mapping[str, Any]) -> dict[str, Any]:
    """A department of a simulator's plan; its key lies in a file of its own."""
    (folder / f"{code}.api-key").touch(0o600)
    (folder / f"{code}.api-key").write_text(keys[code], encoding="ascii")
    suggests = [other for other in keys if other != code]
    return {
        "code": code,
        "api_key_file": f"{code}.api-key",
        "keys_file": f"{code}.keys",
        "behaviour": {**behaviour, "suggests": suggests},
    }


def start(folder: Path, plan: Mapping[str, Any]) -> Hall:
    """A simulator with this plan, in a folder of its own."""
    (folder / "plan.json").write_text(json.dumps(plan, ensure_ascii=False, indent=1), encoding="utf-8")
    line = [sys.executable, "-m", "demo.leash", "simulate", "--config", str(folder / "plan.json")]
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            line, cwd=PROJECT, stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True
        )
    return Hall(process, folder)


def addresses(halls: Sequence[Hall]) -> dict[str, str]:
    """Department → URL of its receiver, once every simulator listens. Raises RuntimeError with its last words."""
    found: dict[str, str] = {}
    deadline = time.monotonic() + START_TIME
    for hall in halls:
        ready = hall.folder / "ready.json"
        while not ready.exists():
            if hall.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the departments' simulator in {hall.folder} did not start: {hall.summary}")
            time.sleep(0.05)
        places = json.loads(ready.read_text(encoding="utf-8"))["departments"]
        found |= {code: place["url"] for code, place in places.items()}
    return found


async def register(dispatch: Api, halls: Sequence[Hall], urls: Mapping[str, str]) -> None:
    """Make each endpoint known to dispatch, and hand its secret and public key to the department."""
    folders = {path.stem: hall.folder for hall in halls for path in hall.folder.glob("*.api-key")}

    async def one(code: str, url: str) -> None:
        made = await dispatch.put(f"/v1/endpoints/{code}", {"url": url, "networks": [NETWORK], "timeout_seconds": 10})
        path = folders[code] / f"{code}.keys"
        path.touch(0o600)
        path.write_text(f"{made['secret']}\n{made['public_key']}\n", encoding="ascii")

    await asyncio.gather(*(one(code, url) for code, url in urls.items()))


def stop(halls: Sequence[Hall]) -> None:
    """Let every simulator finish what it has in hand and end; without effect on those that have ended."""
    for hall in halls:
        if hall.process.stdin and not hall.process.stdin.closed:
            hall.process.stdin.close()
    for hall in halls:
        try:
            hall.process.wait(STOP_TIME)
        except subprocess.TimeoutExpired:
            hall.process.kill()
            hall.process.wait()
