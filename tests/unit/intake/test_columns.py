"""How columns are recognised, and how rows become tickets."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from services.intake.domain.columns import NAMES, TARGETS, Columns, combine, detect, fingerprint
from services.intake.domain.submission import check

SHANGHAI = ZoneInfo("Asia/Shanghai")


def columns(*pairs: tuple[str, str], **more: object) -> Columns:
    return Columns(pairs, SHANGHAI, **more)  # type: ignore[arg-type]


def test_every_field_has_names_and_every_name_means_one_field() -> None:
    assert set(NAMES) == set(TARGETS)
    every = [name for names in NAMES.values() for name in names]
    assert len(every) == len(set(every))
    assert all(name == name.lower().replace("_", "").replace(" ", "") for name in every)


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        (["message_id", "user_id", "title", "body", "created_at", "text", "department"],
         ["external_ref", "customer.customer_id", "title", "text", "opened_at", "text", None]),
        (["留言编号", "留言用户", "留言主题", "留言时间", "留言详情", "一级标签"],
         ["external_ref", "customer.customer_id", "title", "opened_at", "text", None]),
        (["工单编号", "受理渠道", "业务类型", "联系电话", "客户姓名", "用电地址", "星级", "坐席工号"],
         ["external_ref", "channel", "business_type", "customer.phone", "customer.name", "place.address",
          "customer.star", "agent_id"]),
        (["\ufeffExternal Ref", "customer.star", "OPENED_AT"], ["external_ref", "customer.star", "opened_at"]),
        (["x", "y"], [None, None]),
    ],
)  # fmt: skip
def test_columns_are_recognised_by_their_names(header: list[str], fields: list[str | None]) -> None:
    found = dict(detect(header))
    assert [found.get(column) for column in header] == fields


def test_what_a_person_says_about_columns_goes_before_their_names() -> None:
    pairs = combine(["id", "body", "text", "note"], [("note", "text"), ("id", "")])
    assert pairs == (("note", "text"),)


@pytest.mark.parametrize(
    ("given", "reason"), [([("nope", "text")], "no column 'nope'"), ([("id", "colour")], "no field 'colour'")]
)
def test_a_column_or_field_that_is_not_there_is_named(given: list[tuple[str, str]], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        combine(["id"], given)


def test_a_row_becomes_a_ticket_that_intake_takes() -> None:
    made = columns(
        ("编号", "external_ref"), ("主题", "title"), ("内容", "text"), ("类型", "business_type"), ("时间", "opened_at"),
        ("星级", "customer.star"), ("特殊", "customer.sensitive"), ("地址", "place.address"),
        constants={"channel": "95598"},
    ).ticket({
        "编号": " 7 ", "主题": "停电\n两天", "内容": "停电", "类型": "故障报修", "星级": "5星", "特殊": "是",
        "时间": "2020/1/6 12:09", "地址": "幸福路",
    })  # fmt: skip
    assert made == {
        "channel": "95598", "external_ref": "7", "title": "停电 两天", "text": "停电", "business_type": "fault",
        "customer": {"star": 5, "sensitive": True}, "opened_at": "2020-01-06T12:09:00+08:00",
        "place": {"address": "幸福路"},
    }  # fmt: skip
    check(made, datetime(2026, 11, 22, tzinfo=UTC))


def test_the_first_column_that_is_not_empty_counts() -> None:
    both = columns(("body", "text"), ("text", "text"))
    assert both.ticket({"body": "甲", "text": "乙"})["text"] == "甲"
    assert both.ticket({"body": " ", "text": "乙"})["text"] == "乙"


def test_a_missing_title_is_the_texts_first_sentence() -> None:
    one = columns(("text", "text"))
    assert one.ticket({"text": "小区停电。已经两天了"})["title"] == "小区停电"
    assert len(one.ticket({"text": "停" * 100})["title"]) == 40
    assert one.ticket({"text": "。。。"})["title"] == "。。。"


def test_a_row_without_a_number_gets_one_of_its_content() -> None:
    one = columns(("id", "external_ref"), ("text", "text"))
    first = one.ticket({"id": "", "text": "甲"})["external_ref"]
    assert first == one.ticket({"text": "甲", "id": ""})["external_ref"]
    assert first != one.ticket({"id": "", "text": "乙"})["external_ref"]
    assert first.startswith("row-")
    assert len(fingerprint({"a": "\udcff"})) == 24


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2020-01-06 12:09:38", "2020-01-06T12:09:38+08:00"),
        ("2020-01-06T12:09:38Z", "2020-01-06T12:09:38+00:00"),
        ("2020-01-06", "2020-01-06T00:00:00+08:00"),
        ("2020/1/6 9:05", "2020-01-06T09:05:00+08:00"),
        ("2020.1.6", "2020-01-06T00:00:00+08:00"),
        ("2020年1月6日 9时5分", "2020-01-06T09:05:00+08:00"),
        ("2020/13/40", "2020/13/40"),
        ("昨天", "昨天"),
    ],
)
def test_times_are_read_as_people_write_them(written: str, meant: str) -> None:
    assert columns(("t", "opened_at")).ticket({"t": written})["opened_at"] == meant


def test_own_values_go_before_the_usual_ones() -> None:
    own = columns(("type", "business_type"), values={"business_type": {"A": "fault", "投诉": "report"}})
    assert own.ticket({"type": "A"})["business_type"] == "fault"
    assert own.ticket({"type": "投诉"})["business_type"] == "report"
    assert own.ticket({"type": "建议"})["business_type"] == "suggestion"
    assert own.ticket({"type": "?"})["business_type"] == "?"
