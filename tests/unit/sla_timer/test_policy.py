"""The policy file: what it allows, and how a mistake is named."""

import pytest

from libs.shared.contracts.classification import SlaClass
from libs.shared.contracts.intake import Channel
from services.sla_timer import policy_file
from services.sla_timer.domain import policy
from services.sla_timer.domain.policy import PolicyError

HOUR, DAY = 3600, 86400
GOOD = policy_file.DEFAULT.read_text(encoding="utf-8")


def faults(text: str) -> list[tuple[str, str]]:
    with pytest.raises(PolicyError) as caught:
        policy.read(text)
    return list(caught.value.faults)


@pytest.mark.parametrize(
    ("sla_class", "limits"),
    [
        ("maintenance", {5: 8 * HOUR, 4: 24 * HOUR, 3: 48 * HOUR, 2: 72 * HOUR, 1: 96 * HOUR}),
        ("construction", {5: 20 * DAY, 4: 30 * DAY, 3: 45 * DAY, 2: 60 * DAY, 1: 90 * DAY}),
    ],
)
def test_the_default_has_the_star_table_of_source_002(sla_class: SlaClass, limits: dict[int, int]) -> None:
    default = policy.read(GOOD)
    assert {star: default.resolve_limit([star], sla_class, "normal")[0] for star in limits} == limits


def test_the_default_gives_half_an_hour_to_accept_and_two_hours_to_first_contact() -> None:
    default = policy.read(GOOD)
    assert default.stage_limit("accept", "normal") == (1800, "default: limits.accept")
    assert default.stage_limit("first_contact", "urgent") == (7200, "default: limits.first_contact")


def test_a_ruling_has_four_hours_also_in_a_policy_that_does_not_name_it() -> None:
    assert policy.read(GOOD).ruling_limit() == (4 * HOUR, "default: limits.ruling")
    older = "\n".join(line for line in GOOD.splitlines() if "ruling:" not in line)
    assert policy.read(older).ruling_limit() == (4 * HOUR, "default: limits.ruling")
    assert policy.read(GOOD.replace("ruling: 4 h", "ruling: 30 min")).ruling_limit()[0] == 1800


def test_the_highest_star_decides() -> None:
    assert policy.read(GOOD).resolve_limit([1, 4, 2], "maintenance", "normal")[0] == 24 * HOUR


def test_urgent_limits_stand_beside_the_usual_ones() -> None:
    text = GOOD.replace(
        "urgent: {}",
        "urgent: {accept: 10 min, resolve: {maintenance: {5: 4 h, 4: 8 h, 3: 12 h, 2: 24 h, 1: 24 h}}}",
    )
    urgent = policy.read(text)
    assert urgent.stage_limit("accept", "urgent") == (600, "default: urgent.accept")
    assert urgent.stage_limit("accept", "normal")[0] == 1800
    assert urgent.resolve_limit([5], "maintenance", "urgent") == (4 * HOUR, "default: urgent.resolve.maintenance.5")
    assert urgent.resolve_limit([5], "construction", "urgent") == (20 * DAY, "default: limits.resolve.construction.5")


@pytest.mark.parametrize(
    ("repeats", "channel", "share"),
    [(0, "95598", 100), (0, None, 100), (1, "95598", 75), (7, None, 75), (0, "12398", 75), (0, "12345", 75)],
)
def test_repeats_and_what_was_escalated_have_three_quarters_of_the_time(
    repeats: int, channel: Channel | None, share: int
) -> None:
    default = policy.read(GOOD)
    assert default.share(repeats, channel) == share
    without = policy.read("\n".join(line for line in GOOD.splitlines() if not line.startswith("repeated:")))
    assert without.share(repeats, channel) == 100


def test_the_rule_of_a_stricter_limit_says_why() -> None:
    default = policy.read(GOOD)
    assert default.stage_limit("accept", "normal", 75) == (1350, "default: limits.accept, 75 % by repeated")
    assert default.resolve_limit([5], "maintenance", "normal", 75) == (
        6 * HOUR,
        "default: limits.resolve.maintenance.5, 75 % by repeated",
    )
    assert default.ruling_limit() == (4 * HOUR, "default: limits.ruling")


def test_a_stricter_limit_is_a_second_at_least() -> None:
    text = GOOD.replace("accept: 30 min", "accept: 5 s").replace("percent: 75", "percent: 1")
    assert policy.read(text).stage_limit("accept", "normal", 1)[0] == 1


