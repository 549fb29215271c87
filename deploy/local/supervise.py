"""Starts, watches and stops the programs of one place, each a process of its own, under the library supervisor."""

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local import environment
from deploy.local.leash import leash
from deploy.local.place import PROJECT, Place

STORES = ("kafka", "postgres")
ITSELF = "supervisor"
STOP_TIME = 30  # seconds a program has to end after it was asked, before it is killed
HEADER = """\
[supervisord]
logfile=logs/supervisor.log
logfile_maxbytes=1MB
logfile_backups=1
pidfile=supervisor.pid
silent=true
{user}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[inet_http_server]
port=127.0.0.1:{port}
username=zhida
password={password}
"""
# The place and the interpreter come by the environment, so that no character of a path needs escaping here.
PROGRAM = """\
[program:{name}]
command=/bin/sh -c 'exec "$ZHIDA_PYTHON" -P -m deploy.local.program {name}'
autostart=false
autorestart={restart}
startsecs=1
startretries=2
stopsignal={signal}
stopwaitsecs={stop_time}
killasgroup=true
redirect_stderr=true
stdout_logfile=logs/{name}.log
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=2
"""


class ProgramError(Exception):
    """A program did not start, or the supervisor cannot be reached."""


@dataclass(frozen=True)
class Status:
    """State of one program: RUNNING, STARTING, BACKOFF, STOPPING, STOPPED, EXITED, FATAL."""

    name: str
    state: str
    pid: int
    since: float  # seconds since it started
    exit_status: int


