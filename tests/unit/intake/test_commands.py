"""What `zhida intake` says to a wrong option, mapping or file."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from services.intake.commands import group
from services.intake.vault import read_keys


def run(*args: object) -> Result:
    return CliRunner().invoke(group, ["import", *map(str, args)], env={"ZHIDA_INTAKE_KEY": "k", "COLUMNS": "200"})


def write(folder: Path) -> Path:
    file = folder / "t.csv"
    file.write_text("编号,标题,内容,时间,星级\n1,停电,停电两天,2020-01-06,3\n", encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ([], "no column is channel: say --channel"),
        (["--channel", "12345", "--map", "编号"], "is not COLUMN=FIELD"),
        (["--channel", "12345", "--map", "nope=text"], "there is no column 'nope'"),
        (["--channel", "12345", "--map", "编号=colour"], "there is no field 'colour'"),
        (["--channel", "12345", "--map", "内容="], "no column is text"),
        (["--channel", "12345", "--timezone", "Mars/Olympus"], "there is no time zone"),
        (["--channel", "12345", "--batch", "501"], "501 is not in the range"),
        (["--channel", "12345", "--encoding", "latin1"], "is not one of"),
    ],
)
def test_a_wrong_option_is_named(tmp_path: Path, args: list[str], reason: str) -> None:
    file = write(tmp_path)
    done = run(file, *args)
    assert done.exit_code == 2
    assert reason in done.stderr


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the first line must name the columns"),
        (b"\n\n", "the first line must name the columns"),
        (b"a,a\n1,2\n", "two columns are named 'a'"),
        (b"a,\x00b\n1,2\n", "channel"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes(content)
    done = run(file)
    assert done.exit_code in (1, 2)
    assert reason in done.stderr


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("- a", "must hold columns"),
        ("colums: {}", "colums: is not known"),
        ("columns: [a]", "columns: must be a table"),
        ("constants: {colour: red}", "constants.colour: there is no such field"),
        ("values: {channel: 5}", "values.channel: must be a table"),
        ("timezone: 8", "timezone: must be a name"),
        ("{", "mapping"),
    ],
)
def test_a_wrong_mapping_file_is_named(tmp_path: Path, content: str, reason: str) -> None:
    mapping = tmp_path / "m.yaml"
    mapping.write_text(content)
    done = run(write(tmp_path), "--mapping", mapping)
    assert done.exit_code == 2
    assert reason in done.stderr


def test_without_a_key_it_says_where_to_put_one(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        group, ["import", str(write(tmp_path)), "--channel", "12345"], env={"ZHIDA_INTAKE_KEY": ""}
    )
    assert done.exit_code == 2
    assert "ZHIDA_INTAKE_KEY" in done.stderr


def test_check_shows_the_columns_and_sends_nothing(tmp_path: Path) -> None:
    done = run(write(tmp_path), "--channel", "12345", "--url", "http://127.0.0.1:1", "--check")
    assert done.exit_code == 0
    for word in ("t.csv: 1 rows", "编号", "external_ref", "opened_at", "12345"):
        assert word in done.stderr


def test_a_new_vault_key_is_one_the_vault_takes() -> None:
    done = CliRunner().invoke(group, ["vault", "key"])
    assert len(read_keys(done.stdout)) == 1
