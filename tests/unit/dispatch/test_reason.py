"""The list of reasons: what comes with Zhida, and how a mistake in another one is named."""

from pathlib import Path

import pytest

from libs.shared.settings import SettingsError
from services.dispatch import reason_file
from services.dispatch.domain import reason
from services.dispatch.domain.reason import ReasonsError

ONE = "reasons: [{code: not_ours, name: {zh: 不属本部门职责, en: Not ours}}]"


def test_the_default_list_names_not_dispatched_and_passing_the_buck_as_reasons_of_their_own() -> None:
    found = reason_file.load(None)
    assert {"other_department", "not_ours", "not_dispatched", "passed_on"} <= set(found)
    assert (found["not_dispatched"].name.zh, found["passed_on"].name.zh) == ("应派未派", "推诿")
    assert found["other_department"].asks == ("suggested_department",)
    assert all(each.name.zh and each.name.en for each in found.values())


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", "file", "expected a mapping"),
        ("reasons: []", "reasons", "none"),
        ("reasons: [{code: Not Ours, name: {zh: 一, en: a}}]", "reasons.0.code", "pattern"),
        ("reasons: [{code: not_ours, name: {zh: 一}}]", "reasons.0.name.en", "required"),
        (ONE.replace("}}]", "}, asks: [money]}]"), "reasons.0.asks.0", "suggested_department"),
        (ONE.replace("}}]", "}, ask: []}]"), "reasons.0.ask", "not permitted"),
        (ONE.replace("]", ", {code: not_ours, name: {zh: 一, en: a}}]"), "reasons", "not_ours stands here twice"),
        ("reasons: [", "line 1, column 11", "expected"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, place: str, words: str) -> None:
    with pytest.raises(ReasonsError) as caught:
        reason.read(text)
    assert [where for where, _ in caught.value.faults] == [place]
    assert words in caught.value.faults[0][1]


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(ReasonsError) as caught:
        reason.read("reasons: [{code: X, name: {zh: 一, en: a}}, {code: ok_code, name: {en: a}}]")
    assert [where for where, _ in caught.value.faults] == ["reasons.0.code", "reasons.1.name.zh"]


def test_a_list_that_cannot_be_used_stops_the_start_naming_the_setting_and_the_file(tmp_path: Path) -> None:
    file = tmp_path / "reasons.yaml"
    with pytest.raises(SettingsError, match=r"ZHIDA_RETURN_REASONS: cannot read .*reasons.yaml"):
        reason_file.load(file)
    file.write_text("reasons: []", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"ZHIDA_RETURN_REASONS: .*reasons.yaml:\nreasons: "):
        reason_file.load(file)
    file.write_text(ONE, encoding="utf-8")
    assert list(reason_file.load(file)) == ["not_ours"]
