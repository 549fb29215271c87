"""The pure part of similar settled tickets: which are the most alike, and what of an answer others may read."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.classification.domain import similar, sketch
from services.classification.domain.text import Reading

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def of(text: str) -> bytes:
    return sketch.dump(sketch.of(Reading.of("", text)))


def test_most_alike_comes_first_and_what_says_another_thing_not_at_all() -> None:
    settled = [
        (UUID(int=1), NOW, of("上个月电费多收了，请退还")),
        (UUID(int=2), NOW, of("晚上一开空调电压就低，电灯发暗")),
        (UUID(int=3), NOW, of("晚上电压低，空调启动不了，电灯发暗")),
        (UUID(int=4), NOW, of("")),
    ]
    found = similar.most_alike(of("晚上电压低，空调启动不了"), settled)
    assert [ticket_id.int for ticket_id, _ in found] == [3, 2]
    assert 1 >= found[0][1] > found[1][1] >= similar.ALIKE
    assert similar.most_alike(of(""), settled) == []


def test_of_equally_alike_ones_the_latest_answer_comes_first() -> None:
    settled = [(UUID(int=n), NOW - timedelta(days=n), of("电压低")) for n in (2, 1, 3)]
    assert [ticket_id.int for ticket_id, _ in similar.most_alike(of("电压低"), settled)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("已更换配变，电压恢复到 225 伏", "已更换配变，电压恢复到 225 伏"),
        ("已致电13812345678说明", "已致电***********说明"),
        ("已致电 138 1234 5678 说明", "已致电 *** **** **** 说明"),
        ("户号3201002233445", "户号*************"),
        ("2026-11-22 10:30 送电", "2026-11-22 10:30 送电"),
    ],
)
def test_long_numbers_of_an_answer_are_hidden_from_others(answer: str, shown: str) -> None:
    assert similar.hide(answer) == shown
