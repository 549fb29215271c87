"""Temporal's server as a process that ends with the benchmark: `python -m benchmarks.lifecycle.server FILE PORT…`."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from deploy.local.leash import leash

# Best settings: a write-ahead log, no wait for the disk at each commit (we do wait), no UI, nothing sent anywhere.
OPTIONS = (
    "--headless", "--ip", "127.0.0.1", "--log-level", "never", "--disable-config-file", "--disable-config-env",
    "--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=1",
    "--dynamic-config-value", "frontend.enableServerVersionCheck=false",
)  # fmt: skip
QUIET = {"TEMPORAL_VERSION_CHECK_DISABLED": "1", "DO_NOT_TRACK": "1"}


def main(file: str, port: str, http_port: str, metrics_port: str) -> int:
    """Run it until SIGTERM."""
    line = [str(Path(sys.executable).with_name("temporal")), "server", "start-dev", "--db-filename", file, *OPTIONS]
    line += ["--port", port, "--http-port", http_port, "--metrics-port", metrics_port]
    process = subprocess.Popen(line, env=os.environ | QUIET)

    def end(_number: int, _frame: FrameType | None) -> None:
        process.terminate()

    signal.signal(signal.SIGTERM, end)
    leash()
    return process.wait()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
