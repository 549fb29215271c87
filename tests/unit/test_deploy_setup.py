"""Set-up tells what is missing, and has nothing to do the second time."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.place import PROJECT

TOOLS = ("sh", "cat", "cksum", "dirname", "env", "grep", "mkdir", "printf", "rm", "sleep")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what set-up reads, in a folder with spaces, beside a PATH without any Python."""
    copy = tmp_path / "a clone of it"
    (copy / "deploy").mkdir(parents=True)
    for name in ("deploy/setup.sh", "requirements.lock", "pyproject.toml"):
        shutil.copy(PROJECT / name, copy / name)
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        if found := shutil.which(tool):
            (tmp_path / "bin" / tool).symlink_to(found)
    return copy


def python(project: Path, *, version: str = "3.13.1", without: str = "") -> None:
    """A stand-in on the PATH that is of this version and lacks the modules named."""
    path = project.parent / "bin" / "python3"
    path.write_text(
        "#!/bin/sh\n"
        f'case "$*" in --version) echo "Python {version}"; exit;; esac\n'
        f'case "$*" in *{without or "nothing at all"}*) exit 1;; esac\n'
        f"case '{version}' in 3.1[1-4].*) ;; *) exit 1;; esac\n"
        f'exec "{sys.executable}" "$@"\n'
    )
    path.chmod(0o755)


def set_up(project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "deploy/setup.sh"],
        cwd=project,
        env={"PATH": str(project.parent / "bin"), "HOME": os.devnull},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_machine_without_python_is_told_which_versions_will_do(project: Path) -> None:
    done = set_up(project)
    assert done.returncode == 1
    assert "Zhida needs Python 3.11 to 3.14; none was found on the PATH (python3 is absent)" in done.stderr


def test_old_python_is_named(project: Path) -> None:
    python(project, version="3.9.2")
    done = set_up(project)
    assert done.returncode == 1
    assert "(python3 is Python 3.9.2)" in done.stderr


def test_python_without_venv_is_told_what_to_install(project: Path) -> None:
    python(project, without="ensurepip")
    done = set_up(project)
    assert done.returncode == 1
    assert f"apt-get install python3.{sys.version_info.minor}-venv" in done.stderr
    assert not (project / ".venv").exists()
    assert not (project / ".venv.lock").exists()


def test_finished_set_up_is_left_alone_until_something_changes(project: Path) -> None:
    (project / ".venv" / "bin").mkdir(parents=True)
    (project / ".venv" / "bin" / "python").symlink_to(shutil.which("true") or "/bin/true")
    line = "{ cat requirements.lock pyproject.toml deploy/setup.sh; pwd -P; } | cksum"
    stamp = subprocess.run(["sh", "-c", line], cwd=project, capture_output=True, text=True, timeout=60, check=True)
    (project / ".venv" / ".zhida-complete").write_text(stamp.stdout)
    done = set_up(project)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with (project / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    assert set_up(project).returncode == 1  # it tries again, and finds no Python


def test_half_made_environment_and_lock_of_a_dead_run_are_swept_away(project: Path) -> None:
    (project / ".venv" / "bin").mkdir(parents=True)
    (project / ".venv.lock").mkdir()
    with subprocess.Popen(["true"]) as dead:
        dead.wait(10)
    (project / ".venv.lock" / "pid").write_text(f"{dead.pid}\n")
    assert "Zhida needs Python" in set_up(project).stderr
    assert not (project / ".venv").exists()
    assert not (project / ".venv.lock").exists()
