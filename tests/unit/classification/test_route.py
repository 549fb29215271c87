"""By place, customer and time: who executes instead of the situation's own department, and why."""

from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from libs.shared.contracts.intake import Customer, Place, Ticket
from services.classification.domain import draft, pack, sheet
from services.classification.domain.matrix import Matrix, MatrixError
from services.classification.domain.route import executing, routed
from tests.unit.classification.test_pack import small

NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)  # a Monday, 12:00 in Shanghai
NIGHT = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)  # 23:00
HOURS = [{"days": [1, 2, 3, 4, 5], "start": "08:30", "end": "17:30"}]
BY_AREA = {"code": "R1", "name": "属地", "instead_of": "crew", "areas": {"3201": ["city"], "320115": ["jiangning"]}}
BY_NIGHT = {"code": "R2", "name": "夜间", "of": ["A01-1"], "off_duty": "office", "executing": ["night"]}
BY_STAR = {"code": "R3", "name": "高星级", "stars": [5], "executing": ["vip"]}
BY_LEDGER = {"code": "R4", "name": "特殊群体", "sensitive": True, "executing": ["vip"]}


def raw(*routes: dict[str, Any]) -> dict[str, Any]:
    """A small pack with these rules, and the departments and calendar that they name."""
    form = small()
    named = {
        code
        for each in routes
        for codes in [*each.get("areas", {}).values(), each.get("executing", [])]
        for code in codes
    }
    form["departments"] += [
        {"code": code, "name": f"部门 {code}", "role": "executing", "posts": [{"name": "值班员"}]}
        for code in sorted(named)
    ]
    if any("office" in each.values() for each in routes):
        calendar = {"code": "office", "name": "上班", "hours": HOURS, "off": ["2026-10-01"], "on": ["2026-11-22"]}
        form["calendars"] = [calendar]
    form["routes"] = list(routes)
    return form


def matrix(*routes: dict[str, Any]) -> Matrix:
    return pack.read(yaml.safe_dump(raw(*routes), allow_unicode=True))


def ticket(*, area: str | None = None, star: int = 1, sensitive: bool = False) -> Ticket:
    return Ticket(
        channel="95598",
        external_ref="1",
        title="",
        text="没电",
        place=Place(area_code=area),
        customer=Customer(star=star, sensitive=sensitive),
        opened_at=NOON,
    )


def goes(found: Matrix, request: Ticket, at: datetime = NOON, code: str = "A01-1") -> tuple[str, ...]:
    return executing(routed(found, found.situations[found.by_code[code]], request, at))


def test_without_rules_the_situation_s_own_departments_go() -> None:
    [found] = routed(matrix(), matrix().situations[0], ticket(), NOON)
    assert (found.department, found.executing, found.rule, found.because) == ("crew", ("crew",), None, ())


@pytest.mark.parametrize(
    ("area", "department"),
    [
        ("320115001", "jiangning"),
        ("320115", "jiangning"),
        ("32011", "city"),
        ("3201", "city"),
        ("32", "crew"),
        ("330100", "crew"),
        (None, "crew"),
    ],
)
def test_longest_beginning_of_the_area_code_wins(area: str | None, department: str) -> None:
    assert goes(matrix(BY_AREA), ticket(area=area)) == (department,)


def test_lead_department_does_not_depend_on_place_or_time() -> None:
    found = matrix(BY_AREA, BY_NIGHT)
    assert {each.lead for each in found.situations} == {"grid"}
    with pytest.raises(MatrixError, match=r"routes\[0\]\.lead"):
        matrix({**BY_AREA, "lead": "city"})


def test_first_rule_in_the_order_of_the_pack_decides_and_is_named() -> None:
    first, second = matrix(BY_NIGHT, BY_AREA), matrix(BY_AREA, BY_NIGHT)
    request = ticket(area="320115")
    assert goes(first, request, NIGHT) == ("night",)
    assert goes(second, request, NIGHT) == ("jiangning",)
    assert goes(first, request, NOON) == ("jiangning",)
    [found] = routed(first, first.situations[0], request, NIGHT)
    assert (found.rule, found.name) == ("R2", "夜间")
    assert found.because == ("outside the hours of office at 2026-11-23 23:00",)


def test_rule_holds_for_the_situations_it_names_only() -> None:
    found = matrix(BY_NIGHT)
    assert goes(found, ticket(), NIGHT, "A01-1") == ("night",)
    assert goes(found, ticket(), NIGHT, "A01-2") == ("crew",)
    everywhere = matrix({**BY_NIGHT, "of": ["A01"]})
    assert goes(everywhere, ticket(), NIGHT, "A01-2") == ("night",)


def test_customer_decides_by_star_and_by_the_ledger() -> None:
    found = matrix(BY_STAR)
    assert goes(found, ticket(star=5)) == ("vip",)
    assert goes(found, ticket(star=4)) == ("crew",)
    ledger = matrix(BY_LEDGER)
    assert goes(ledger, ticket(sensitive=True)) == ("vip",)
    assert goes(ledger, ticket()) == ("crew",)


