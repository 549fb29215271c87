"""The words of notices: complete in every language, and never fooled by what is filled in."""

from typing import Any

import pytest

from libs.shared.contracts.notification import Kind
from services.notification.domain import template
from services.notification.domain.notice import KINDS
from services.notification.domain.template import LANGUAGES, Language, TemplateError, Templates
from services.notification.resources import FOLDER

TEXTS: dict[Language, str] = {
    language: (FOLDER / f"{language}.yaml").read_text(encoding="utf-8") for language in LANGUAGES
}
CLOCK = {"clock": "accept", "department": "抢修班", "percent": 80, "limit_seconds": 1800, "level": "lead"}
DATA: dict[Kind, dict[str, Any]] = {
    "ticket_answered": {
        "title": "停电",
        "external_ref": "X1",
        "answers": [{"department": "抢修班", "text": "已送电"}, {"department": "计量中心", "text": "已换表"}],
    },
    "question_asked": {"department": "抢修班", "text": "客户在家吗？"},
    "question_answered": {"department": "抢修班", "text": "在"},
    "review_requested": {"urgency": "urgent", "candidates": [{"name": "频繁停电", "probability": 0.41}]},
    "delivery_failed": {"department": "抢修班", "attempts": 3, "reason": "accept_clock"},
    "work_order_returned": {"department": "抢修班", "reason": "不属本班", "suggested_department": None},
    "clock_warned": CLOCK,
    "clock_breached": CLOCK,
    "escalated": CLOCK,
    "ticket_reopened": {"reason": "没修好"},
    "cell_disputed": {
        "situation": "停电",
        "department": "抢修班",
        "assigned": 40,
        "upheld": 9,
        "matrix_wrong": 4,
        "suggested_department": "计量中心",
    },
    "ticket_merged": {"title": "小区停电", "members": 21, "hot_event": True, "by": "classification", "reason": None},
    "ticket_released": {"by": "li", "reason": "另一件事"},
    "high_risk": {"title": "再不解决就找记者", "situation": "停电", "channel": "95598", "star": 3, "repeats": 2},
}


def templates() -> dict[Language, Templates]:
    return template.read(TEXTS)


@pytest.mark.parametrize(
    ("language", "kind", "title", "text"),
    [
        (
            "zh-CN",
            "ticket_answered",
            "工单已答复：停电",
            "工单 X1 已由抢修班、计量中心答复，请告知客户：\n【抢修班】已送电\n【计量中心】已换表",
        ),
        (
            "en",
            "ticket_answered",
            "Answered: 停电",
            "抢修班, 计量中心 answered ticket X1; please tell the customer:\n[抢修班] 已送电\n[计量中心] 已换表",
        ),
        (
            "zh-CN",
            "review_requested",
            "有工单待人工定类（紧急）",
            "系统把握不足，请从候选情况中选定：频繁停电 41%",
        ),
        (
            "en",
            "delivery_failed",
            "A work order did not reach the system of 抢修班",
            "Reason: not reached before acceptance was due (3 attempts). "
            "It still stands in the list of open work orders of that department.",
        ),
        (
            "zh-CN",
            "ticket_merged",
            "工单已并入突发聚集：小区停电",
            "本工单与其他工单（共 21 件）由“小区停电”统一办理，答复将同时送达您处。操作：classification；原因：无。",
        ),
        (
            "en",
            "ticket_released",
            "A ticket goes its own way again",
            "It is not merged into another one any more; its departments answer it for itself. "
            "By: li. Reason: 另一件事.",
        ),
        (
            "zh-CN",
            "work_order_returned",
            "抢修班退回派工单，请裁定",
            "退单理由：不属本班。建议改派：无。",
        ),
        (
            "zh-CN",
            "clock_warned",
            "时限提醒：接单已用去 80%",
            "抢修班：接单时限 30 分钟，已用去 80%，请抓紧办理。",
        ),
        (
            "en",
            "escalated",
            "Brought before the lead department: 80 % of the time for acceptance is over",
            "抢修班: 80 % of 30 min for acceptance are over. The lead department is asked to step in.",
        ),
        ("zh-CN", "ticket_reopened", "工单发回重办", "客户不满意，工单已发回重办。原因：没修好"),
    ],
)
def test_a_notice_reads_well(language: Language, kind: Kind, title: str, text: str) -> None:
    assert templates()[language].render(kind, DATA[kind]) == (title, text)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_leaves_no_brace_in_any_language(language: Language, kind: Kind) -> None:
    title, text = templates()[language].render(kind, DATA[kind])
    assert title
    assert text
    assert "{" not in title + text


@pytest.mark.parametrize("evil", ["{title}", "{0.__class__}", "{text", "%s", "{{}}", "${department}"])
def test_braces_of_a_customer_stay_what_they_are(evil: str) -> None:
    title, text = templates()["zh-CN"].render("question_asked", {"department": "抢修班", "text": evil})
    assert (title, text) == ("有一个问题需要您回答（抢修班）", evil)


@pytest.mark.parametrize("kind", [*KINDS, "of_a_newer_release"])
def test_a_notice_stored_by_another_release_still_shows(kind: str) -> None:
    title, _ = templates()["en"].render(kind, {})
    assert title


@pytest.mark.parametrize(
    ("seconds", "length"),
    [(90, "90 s"), (60, "1 min"), (1800, "30 min"), (7200, "2 h"), (129600, "36 h"), (172800, "2 d")],
)
def test_a_limit_is_told_in_the_largest_whole_unit(seconds: int, length: str) -> None:
    assert f" {length} " in templates()["en"].render("clock_warned", {**CLOCK, "limit_seconds": seconds})[1]


@pytest.mark.parametrize(
    ("old", "new", "place", "reason"),
    [
        ("  ticket_reopened:", "  ticket_reopend:", "en.notices.ticket_reopened", "is missing"),
        ("  ticket_reopened:", "  ticket_reopend:", "en.notices.ticket_reopend", "is not known"),
        ("'Answered: {title}'", "'Answered: {tilte}'", "en.notices.ticket_answered.title", "{tilte} is not known"),
        ("'Answered: {title}'", "'Answered: {title'", "en.notices.ticket_answered.title", "a brace stands alone"),
        ("'Answered: {title}'", "''", "en.notices.ticket_answered.title", "expected a text"),
        ("normal: normal, ", "", "en.words.urgency", "expected exactly normal, urgent"),
        ("words:", "wrods:", "en", "expected a mapping with words and notices"),
        ("words:", "words: [", "en", "not YAML"),
    ],
)
def test_a_fault_of_a_template_is_named_with_its_place(old: str, new: str, place: str, reason: str) -> None:
    assert old in TEXTS["en"]
    with pytest.raises(TemplateError) as caught:
        template.read({**TEXTS, "en": TEXTS["en"].replace(old, new, 1)})
    assert any(where == place and reason in why for where, why in caught.value.faults)


def test_a_missing_language_is_a_fault() -> None:
    with pytest.raises(TemplateError, match="en: expected a mapping"):
        template.read({"zh-CN": TEXTS["zh-CN"]})
