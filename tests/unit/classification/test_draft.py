"""Drafts: changes cell by cell, and how two matrices differ."""

from typing import Any

import pytest

from services.classification import packs
from services.classification.domain import pack, sheet
from services.classification.domain.draft import Change, Form, apply, differences, rows
from services.classification.domain.matrix import MatrixError

NEW: dict[str, Any] = {
    "category": "A01",
    "name": "变电站噪声扰民",
    "description": "变电站设备运行声音影响居民休息",
    "phrases": ["变电站噪声", "变电站很吵"],
    "lead": "planning",
    "executing": ["district_bureau"],
    "supervisor": "deputy-planning",
    "sla_class": "construction",
    "join_policy": "all",
    "urgency": "normal",
    "business_type": "complaint",
    "complaint_object": "external",
}


@pytest.fixture(scope="module")
def form() -> Form:
    return pack.form(packs.read("power_95598"))


def faults(form: Form) -> list[str]:
    return [str(each) for each in pack.examine(form)[1]]


def test_nothing_changed_is_no_difference(form: Form) -> None:
    assert apply(form, []) == form
    assert differences(form, form) == []


def test_every_cell_of_the_matrix_is_a_row_of_the_table(form: Form) -> None:
    matrix = packs.read("power_95598")
    found = rows(form)
    assert sum(kind == "situation" for kind, _ in found) == len(matrix.situations)
    assert sum(kind == "department" for kind, _ in found) == len(matrix.departments)
    assert sum(kind == "category" for kind, _ in found) == 54
    assert found["situation", "A01-1"]["category"] == "A01"


def test_cell_is_set_and_told_with_what_stood_there_before(form: Form) -> None:
    changed = apply(form, [Change("set", "situation", "A01-1", "executing", ["repair_centre"])])
    [found] = differences(form, changed)
    assert (found.kind, found.code, found.cell) == ("situation", "A01-1", "executing")
    assert found.before == rows(form)["situation", "A01-1"]["executing"]
    assert found.after == ["repair_centre"]
    assert faults(changed) == []


def test_situation_is_added_moved_and_removed(form: Form) -> None:
    added = apply(form, [Change("add", "situation", "A01-9", value=NEW)])
    assert faults(added) == []
    assert [(each.code, each.before) for each in differences(form, added)] == [("A01-9", None)]
    moved = apply(added, [Change("set", "situation", "A01-9", "category", "A02")])
    assert [(each.cell, each.before, each.after) for each in differences(added, moved)] == [("category", "A01", "A02")]
    assert faults(moved) == []
    assert apply(moved, [Change("remove", "situation", "A01-9")]) == form


def test_category_of_a_new_class_is_added_with_its_situations(form: Form) -> None:
    row = {key: value for key, value in NEW.items() if key != "category"} | {"code": "Z01-1"}
    category = {"class": "Z", "class_name": "新类", "group": "新组", "name": "新三级", "situations": [row]}
    added = apply(form, [Change("add", "category", "Z01", value=category)])
    assert faults(added) == []
    assert {(each.kind, each.code) for each in differences(form, added)} == {
        ("class", "Z"),
        ("category", "Z01"),
        ("situation", "Z01-1"),
    }
    assert apply(added, [Change("remove", "category", "Z01")]) == form


def test_category_goes_with_its_last_situation(form: Form) -> None:
    matrix = packs.read("power_95598")
    category = matrix.situations[0].category
    codes = [each.code for each in matrix.situations if each.category == category]
    emptied = apply(form, [Change("remove", "situation", code) for code in codes])
    assert ("category", category) not in rows(emptied)
    assert ("category", category) in rows(form)


def test_fault_of_a_draft_is_told_and_may_be_mended_by_the_next_change(form: Form) -> None:
    new = Change(
        "add",
        "department",
        "night_watch",
        value={"name": "夜间值守", "role": "executing", "posts": [{"name": "值班员"}]},
    )
    begun = apply(form, [new])
    assert faults(begun) == ["department night_watch: no situation leads to it"]
    mended = apply(begun, [Change("set", "situation", "A01-1", "executing", ["night_watch"])])
    assert faults(mended) == []
    without = apply(mended, [Change("remove", "department", "night_watch")])
    assert faults(without) == ["situation A01-1.executing: unknown department 'night_watch'"]


