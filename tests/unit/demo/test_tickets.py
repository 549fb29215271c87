"""The sample tickets are what their notes say: complete, different, acceptable to intake, known to the matrix."""

import csv
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.intake.domain import masking, submission

ROOT = Path(__file__).parents[3]


def table(name: str) -> list[dict[str, str]]:
    with (ROOT / "demo" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def tickets() -> list[dict[str, str]]:
    return table("tickets.csv")


def submitted(row: dict[str, str]) -> dict[str, Any]:
    row = {name: value for name, value in row.items() if value}
    place = {name: row.pop(name) for name in ("area_code", "address") if name in row}
    customer: dict[str, Any] = {name: row.pop(name) for name in ("customer_id", "phone") if name in row}
    customer |= {"star": int(row.pop("star"))} | ({"name": row.pop("customer_name")} if "customer_name" in row else {})
    return {**row, "place": place, "customer": customer}


def test_every_ticket_is_acceptable_to_intake(tickets: list[dict[str, str]]) -> None:
    for row in tickets:
        submission.check(submitted(row), now=datetime(2026, 11, 22, tzinfo=UTC))


def test_there_are_three_hundred_and_no_two_say_the_same(tickets: list[dict[str, str]]) -> None:
    assert len(tickets) == 300
    assert len({(row["channel"], row["external_ref"]) for row in tickets}) == 300
    assert len({row["text"] for row in tickets}) == 300
    assert [row["opened_at"] for row in tickets] == sorted(row["opened_at"] for row in tickets)


def test_every_channel_star_and_several_cities_occur(tickets: list[dict[str, str]]) -> None:
    assert {row["channel"] for row in tickets} == {
        "95598", "95598_app", "ivr", "website", "12398", "12345", "sunshine_hotline", "walk_in",
    }  # fmt: skip
    assert {row["star"] for row in tickets} == {"1", "2", "3", "4", "5"}
    assert len({row["area_code"][:4] for row in tickets if row["area_code"]}) == 10
    assert any(count > 2 for customer, count in Counter(row["customer_id"] for row in tickets).items() if customer)


def test_numbers_in_texts_are_invented_and_get_masked(tickets: list[dict[str, str]]) -> None:
    numbers = [number for row in tickets for number in re.findall(r"\d{11,}", row["text"] + row["phone"])]
    assert all(re.fullmatch(r"1380000\d{4}|\d{6}19000101\d{4}", number) for number in numbers)
    named = [row["text"] for row in tickets if re.search(r"\d{11}", row["text"])]
    assert len(named) >= 8
    for text in named:
        assert not re.search(r"\d{11}", masking.mask(text))


def test_expected_situations_cover_the_whole_matrix(tickets: list[dict[str, str]]) -> None:
    pack = yaml.safe_load((ROOT / "services/classification/packs/power_95598.yaml").read_text(encoding="utf-8"))
    situations = {
        situation["code"]
        for top in pack["classes"]
        for group in top["groups"]
        for category in group["categories"]
        for situation in category["situations"]
    }
    expected = table("tickets_expected.csv")
    assert [(row["channel"], row["external_ref"]) for row in expected] == [
        (row["channel"], row["external_ref"]) for row in tickets
    ]
    assert {row["situation"] for row in expected} - {""} == situations
    assert sum(not row["situation"] for row in expected) == 16