@pytest.mark.parametrize(
    ("passed", "following"), [(0, 50), (50, 80), (79, 80), (80, 100), (100, 150), (150, None), (900, None)]
)
def test_the_next_point_is_the_first_above_what_has_passed(passed: int, following: int | None) -> None:
    assert policy.read(GOOD).next_point(passed) == following


def test_a_point_of_an_earlier_policy_is_heard_by_the_next_lower_level() -> None:
    default = policy.read(GOOD)
    assert [default.level(percent) for percent in (20, 50, 90, 100, 120, 300)] == [
        "executing",
        "executing",
        "lead",
        "supervisor",
        "supervisor",
        "interview",
    ]


@pytest.mark.parametrize(
    ("old", "new", "place", "reason"),
    [
        ("accept: 30 min", "accept: 30", "limits.accept", "expected a duration such as 90 s, 30 min, 8 h or 20 d"),
        ("accept: 30 min", "accept: 0 min", "limits.accept", "expected a duration such as"),
        ("accept: 30 min", "accept: 30 weeks", "limits.accept", "expected a duration such as"),
        ("accept: 30 min", "accept: 400 d", "limits.accept", "less than or equal to 31622400"),
        ("accept: 30 min #", "acept: 30 min #", "limits.accept", "Field required"),
        ("accept: 30 min #", "hurry: 1 h\n  accept: 30 min #", "limits.hurry", "Extra inputs are not permitted"),
        ("1: 96 h", "6: 96 h", "limits.resolve.maintenance.6", "less than or equal to 5"),
        (", 1: 96 h", "", "limits.resolve.maintenance", "no limit for stars 1"),
        ("5: 20 d", "5: 31 d", "limits.resolve.construction", "5 stars may not wait longer than 4"),
        ("percent: 80", "percent: 50", "policy", "warnings must rise and not repeat: 50, 50, 100, 150"),
        ("percent: 100", "percent: 99", "policy", "warnings must have the point 100"),
        ("level: lead", "level: boss", "warnings.1.level", "Input should be 'executing', 'lead'"),
        ("interviewer: leader", "interviewer: ' '", "interviewer", "String should match pattern"),
        ("urgent: {}", "urgent: {accept: 1 h}", "policy", "urgent.accept is longer than limits.accept"),
        (
            "urgent: {}",
            "urgent: {resolve: {maintenance: {5: 9 h, 4: 9 h, 3: 9 h, 2: 9 h, 1: 9 h}}}",
            "policy",
            "urgent.resolve.maintenance.5 is longer than limits.resolve.maintenance.5",
        ),
        ("{from: 1, percent: 75,", "{from: 0, percent: 75,", "repeated.from", "greater than or equal to 1"),
        ("{from: 1, percent: 75,", "{percent: 75,", "repeated.from", "Field required"),
        ("{from: 1, percent: 75,", "{from: 1, percent: 0,", "repeated.percent", "greater than or equal to 1"),
        ("{from: 1, percent: 75,", "{from: 1, percent: 101,", "repeated.percent", "less than or equal to 100"),
        ('["12398", "12345"]', '["12398", "12346"]', "repeated.channels.1", "Input should be '95598'"),
        ("{from: 1, percent: 75,", "{from: 1, percent: 75, by: x,", "repeated.by", "Extra inputs are not permitted"),
        ("name: default", "name: default\nname: again", "line 4, column 1", "name stands here twice"),
        ("name: default", "name: [default", "line 5, column 7", "expected ',' or ']'"),
    ],
)
def test_a_mistake_is_named_with_its_place(old: str, new: str, place: str, reason: str) -> None:
    assert old in GOOD
    assert any(where == place and reason in why for where, why in faults(GOOD.replace(old, new, 1)))


@pytest.mark.parametrize("text", ["", "- a list", "just words", "42", "? [a]\n: 1"])
def test_what_is_no_policy_at_all_is_refused(text: str) -> None:
    assert faults(text)


def test_every_mistake_is_named_at_once() -> None:
    wrong = faults(GOOD.replace("30 min", "soon").replace("interviewer: leader", "interviewer: ''"))
    assert {place for place, _ in wrong} == {"limits.accept", "interviewer"}
