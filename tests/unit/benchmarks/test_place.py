"""CPU time by process, and programs that end when whoever started them is gone."""

import signal
import subprocess
import sys

import psutil

from benchmarks import place
from benchmarks.place import Spent

BURN = "import time\nwhile time.process_time() < 0.2: pass\n"


def test_cpu_time_counts_what_a_process_and_its_ended_children_used() -> None:
    line = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN!r}])\nprint(flush=True)\ninput()"
    process = subprocess.Popen([sys.executable, "-c", line], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    assert place.cpu_ms(psutil.Process(process.pid)) >= 190
    process.communicate(b"\n", timeout=10)


def test_what_was_spent_is_told_for_one_ticket() -> None:
    spent = Spent(1.0, {"kafka": 50.0, "postgres": 150.0})
    assert spent.each(100) == {"kafka": 0.5, "postgres": 1.5, "all": 2.0}


def test_program_on_a_leash_ends_when_its_standard_input_does() -> None:
    line = (
        "import threading\nfrom deploy.local.leash import leash\nleash()\nprint(flush=True)\nthreading.Event().wait()"
    )
    process = subprocess.Popen([sys.executable, "-c", line], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdin
    process.stdout.readline()
    process.stdin.close()
    assert process.wait(timeout=10) == -signal.SIGTERM
    process.stdout.close()
