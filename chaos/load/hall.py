"""The departments: the receiver kit's simulator in processes of its own, quick, and sometimes at fault."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from demo.department import Hall, stop
from deploy.local.place import PROJECT

# Seconds and shares of work orders or webhooks; see the receiver kit's README.
QUICK: Final[Mapping[str, Any]] = {
    "accept_after": {"median": 0.2, "spread": 0.6, "longest": 3},
    "contact_after": {"median": 0.2, "spread": 0.6, "longest": 3},
    "answer_after": {"median": 0.5, "spread": 0.6, "longest": 4},
    "reply_after": {"median": 0.2, "spread": 0.4, "longest": 1},
    "rule_after": {"median": 0.2, "spread": 0.4, "longest": 1},
    "patience": 5,
}
FAULTY: Final[Mapping[str, Any]] = {
    "returns": 0.04,
    "upholds": 0.7,
    "asks": 0.04,
    "adds_evidence": 0.05,
    "fails": 0.01,
    "throttles": 0.01,
    "retry_after": 1,
}


@contextlib.contextmanager
def played(
    folder: Path, dispatch_url: str, keys: Mapping[str, str], *, processes: int, seed: int, behaviour: Mapping[str, Any]
) -> Iterator[list[Hall]]:
    """Simulators that together play these departments (code → API key), until the block ends."""
    halls: list[Hall] = []
    try:
        for number in range(processes):
            own = folder / str(number + 1)
            own.mkdir(parents=True)
            roles = [_role(own, code, keys) for code in list(keys)[number::processes]]
            halls.append(_start(own, dispatch_url, roles, seed, behaviour))
        yield halls
    finally:
        stop(halls)


def _role(folder: Path, code: str, keys: Mapping[str, str]) -> dict[str, Any]:
    path = folder / f"{code}.api-key"
    path.touch(0o600)
    path.write_text(keys[code], encoding="ascii")
    suggests = [other for other in keys if other != code]
    return {
        "code": code,
        "api_key_file": path.name,
        "keys_file": f"{code}.keys",
        "behaviour": {"suggests": suggests},
    }


def _start(
    folder: Path, dispatch_url: str, roles: Sequence[Mapping[str, Any]], seed: int, behaviour: Mapping[str, Any]
) -> Hall:
    plan = {
        "dispatch": dispatch_url,
        "departments": roles,
        "log": "log.jsonl",
        "receipts": "receipts.db",
        "ready": "ready.json",
        "seed": seed,
        "poll": 5,
        "behaviour": behaviour,
    }
    (folder / "plan.json").write_text(json.dumps(plan, ensure_ascii=False, indent=1), encoding="utf-8")
    line = [sys.executable, "-m", "demo.leash", "simulate", "--config", str(folder / "plan.json")]
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            line, cwd=PROJECT, stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True
        )
    return Hall(process, folder)
