"""`zhida reconcile` says what it cannot look at, by exit code 2 and one line."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from libs.operate.cli import zhida

NOWHERE = "postgresql://nobody:none@127.0.0.1:1/nothing"


def run(*line: str, **environment: str) -> Result:
    surroundings = {"DATABASE_URL": None, "OWNER_DATABASE_URL": None, **environment}
    return CliRunner().invoke(zhida, ["reconcile", *line], env=surroundings)


def test_services_whose_databases_are_not_named_are_listed() -> None:
    found = run("--database", f"intake={NOWHERE}")
    assert found.exit_code == 2
    assert "no database for classification, dispatch, sla_timer, notification" in found.output


@pytest.mark.parametrize("wrong", ["intak=postgresql://x", "intake", "intake="])
def test_a_database_of_no_service_is_refused(wrong: str) -> None:
    found = run("--database", wrong, DATABASE_URL=NOWHERE)
    assert found.exit_code == 2
    assert "SERVICE=URL" in found.output


def test_a_database_that_does_not_answer_is_named() -> None:
    found = run(OWNER_DATABASE_URL=NOWHERE)
    assert found.exit_code == 2
    assert found.output.startswith("reconcile: intake: ")
    assert "none" not in found.output, "no password is ever printed"


def test_a_file_that_is_no_ledger_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text("hello\n")
    found = run("--ledger", str(path), OWNER_DATABASE_URL=NOWHERE)
    assert (found.exit_code, "line 1: not a JSON object" in found.output) == (2, True)
