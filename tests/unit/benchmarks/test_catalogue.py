"""Every benchmark is found by its name and has what the frame asks of it."""

import inspect

import pytest
from click.testing import CliRunner

from benchmarks import __main__ as frame


@pytest.mark.parametrize("name", frame.names())
def test_benchmark_has_its_name_a_title_and_a_run(name: str) -> None:
    module = frame.load(name)
    assert name == module.NAME
    assert module.TITLE
    assert list(inspect.signature(module.run).parameters) == ["place", "options"]


def test_unknown_name_is_refused_with_those_there_are() -> None:
    done = CliRunner().invoke(frame.main, ["nothing"])
    assert done.exit_code == 2
    assert "no benchmark nothing; there are " in done.output
