"""The pure part of hot events: what is usual, what is no chance, which texts say the same, and a large storm."""

import math
from collections import Counter, defaultdict
from datetime import UTC, datetime
from uuid import UUID

import pytest

from benchmarks.storm import call as storm
from libs.shared.contracts.intake import Ticket
from services.classification.domain import hot_event, sketch
from services.classification.domain.hot_event import Arrival, Cell, Cluster, Event, Usual
from services.classification.domain.rule import HotEventRule
from services.classification.domain.text import Reading

RULE = HotEventRule()
MONDAY = 3000 * hot_event.HOURS  # hours: the beginning of a week


@pytest.mark.parametrize(
    ("count", "usual", "expected"),
    [(0, 3.0, 1.0), (1, 1.0, 1 - math.exp(-1)), (5, 0.1, 7.67e-8), (10, 10.0, 0.5421), (400, 200.0, 0.0)],
)
def test_chance_is_that_of_poisson(count: int, usual: float, expected: float) -> None:
    assert hot_event.chance(count, usual) == pytest.approx(expected, rel=1e-3, abs=1e-9)


@pytest.mark.parametrize(
    ("count", "usual", "expected"),
    [(4, 0.1, False), (5, 0.1, True), (6, 1.0, False), (9, 1.0, True), (29, 10.0, False), (30, 10.0, True)],
)
def test_hot_is_enough_and_many_times_the_usual_and_no_chance(count: int, usual: float, expected: bool) -> None:
    assert hot_event.is_hot(RULE, count, usual) == expected


def test_nothing_known_expects_almost_nothing() -> None:
    assert hot_event.expected([], MONDAY, 60) == hot_event.FLOOR


def test_in_the_first_week_the_hours_before_count() -> None:
    rows = [Usual(hour, 3000, 3000, 6.0, 0.0) for hour in range(48)] + [Usual(48, 3000, 3000, 99.0, 0.0)]
    assert hot_event.expected(rows, MONDAY + 48, 30) == pytest.approx(3.0)


def test_what_began_an_hour_ago_is_not_usual() -> None:
    rows = [Usual(10, 3000, 3000, 12.0, 0.0)]
    assert hot_event.expected(rows, MONDAY + 11, 60) == pytest.approx(0.5)


def test_after_weeks_the_hour_itself_counts_and_old_weeks_are_forgotten() -> None:
    busy, calm = (Usual(9, 2999, 2980, 10.0, 10.0), Usual(3, 2999, 2980, 1.0, 1.0))
    at_nine, at_three = (hot_event.expected([busy, calm], MONDAY + hour, 60) for hour in (9, 3))
    assert at_nine == pytest.approx(10.0, rel=0.1)
    assert at_three == pytest.approx(1.0, rel=0.1)
    later = hot_event.expected([busy, calm], MONDAY + 9 + 4 * hot_event.HOURS, 60)
    assert later == pytest.approx(10.0 * hot_event.KEEP**4, rel=0.1)


def said(text: str) -> sketch.Sketch:
    return sketch.of(Reading.of("", text))


def words(text: str) -> frozenset[int]:
    return frozenset(said(text).tolist())


def test_texts_that_say_the_same_are_gathered_and_others_left_out() -> None:
    texts = [
        "梧桐里小区全停电了，什么时候来电",
        "上个月电费算错了，请退还",
        "你好，梧桐里小区整个停电，几点来电",
        "梧桐里小区停电，请尽快抢修",
        "",
        "表扬抢修师傅服务态度好",
    ]
    assert hot_event.gather([words(text) for text in texts], RULE.alike) == [[0, 2, 3]]


def test_title_has_common_words_and_neither_numbers_nor_names() -> None:
    texts = [f"王建国家在清河湾花园{n}号楼，停电了，电话138{n}" for n in range(9)] + ["清河湾花园停电，电梯停了"]
    title = hot_event.title(texts).split()
    assert "停电" in title
    assert "花园" in title or "清河湾花园" in title
    assert not any(each in "".join(title) for each in ("王建国", "138"))


def test_master_says_the_beginnings_of_what_the_first_members_say_each_once() -> None:
    said = [
        ("", "停电了"),
        ("停电了", ""),
        ("报修", "  梧桐里\n停电 "),
        ("", ""),
        *[("", str(n) * 900) for n in range(9)],
    ]
    text = hot_event.told(said)
    assert text.splitlines()[:2] == ["停电了", "报修 梧桐里 停电"]
    assert len(text.splitlines()) == hot_event.TOLD_TEXTS
    assert len(text) < 2000


