"""Waiting tickets that are alike, and the parts of one that holds several matters: tables."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from libs.shared.contracts.intake import Ticket
from services.classification import packs
from services.classification.domain import cluster, part
from services.classification.domain.part import Part

RAIN = "昨天下雨以后门口那个箱子一直嗡嗡响，晚上睡不着，{}号门口"


def candidates(**shares: float) -> list[Mapping[str, Any]]:
    return [{"situation": {"code": code}, "probability": share} for code, share in shares.items()]


def test_alike_texts_are_one_cluster_with_their_common_candidates() -> None:
    texts = [RAIN.format(1), "电费多少", RAIN.format(2), "怎么交电费呢我想问一下", RAIN.format(3)]
    one, other = candidates(a=0.5, b=0.3), candidates(b=0.6, c=0.2)
    [found] = cluster.clusters(texts, [one, one, other, one, other], least=2)
    assert found.members == (0, 2, 4)
    assert [(each["situation"]["code"], each["probability"]) for each in found.candidates] == [
        ("b", 0.5), ("a", 0.1667), ("c", 0.1333),
    ]  # fmt: skip
    assert cluster.clusters(texts, [one] * 5, least=4) == []
    assert cluster.clusters([], [], least=2) == []


def test_larger_clusters_come_first_and_those_due_earlier_among_equals() -> None:
    texts = ["b" * 30, "a" * 30, "a" * 30, "b" * 30, "c" * 30, "c" * 30, "c" * 30]
    found = cluster.clusters(texts, [candidates(a=1.0)] * 7, least=2)
    assert [each.members for each in found] == [(4, 5, 6), (0, 3), (1, 2)]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("户号 1234567 的表坏了", False),
        ("户号 １２３４５６７ 的表坏了", False),
        ("户号 123-4567 的表坏了", False),
        ("户号 12345678 的表坏了", True),
        ("打 138 1234 5678", True),
        ("３月５日 12:30 来了 3 人，欠 123456 元", False),
    ],
)
def test_a_part_holds_no_long_number_that_the_request_does_not(text: str, wrong: bool) -> None:
    ticket = Ticket(channel="95598", external_ref="1", title="", text="户号1234567", opened_at=datetime.now(UTC))
    found = part.problems([Part(None, "好", None), Part(text, "好", None)], ticket, packs.read("power_95598"))
    assert [field for field, _ in found] == ["parts.1.title"] * wrong
