"""The pure part of forecasts: tickets by the hour, grievances by the week."""

from datetime import date, timedelta

import pytest

from services.classification.domain import forecast, hot_event
from services.classification.domain.forecast import Grievances
from services.classification.domain.hot_event import Usual

MONDAY = 3000 * hot_event.HOURS  # hours: the beginning of a week
TODAY = date(2026, 11, 23)


def test_an_hour_to_come_is_expected_as_it_was_in_the_weeks_before() -> None:
    known = 1 - hot_event.KEEP**20
    rows = [Usual(9, 3000, 2980, 0, 12 * known), Usual(10, 3000, 2980, 0, 24 * known)]
    found = forecast.hours(rows, MONDAY + 8, 4)
    everywhere = 36 / hot_event.HOURS / 21
    assert found == pytest.approx([everywhere, 12 * 20 / 21 + everywhere, 24 * 20 / 21 + everywhere, everywhere])
    assert forecast.hours([], MONDAY, 2) == [0.0, 0.0]


def test_an_hour_of_next_week_counts_this_weeks_too() -> None:
    rows = [Usual(9, 3000, 2900, 40, 12)]
    this, following = (forecast.hours(rows, MONDAY + 9 + week * hot_event.HOURS, 1)[0] for week in (0, 1))
    assert pytest.approx(this, rel=0.01) == 12
    assert pytest.approx(following, rel=0.01) == 12 * 0.75 + 40 * 0.25


def counts(*weeks: int, situation: str = "s") -> dict[tuple[date, str], int]:
    """Grievances of whole weeks, the latest first, all on the third day of a week."""
    return {(TODAY - timedelta(days=7 * ago + 5), situation): count for ago, count in enumerate(weeks)} | {
        (TODAY - timedelta(days=7 * len(weeks)), "began"): 0
    }


def test_grievances_of_the_coming_week_are_the_mean_of_the_last_weeks_and_nearer_ones_count_more() -> None:
    [found] = forecast.grievances(counts(8, 4), TODAY)
    assert found == Grievances("s", 6.3, 8, rising=False)
    assert found.change == pytest.approx(-1.7)


def test_more_than_chance_explains_is_rising_and_less_is_not() -> None:
    rising = {
        number: forecast.grievances(counts(number, 10, 10, 10), TODAY)[0].rising for number in (5, 10, 17, 19, 40)
    }
    assert rising == {5: False, 10: False, 17: False, 19: True, 40: True}


def test_the_most_is_first_and_today_does_not_count() -> None:
    more = counts(3, 3) | counts(9, 9, situation="more") | {(TODAY, "s"): 100}
    assert [each.situation for each in forecast.grievances(more, TODAY)] == ["more", "s"]


def test_before_a_whole_week_was_counted_nothing_is_foretold() -> None:
    assert forecast.grievances({}, TODAY) == []
    assert forecast.grievances({(TODAY - timedelta(days=6), "s"): 5}, TODAY) == []
    [found] = forecast.grievances({(TODAY - timedelta(days=7), "s"): 5}, TODAY)
    assert found == Grievances("s", 5.0, 5, rising=False)
