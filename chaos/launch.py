"""Runs one process of a service as `zhida SERVICE run` does, with named points where it can be made to die.

`python -m chaos.launch SERVICE [--without PROTECTION]…`. Everything is patched in this process alone; the services know
nothing of it. Standard input is the leash: a line `kill POINT` or `stop POINT` arms a point, `spare POINT` takes that
back, and the process ends at once when whoever started it is gone.
"""

import argparse
import ctypes
import os
import signal
import sys
import threading
from importlib import import_module

from chaos import point, protection
from libs.operate import cli
from libs.shared import run

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Patch, then become the service."""
    parser = argparse.ArgumentParser(prog="python -m chaos.launch")
    parser.add_argument("service", choices=run.service_names())
    parser.add_argument("--without", action="append", default=[], choices=sorted(protection.PROTECTIONS))
    parser.add_argument("--session-timeout", type=int, metavar="MS", help="after which Kafka counts it as gone")
    wanted = parser.parse_args()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # reaches a frozen process too
    for name in wanted.without:
        protection.PROTECTIONS[name].switch_off()
    if wanted.session_timeout:
        _shorten(wanted.session_timeout)
    points = point.Points()
    point.install(points, wanted.service)
    threading.Thread(target=_listen, args=(points,), daemon=True).start()
    sys.argv = ["zhida", wanted.service, "run"]
    cli.main()


def _shorten(milliseconds: int) -> None:
    kafka = import_module("libs.shared.kafka")
    inner = kafka.AIOKafkaConsumer
    timing = {"session_timeout_ms": milliseconds, "heartbeat_interval_ms": milliseconds // 5}
    vars(kafka)["AIOKafkaConsumer"] = lambda *topics, **settings: inner(*topics, **{**settings, **timing})


def _listen(points: point.Points) -> None:
    for line in sys.stdin:
        deed, _, name = line.strip().partition(" ")
        match deed:
            case "kill" | "stop":
                points.arm(name, signal.SIGSTOP if deed == "stop" else signal.SIGKILL)
            case "spare":
                points.armed.pop(name, None)
        print(f'{{"event": "chaos: {deed} {name}"}}', flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