@pytest.mark.parametrize(
    ("local", "on_duty"),
    [
        ("2026-11-23T08:29", False),
        ("2026-11-23T08:30", True),
        ("2026-11-23T17:29", True),
        ("2026-11-23T17:30", False),
        ("2026-11-21T10:00", False),  # Saturday
        ("2026-11-22T10:00", True),  # Sunday worked as a Monday (调休)
        ("2026-10-01T10:00", False),  # Thursday, holiday
    ],
)
def test_duty_calendar_knows_hours_holidays_and_made_up_workdays(local: str, on_duty: bool) -> None:
    [calendar] = matrix(BY_NIGHT).calendars
    assert calendar.on_duty(datetime.fromisoformat(local)) is on_duty


def test_department_named_by_two_rules_goes_once() -> None:
    form = raw({"code": "R", "name": "合并", "areas": {"32": ["merged"]}})
    form["departments"].append({"code": "more", "name": "另一个", "role": "executing", "posts": [{"name": "值班员"}]})
    form["defaults"]["executing"] = ["crew", "more"]
    found = pack.read(yaml.safe_dump(form, allow_unicode=True))
    assert goes(found, ticket(area="320115")) == ("merged",)
    assert goes(found, ticket(area="11")) == ("crew", "more")


@pytest.mark.parametrize(
    ("routes", "fault"),
    [
        ([{**BY_NIGHT, "of": ["Z9"]}], "route R2.of: there is no situation, category or class 'Z9'"),
        ([{**BY_AREA, "instead_of": "nobody"}], "route R1: unknown department 'nobody'"),
        ([{**BY_NIGHT, "off_duty": "office", "on_duty": "weekend"}], "route R2: unknown calendar 'weekend'"),
        ([{**BY_STAR, "areas": {"32": ["vip"]}}], "route R3: needs either areas or executing"),
        ([{"code": "R", "name": "空", "stars": [5]}], "route R: needs either areas or executing"),
        ([{**BY_AREA, "instead_of": "grid"}], "route R1: no situation that it is about has that executing department"),
        (
            [{"code": "R0", "name": "总", "executing": ["vip"]}, BY_STAR],
            "route R3: is never reached: rules before it fit whatever it fits",
        ),
        ([BY_STAR, BY_STAR], "route code 'R3': stands there more than once"),
    ],
)
def test_rule_that_cannot_be_or_is_never_reached_is_a_fault(routes: list[dict[str, Any]], fault: str) -> None:
    with pytest.raises(MatrixError) as refused:
        matrix(*routes)
    assert any(str(each).startswith(fault) and "(line " in str(each) for each in refused.value.problems)


def test_calendar_that_no_rule_asks_for_is_a_fault() -> None:
    form = raw(BY_NIGHT)
    form["calendars"].append({"code": "spare", "name": "闲", "hours": HOURS})
    assert [str(each) for each in pack.examine(form)[1]] == ["calendar spare: no route asks for it"]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"areas": {"江宁": ["crew"]}}, "routes[0].areas"),
        ({"stars": [6]}, "routes[0].stars"),
        ({"colour": 1}, "routes[0].colour"),
    ],
)
def test_bad_rule_is_refused_with_its_place(change: dict[str, Any], place: str) -> None:
    with pytest.raises(MatrixError) as refused:
        pack.build({**raw(BY_AREA), "routes": [BY_AREA | change]}, lambda _: "")
    assert any(each.place.startswith(place) for each in refused.value.problems)


@pytest.mark.parametrize(
    "hours", [{"days": [8], "start": "08:00", "end": "09:00"}, {"days": [1], "start": "22:00", "end": "06:00"}]
)
def test_bad_hours_are_refused(hours: dict[str, Any]) -> None:
    form = raw(BY_NIGHT)
    form["calendars"][0]["hours"] = [hours]
    with pytest.raises(MatrixError, match=r"calendars\[0\]\.hours\[0\]"):
        pack.build(form, lambda _: "")


def test_rules_and_calendars_go_through_yaml_and_workbook_and_come_back_the_same() -> None:
    form = raw(BY_NIGHT, BY_AREA, {**BY_LEDGER, "stars": [3, 4]})
    form["timezone"] = "Asia/Urumqi"
    found = pack.build(form, lambda _: "")
    assert pack.read(pack.write(pack.form(found))) == found
    assert sheet.read(sheet.write(pack.form(found))) == found


def test_rule_is_a_row_of_a_draft() -> None:
    form = pack.form(matrix(BY_AREA))
    changed = draft.apply(form, [draft.Change("set", "route", "R1", "areas", {"32": ["city"], "33": ["jiangning"]})])
    assert [(each.kind, each.code, each.cell) for each in draft.differences(form, changed)] == [
        ("route", "R1", "areas")
    ]
    gone = draft.apply(changed, [draft.Change("remove", "route", "R1")])
    assert "routes" not in gone
    added = draft.apply(gone, [draft.Change("add", "route", "R1", value=dict(list(BY_AREA.items())[1:]))])
    assert pack.examine(added)[0] == matrix(BY_AREA)
