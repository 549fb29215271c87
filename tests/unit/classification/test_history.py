"""Which department had tickets of a category at a place before."""

import csv
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from services.classification.commands.history import settled_history
from services.classification.domain.history import History, Settled, score

START = datetime(2026, 1, 1, tzinfo=UTC)


def settled(category: str, place: str, department: str, day: float = 0.0) -> Settled:
    return Settled(START + timedelta(days=day), ("all", category), (place,), department)


def test_department_of_the_category_at_the_place_is_named_first() -> None:
    found = History([settled("noise", "east", "east_team")] * 9 + [settled("noise", "west", "west_team")] * 9)
    assert found.of(("all", "noise"), ("east",))[0][0] == "east_team"
    assert found.of(("all", "noise"), ("west",))[0][0] == "west_team"
    assert sum(share for _, share in found.of(("all", "noise"), ("east",))) == pytest.approx(1)


def test_place_or_category_never_seen_backs_off_to_what_is_more_general() -> None:
    found = History([settled("noise", "east", "noise_team")] * 9 + [settled("water", "east", "water_team")] * 20)
    assert found.of(("all", "noise"), ("north",))[0][0] == "noise_team"
    assert found.of(("all", "smell"), ("north",))[0][0] == "water_team"
    assert found.of((), ())[0][0] == "water_team"


def test_one_ticket_does_not_outvote_many_like_it() -> None:
    found = History([settled("noise", "east", "noise_team")] * 100 + [settled("noise", "west", "chance")])
    assert found.of(("all", "noise"), ("west",))[0][0] == "noise_team"
    assert found.look_up(("all", "noise"), ("west",)) == "chance"


def test_reorganised_department_takes_over_as_time_goes() -> None:
    old = [settled("noise", "east", "old", day) for day in range(40)]
    new = [settled("noise", "east", "new", 300 + day) for day in range(25)]
    assert History(old + new).of(("all", "noise"), ("east",))[0][0] == "new"


def test_score_judges_by_later_tickets_only() -> None:
    rows = [settled("noise", "east", "before", day) for day in range(80)]
    rows += [settled("noise", "east", "after", 80 + day) for day in range(20)]
    found = score(reversed(rows), 0.2)
    assert (found.rows, found.right, found.look_up) == (20, 0.0, 0.0)


def test_command_says_how_well_history_holds_and_writes_its_cells(tmp_path: Path) -> None:
    chance = random.Random(5)
    path, out = tmp_path / "settled.csv", tmp_path / "cells.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["time", "type", "sub", "street", "unit"])
        for number in range(400):
            sub, street = chance.choice(["噪声", "路灯"]), chance.choice(["东街", "西街", "南街"])
            unit = f"{street}办" if sub == "噪声" else "市政"
            table.writerow([(START + timedelta(hours=number)).isoformat(), "城管", sub, street, unit])
        table.writerow(["yesterday", "城管", "噪声", "东街", "市政"])
    options = ["--category", "type,sub", "--place", "street", "--department", "unit", "--time", "time"]
    result = CliRunner().invoke(settled_history, [str(path), *options, "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "400 tickets, 4 departments" in result.output
    assert "100.0% right" in result.output
    assert "line 402: time is no time" in result.output
    rows = list(csv.DictReader(out.read_text(encoding="utf-8-sig").splitlines()))
    assert {(row["sub"], row["street"]): row["department"] for row in rows} == {
        ("噪声", "东街"): "东街办",
        ("噪声", "西街"): "西街办",
        ("噪声", "南街"): "南街办",
        ("路灯", "东街"): "市政",
        ("路灯", "西街"): "市政",
        ("路灯", "南街"): "市政",
    }
    wrong = CliRunner().invoke(settled_history, [str(path), *options[:-1], "hour"])
    assert (wrong.exit_code, "no column hour" in wrong.output) == (1, True)
    short = tmp_path / "short.csv"
    short.write_text("time,type,sub,street,unit\n2026-01-01,城管,噪声,东街,市政\n", encoding="utf-8")
    refused = CliRunner().invoke(settled_history, [str(short), *options])
    assert "1 rows can be used, 50 are needed" in refused.output
