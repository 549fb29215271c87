"""The machine a benchmark ran on, as it stands beside every figure."""

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from deploy.local.place import PROJECT

DURABLE = ("fsync", "synchronous_commit", "full_page_writes")


async def describe(owner_database_url: str) -> dict[str, Any]:
    """CPU, cores, memory, system, versions, what of Postgres's durability is on, the commit; and what else was busy."""
    connection = await asyncpg.connect(owner_database_url, timeout=10)
    try:
        version = connection.get_server_version()
        settings = {name: await connection.fetchval(f"SHOW {name}", timeout=10) for name in DURABLE}
    finally:
        await connection.close(timeout=5)
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "kafka": kafka(),
        "postgres": f"{version.major}.{version.minor}",
        "durability": ", ".join(f"{name} {value}" for name, value in settings.items()) + ", acks all",
        "commit": commit(),
        "load": [round(each, 2) for each in psutil.getloadavg()],  # before the run: what others did here
    }


def cpu() -> str:
    """The CPU's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def kafka() -> str:
    """The broker's version: that of the locked jars."""
    found = re.search(r"org\.apache\.kafka:kafka_[\d.]+:([\d.]+)", (PROJECT / "deploy/local/kafka.lock").read_text())
    return found.group(1) if found else "unknown"


def commit() -> str:
    """The commit that is checked out, with a + where files differ from it."""
    words = ["git", "-C", str(PROJECT), "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
