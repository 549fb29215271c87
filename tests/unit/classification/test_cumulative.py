"""The pure part of cumulative problems: what is one occasion, how many are enough, and the rules as data of a pack."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from libs.shared.contracts.intake import Ticket
from services.classification import packs
from services.classification.domain import cumulative, draft, pack, sheet
from services.classification.domain.cumulative import CumulativeRule, Occasion, Request, Where
from services.classification.domain.draft import Change
from tests.unit.classification.test_pack import faults, small

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
RULE = CumulativeRule("r", "反复停电", ("C04",), "area", times=3, days=60, digits=12)
ROW = {"code": "r", "name": "反复停电", "of": ["A01"], "per": "area", "digits": 9, "times": 3, "days": 60}


def request(number: int, hours_ago: float, *, hot_event: UUID | None = None, situation: str = "C04-2") -> Request:
    return Request(UUID(int=number), NOW - timedelta(hours=hours_ago), situation, hot_event)


def counted(*requests: Request) -> list[Occasion]:
    occasions: list[Occasion] = []
    cumulative.take(RULE, occasions, requests)
    return occasions


def test_what_comes_within_hours_of_the_first_request_is_one_occasion() -> None:
    occasions = counted(request(1, 100), request(2, 95), request(3, 89), request(4, 87), request(5, 10))
    assert [(each.began.int, each.count) for each in occasions] == [(1, 3), (4, 1), (5, 1)]
    assert [ticket.int for ticket in occasions[0].tickets] == [1, 2, 3]


def test_a_hot_event_is_one_occasion_however_long_it_lasts() -> None:
    event = UUID(int=99)
    occasions = counted(request(1, 100, hot_event=event), request(2, 60, hot_event=event), request(3, 59))
    assert [(each.began.int, each.count) for each in occasions] == [(1, 2), (3, 1)]


def test_a_hundred_callers_of_one_outage_are_one_occasion_and_few_of_them_named() -> None:
    [occasion] = counted(*(request(n, 5 + n / 100) for n in range(100)))
    assert (occasion.count, len(occasion.tickets)) == (100, cumulative.NAMED)


def test_what_comes_late_joins_the_occasion_of_its_time() -> None:
    occasions = counted(request(1, 50), request(2, 20))
    changed = cumulative.take(RULE, occasions, [request(3, 52)])
    assert [(each.began.int, each.count) for each in changed] == [(1, 2)]
    assert len(occasions) == 2


def test_three_outages_in_60_days_at_one_place_are_a_cumulative_problem_and_older_ones_do_not_count() -> None:
    day = 24
    old = counted(request(1, 61 * day), request(2, 30 * day), request(3, 1))
    assert cumulative.enough(RULE, old, NOW) == []
    enough = counted(request(1, 59 * day), request(2, 30 * day), request(3, 1))
    assert [each.began.int for each in cumulative.enough(RULE, enough, NOW)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("per", "place", "customer", "expected"),
    [
        ("area", {"area_code": "320102001003"}, None, Where(area_code="320102001")),
        ("area", {"area_code": "320102"}, None, None),
        ("area", {}, "c1", None),
        ("address", {"area_code": "320102", "address": "3号楼"}, None, Where("320102", "3号楼")),
        ("address", {"area_code": "320102", "address": "。"}, None, None),
        ("address", {"address": "3号楼"}, "c1", None),
        ("customer", {"area_code": "320102001003"}, "c1", Where(customer_id="c1")),
        ("customer", {"area_code": "320102001003"}, None, None),
    ],
)
def test_ticket_counts_for_its_place_address_or_customer_where_it_says_that(
    per: cumulative.Per, place: dict[str, Any], customer: str | None, expected: Where | None
) -> None:
    about = {"channel": "95598", "external_ref": "1", "title": "", "text": "停电", "opened_at": NOW}
    ticket = Ticket.model_validate(about | {"place": place, "customer": {"customer_id": customer}})
    rule = CumulativeRule("r", "n", ("C04",), per, 3, 60, digits=9 if per == "area" else None)
    assert cumulative.where(rule, ticket) == expected


def test_one_address_written_in_two_ways_is_one_place() -> None:
    rule = CumulativeRule("r", "n", ("C04",), "address", 3, 60)
    one, other = Where("320102", "3号楼 2-101"), Where("320102", "３号楼２－１０１")
    assert cumulative.key(rule, one) == cumulative.key(rule, other)
    assert cumulative.key(rule, one) != cumulative.key(rule, Where("320103", "3号楼 2-101"))


def test_proactive_ticket_is_what_the_rule_says_else_what_most_occasions_were() -> None:
    matrix = packs.read("power_95598")
    occasions = counted(request(1, 90, situation="C04-1"), request(2, 50), request(3, 20, situation="gone"))
    assert cumulative.situation(matrix, RULE, occasions).code == "C04-2"
    named = CumulativeRule("r", "n", ("C04",), "area", 3, 60, digits=9, situation="B04-1")
    assert cumulative.situation(matrix, named, occasions).code == "B04-1"


def test_proactive_ticket_says_when_it_was_what_and_no_word_of_those_who_asked() -> None:
    matrix = packs.read("power_95598")
    occasions = counted(request(1, 60), request(2, 59), request(3, 30), request(4, 1))
    assert cumulative.title(RULE, occasions) == "反复停电（60天内3次）"
    assert cumulative.text(matrix, RULE, occasions).splitlines() == [
        "反复停电：60天内3次，请在客户投诉之前查明原因并整改。",
        "2026-11-20 08:00 成片停电报修，2件",
        "2026-11-21 14:00 成片停电报修，1件",
        "2026-11-22 19:00 成片停电报修，1件",
    ]


@pytest.mark.parametrize("name", packs.names())
def test_every_pack_has_rules_of_cumulative_problems(name: str) -> None:
    matrix = packs.read(name)
    assert len(matrix.cumulative) >= 3
    assert all(rule.times >= 2 and rule.days <= cumulative.LONGEST for rule in matrix.cumulative)


def test_rules_come_back_from_yaml_and_workbook_as_they_were() -> None:
    raw = small() | {"cumulative": [ROW, ROW | {"code": "s", "per": "customer", "digits": None, "situation": "A01-2"}]}
    matrix = pack.build(raw, lambda _: "")
    assert [rule.per for rule in matrix.cumulative] == ["area", "customer"]
    assert pack.read(pack.write(pack.form(matrix))) == matrix
    assert sheet.read(sheet.write(pack.form(matrix))) == matrix
    assert pack.build(small(), lambda _: "").version != matrix.version


@pytest.mark.parametrize(
    ("change", "place", "reason"),
    [
        ({"of": ["A01", "B"]}, "cumulative r.of", "there is no situation, category or class 'B'"),
        ({"of": []}, "cumulative[0].of (r)", "at least 1"),
        ({"digits": None}, "cumulative r.digits", "is missing: how many digits"),
        ({"per": "customer"}, "cumulative r.digits", "says nothing where occasions are counted per customer"),
        ({"per": "street"}, "cumulative[0].per (r)", "'customer', 'address' or 'area'"),
        ({"times": 1}, "cumulative[0].times (r)", "greater than or equal to 2"),
        ({"days": 61}, "cumulative[0].days (r)", "less than or equal to 60"),
        ({"apart_hours": 0}, "cumulative[0].apart_hours (r)", "greater than or equal to 1"),
        ({"situation": "A01"}, "cumulative r.situation", "there is no situation 'A01'"),
        ({"time": 3}, "cumulative[0].time (r)", "not permitted"),
    ],
)
def test_wrong_rule_is_refused_with_its_field_and_line(change: dict[str, Any], place: str, reason: str) -> None:
    [fault] = faults(small() | {"cumulative": [ROW | change]})
    assert fault.startswith(place), fault
    assert reason in fault
    assert "line" in fault


def test_rule_that_stands_there_twice_is_a_fault() -> None:
    [fault] = faults(small() | {"cumulative": [ROW, ROW]})
    assert fault.startswith("cumulative code 'r': stands there more than once")


def test_rule_is_a_row_of_a_draft() -> None:
    form = pack.form(pack.build(small() | {"cumulative": [ROW]}, lambda _: ""))
    changed = draft.apply(form, [Change("set", "cumulative", "r", "times", 4)])
    [difference] = draft.differences(form, changed)
    assert (difference.kind, difference.code, difference.cell) == ("cumulative", "r", "times")
    assert (difference.before, difference.after) == (3, 4)
    assert "cumulative" not in draft.apply(form, [Change("remove", "cumulative", "r")])