def test_a_crowd_is_grouped_only_if_enough_say_somewhat_the_same_as_one_who_has_just_come() -> None:
    outage = [said(f"梧桐里小区{number}栋停电了,什么时候来电") for number in range(5)]
    others = [said(text) for text in ("电费算错了", "窗口的人态度不好", "电表坏了要换", "想开通光伏", "")]
    assert hot_event.may_group(RULE, outage[-1:], outage + others)
    assert not hot_event.may_group(RULE, outage[-1:], outage[1:] + others)
    assert not hot_event.may_group(RULE, others[:1], outage + others)
    assert not hot_event.may_group(RULE, [said("")], outage + others)
    assert not hot_event.may_group(RULE, outage, [])


@pytest.mark.parametrize(
    ("area", "expected"),
    [("320102001003", Cell("C04", "320102001")), ("3201", Cell("C04", "3201")), (None, None)],
)
def test_ticket_is_watched_at_its_place_if_it_has_one(area: str | None, expected: Cell | None) -> None:
    about = {"channel": "95598", "external_ref": "1", "title": "", "text": "停电", "opened_at": datetime.now(UTC)}
    ticket = Ticket.model_validate(about | {"place": {"area_code": area}})
    assert hot_event.cell(RULE, ticket, "C04") == expected


def test_event_of_another_place_is_never_joined() -> None:
    cluster = Cluster()
    cluster.add(words("梧桐里小区停电"))
    event = Event(UUID(int=1), Cell("C04", "320102001"), cluster)
    here, there = (
        Arrival(UUID(int=2), Cell("C04", place), "C04-1", 0.9, said("梧桐里小区停电")) for place in ("320102001", "32")
    )
    joined = hot_event.nearest(RULE, here.cell, here.words, [event])
    assert joined is not None
    assert joined[0] is event
    assert joined[1] == pytest.approx(1.0)
    assert hot_event.nearest(RULE, there.cell, there.words, [event]) is None


def test_twenty_thousand_calls_about_three_outages_and_much_else() -> None:
    """As the watch does it, with one category for all: text and place alone tell them apart."""
    calls = storm.calls(11, 16_000, 4_000, datetime(2026, 7, 6, 10, tzinfo=UTC))
    arrivals = [_arrival(call) for call in calls]
    events: list[Event] = []
    member: dict[UUID, Event] = {}
    waiting: dict[Cell, list[Arrival]] = defaultdict(list)
    for first in range(0, len(arrivals), 1000):
        left = []
        for each in arrivals[first : first + 1000]:
            found = hot_event.nearest(RULE, each.cell, each.words, events)
            if found:
                member[each.ticket_id] = found[0]
            else:
                left.append(each)
                waiting[each.cell].append(each)
        for cell in {each.cell for each in left}:
            fresh = [each.sketch for each in left if each.cell == cell]
            if not hot_event.may_group(RULE, fresh, (each.sketch for each in waiting[cell][-500:])):
                continue
            for group in hot_event.groups(RULE, waiting[cell][-500:], hot_event.FLOOR):
                event = hot_event.same(RULE, group, events) or Event(group.members[0][0].ticket_id, cell, group.cluster)
                events += [event] if event not in events else []
                member |= {each.ticket_id: event for each, _ in group.members}
            waiting[cell] = [each for each in waiting[cell] if each.ticket_id not in member]
    outages = {call.ticket_id: call.outage for call in calls}
    counts = {id(event): Counter[int | None]() for event in events}
    for ticket_id, event in member.items():
        counts[id(event)][outages[ticket_id]] += 1
    large = [count for count in counts.values() if count.total() > 100]
    assert sorted(next(iter(count)) or 0 for count in large) == [0, 1, 2]
    assert all(len(count) == 1 for count in large)
    assert sum(count.total() for count in large) >= 0.95 * 16_000


def _arrival(call: storm.Call) -> Arrival:
    about = {"channel": "95598", "external_ref": "1", "title": "", "opened_at": datetime.now(UTC)}
    ticket = Ticket.model_validate(about | call.fields)
    text = sketch.of(Reading.of("", call.text))
    where = hot_event.cell(RULE, ticket, "C04")
    assert where
    return Arrival(call.ticket_id, where, "C04-1", 0.9, text)