class Programs:
    """The programs of one place. Started with `start`, or joined where `make up` left them running."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._process: subprocess.Popen[bytes] | None = None  # the supervisor, where it is to stop with us

    def start_supervisor(self, *, keep: bool) -> None:
        """Start the supervisor with nothing under it yet; ends first what a crash of an earlier one left behind.

        keep: it outlives this process and restarts what dies; else everything stops with this process, however it ends.
        Raises ProgramError when one is running for this place already.
        """
        self.place.make()
        if self.place.holder(ITSELF):
            raise ProgramError(f"Zhida already runs from {self.place.folder}: stop it with `make down`")
        self.end_orphans()
        self.place.choose_ports(ITSELF)
        self._write_settings(keep)
        line = [sys.executable, "-P", "-W", "ignore", "-m", "deploy.local.supervise"]
        surroundings = (
            environment.outer()
            | _passed_on()
            | {
                "ZHIDA_PYTHON": sys.executable,
                "ZHIDA_PLACE": str(self.place.folder),
            }
        )
        with self.place.log("supervisor-start").open("wb") as log:
            process = subprocess.Popen(
                line if keep else [*line, "--leash"],
                cwd=self.place.folder,
                env=surroundings,
                stdin=subprocess.DEVNULL if keep else subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us; we pass it on in the right order
            )
        if keep:
            process.returncode = 0  # it outlives us: nobody will wait for it
        else:
            self._process = process
        deadline = time.monotonic() + 30
        while not self.join():
            if (process.poll() is not None and not keep) or time.monotonic() > deadline:
                why = self.place.log("supervisor-start").read_text()[-2_000:]
                raise ProgramError(f"the supervisor did not start:\n{why}")
            time.sleep(0.02)

    def join(self) -> bool:
        """Whether a supervisor of this place answers."""
        if not self.place.holder(ITSELF):
            return False
        try:
            self._ask("getState")
        except ProgramError:
            return False
        return True

    def start(self, name: str) -> None:
        """Start one program unless it runs; returns at once."""
        if self.status(name).state not in ("RUNNING", "STARTING"):
            self._ask("startProcess", _full(name), False)

    def stop(self, *names: str) -> None:
        """Ask the programs to end in good order, and wait until they have; after STOP_TIME each is killed."""
        for name in names:
            if self.status(name).state in ("RUNNING", "STARTING", "BACKOFF"):
                self._ask("stopProcess", _full(name), False)
        for name in names:
            for status in self._watch(name, STOP_TIME + 10):
                if status.state in ("STOPPED", "EXITED", "FATAL", "UNKNOWN"):
                    break

    def kill(self, name: str) -> None:
        """End one program with SIGKILL, and wait until it is gone; it stays down unless started to keep."""
        for status in self._watch(name, 10):
            if status.state == "RUNNING":  # before, the supervisor would count it as a failed start
                break
            if status.state in ("STOPPED", "EXITED", "FATAL"):
                raise ProgramError(f"{name} does not run")
        pid = status.pid
        self.signal(name, "KILL")
        for status in self._watch(name, 10):
            if status.pid != pid and not (status.pid == 0 and self.place.holder(name)):
                return

    def signal(self, name: str, signal_name: str) -> None:
        """Send a signal such as STOP, CONT or TERM to one program."""
        self._ask("signalProcess", _full(name), signal_name)

    def status(self, name: str) -> Status:
        return _status(self._ask("getProcessInfo", _full(name)))

    def statuses(self) -> list[Status]:
        return [_status(info) for info in self._ask("getAllProcessInfo")]

    def shutdown(self) -> None:
        """Stop all programs, services before the stores they need, and then the supervisor; waits for the end."""
        if not self.join():
            self.end_orphans()
            return
        with contextlib.suppress(ProgramError):
            names = [status.name for status in self.statuses() if status.pid or status.state == "BACKOFF"]
            self.stop(*(name for name in names if name not in STORES))
            self.stop(*(name for name in names if name in STORES))
            self._ask("shutdown")
        deadline = time.monotonic() + STOP_TIME
        while self.place.holder(ITSELF) and time.monotonic() < deadline:
            self.join()  # each call wakes the supervisor's loop, which else sleeps a second
            time.sleep(0.02)
        if self._process:
            if self._process.stdin:
                self._process.stdin.close()  # should it still live, this ends it
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIME)
        self.end_orphans()

    def end_orphans(self) -> None:
        """End the programs that a killed supervisor left behind: known by their locks, so never somebody else's."""
        for program, pid in self.place.held().items():
            for wanted, patience in ((signal.SIGTERM, STOP_TIME), (signal.SIGKILL, 10)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, wanted)
                deadline = time.monotonic() + patience
                while self.place.holder(program) == pid and time.monotonic() < deadline:
                    time.sleep(0.05)
                if self.place.holder(program) != pid:
                    break

    def tail(self, name: str, lines: int = 15) -> str:
        """The last lines of a program's log."""
        try:
            return "\n".join(self.place.log(name).read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"

    def _watch(self, name: str, patience: float) -> Iterator[Status]:
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            yield self.status(name)
            time.sleep(0.02)
        raise ProgramError(f"{name} is still {self.status(name).state} after {patience:.0f} s:\n{self.tail(name)}")

    def _ask(self, method: str, *arguments: str | bool) -> Any:
        """One call of the supervisor, on a connection of its own: threads ask side by side."""
        try:
            address = (
                f"http://zhida:{self.place.secret('supervisor-password')}@127.0.0.1:{self.place.port(ITSELF)}/RPC2"
            )
            with xmlrpc.client.ServerProxy(address) as server:
                return getattr(server.supervisor, method)(*arguments)
        except (OSError, KeyError, http.client.HTTPException, xmlrpc.client.Error) as error:
            raise ProgramError(f"the supervisor did not answer to {method}{arguments}: {error!r}") from error

    def _write_settings(self, keep: bool) -> None:
        header = HEADER.format(
            user="user=root" if os.geteuid() == 0 else "",
            port=self.place.port(ITSELF),
            password=self.place.secret("supervisor-password"),
        )
        programs = [
            PROGRAM.format(
                name=name,
                restart="true" if keep else "false",
                signal="INT" if name == "postgres" else "TERM",  # Postgres: end sessions, do not wait for them
                stop_time=STOP_TIME,
            )
            for name in (*STORES, *environment.programs())
        ]
        path = self.place.folder / "supervisord.conf"
        path.touch(0o600)
        path.chmod(0o600)
        path.write_text(header + "".join(programs))


def _passed_on() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("ZHIDA_")}


def _full(name: str) -> str:
    return f"{name}:{name}"


def _status(info: dict[str, Any]) -> Status:
    since = info["now"] - info["start"] if info["pid"] else 0
    return Status(info["name"], info["statename"], info["pid"], since, info["exitstatus"])


def main() -> None:
    """The supervisor's own process. With --leash it ends, and all under it, as soon as its standard input does."""
    place = Place(Path(os.environ["ZHIDA_PLACE"]))
    place.hold(ITSELF)
    if "--leash" in sys.argv:
        leash()
    sys.path.append(str(PROJECT))
    from supervisor import supervisord

    supervisord.main(["-n", "-c", "supervisord.conf"])


if __name__ == "__main__":
    main()