def test_situation_that_lacks_cells_is_a_fault_and_no_error(form: Form) -> None:
    lacking = {key: value for key, value in NEW.items() if key not in {"lead", "executing"}}
    begun = apply(form, [Change("add", "situation", "A01-9", value=lacking)])
    assert faults(begun) == [
        "situation A01-9.lead: is given at no level",
        "situation A01-9.executing: is given at no level",
    ]
    with pytest.raises(MatrixError, match=r"A01-9\.lead"):
        sheet.read(sheet.write(begun))


@pytest.mark.parametrize(
    ("change", "place", "reason"),
    [
        (Change("set", "situation", "X9", "lead", "a"), "changes[0].code", "there is no situation 'X9'"),
        (Change("set", "situation", "A01-1", "colour", "a"), "changes[0].cell", "has no cell 'colour'"),
        (Change("set", "category", "A01", "group", "a"), "changes[0].cell", "cannot be moved"),
        (Change("set", "situation", "A01-1", "category", "X"), "changes[0].value", "there is no category 'X'"),
        (Change("add", "situation", "A01-1", value=NEW), "changes[0].code", "already"),
        (Change("add", "situation", "", value=NEW), "changes[0].code", "is required"),
        (Change("add", "situation", "A01-9", value=5), "changes[0].value", "object"),
        (Change("add", "situation", "A01-9", value={}), "changes[0].value.category", "no category"),
        (Change("add", "category", "Z", value={}), "changes[0].value.class", "is required"),
        (
            Change("add", "category", "Z", value={"class": "A", "group": "g", "name": "n", "situations": [1]}),
            "changes[0].value.situations",
            "list of situations",
        ),
        (
            Change(
                "add", "category", "Z", value={"class": "Z", "group": "g", "name": "n", "situations": [{"code": "1"}]}
            ),
            "changes[0].value.class",
            "class_name",
        ),
        (Change("add", "rules", value={}), "changes[0].kind", "no rules can be added"),
        (Change("remove", "class", "A"), "changes[0].kind", "goes with its last category"),
        (Change("remove", "route", "R9"), "changes[0].code", "there is no route"),
        (Change("remove", "department", "nobody"), "changes[0].code", "there is no department"),
    ],
)
def test_change_that_cannot_be_made_is_refused_with_place_and_reason(
    form: Form, change: Change, place: str, reason: str
) -> None:
    with pytest.raises(MatrixError) as refused:
        apply(form, [change])
    [problem] = refused.value.problems
    assert problem.place == place
    assert reason in problem.reason


def test_all_changes_that_cannot_be_made_are_named_at_once(form: Form) -> None:
    wrong = [
        Change("remove", "situation", "X1"),
        Change("set", "rules", "", "colour"),
        Change("remove", "situation", "X2"),
    ]
    with pytest.raises(MatrixError) as refused:
        apply(form, wrong)
    assert [each.place for each in refused.value.problems] == ["changes[0].code", "changes[1].cell", "changes[2].code"]


@pytest.mark.parametrize(
    "change",
    [
        Change("set", "situation", "A01-1", "phrases", "变电站"),
        Change("set", "situation", "A01-1", "urgency", "soon"),
        Change("set", "rules", "", "review", {"probability": 2}),
        Change("set", "matrix", "", "version", "with space"),
    ],
)
def test_value_of_another_shape_is_no_matrix(form: Form, change: Change) -> None:
    with pytest.raises(MatrixError):
        pack.examine(apply(form, [change]))


def test_rules_and_title_are_cells_too(form: Form) -> None:
    review = {"probability": 0.55, "margin": 0.1}
    changed = apply(
        form, [Change("set", "rules", "", "review", review), Change("set", "matrix", "", "title", "新标题")]
    )
    assert {(each.kind, each.cell, each.after) for each in differences(form, changed) if each.kind == "matrix"} == {
        ("matrix", "title", "新标题")
    }
    assert pack.examine(changed)[0].rules.review.probability == 0.55
