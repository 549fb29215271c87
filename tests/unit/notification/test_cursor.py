"""Ids of events: a number for one inbox, names with numbers for several."""

import pytest

from services.notification.domain import cursor
from services.notification.domain.cursor import Cursor


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ({"agent:a1": 17}, "17"),
        ({"department:repair": 4}, "4"),
        ({"agent:a1": 17, "agent:a2": 0}, "a1=17,a2=0"),
        ({"agent:a1": 1, "department:repair": 2}, "a1=1,department:repair=2"),
        ({"agent:a,=1": 1, "agent:王 五": 2, "agent:x:y": 3}, "a%2C%3D1=1,%E7%8E%8B%20%E4%BA%94=2,agent:x:y=3"),
    ],
)
def test_an_id_reads_back(numbers: dict[str, int], text: str) -> None:
    assert str(Cursor(dict(numbers))) == text
    assert cursor.parse(text, numbers) == numbers


def test_an_inbox_the_id_does_not_name_is_left_to_the_caller() -> None:
    assert cursor.parse("a1=17,a9=3", ["agent:a1", "agent:a2"]) == {"agent:a1": 17}


def test_an_id_of_several_is_good_for_one_of_them() -> None:
    assert cursor.parse("a1=17,a2=3", ["agent:a2"]) == {"agent:a2": 3}


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "a1=x", "a1=", "=5", "a1=1,", "9" * 19, "٣", "boss:x=1"])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        cursor.parse(text, ["agent:a1"])


def test_a_plain_number_says_nothing_about_several() -> None:
    with pytest.raises(ValueError, match="name=number"):
        cursor.parse("17", ["agent:a1", "agent:a2"])


def test_the_id_of_the_most_inboxes_fits_into_a_header() -> None:
    numbers = {f"agent:{'7' * 36}-{place}": 10**9 for place in range(cursor.MOST)}
    assert len(str(Cursor(numbers))) < 16_000
