"""What two tickets must have in common to be about the same, and what chains they make: tables."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from libs.shared.contracts.intake import Ticket
from services.classification.domain import repeat, sketch
from services.classification.domain.repeat import NONE, Chains, Mark, Past, Repeat
from services.classification.domain.rule import RepeatRule
from services.classification.domain.text import Reading

RULE = RepeatRule()
OUT = "家里突然没电了，电表不亮，请派人抢修"
STILL = "上次说家里没电了，电表还是不亮，请快点派人抢修"
BILL = "请问上个月电费怎么多了一百多元，是不是电表走得快"
HERE = {"area_code": "320102001", "address": "梧桐里小区 3号楼"}
AREA = {"area_code": "320102001"}
IDS = [UUID(int=n) for n in range(1, 10)]


def mark(text: str, **fields: Any) -> Mark:
    about = {"channel": "95598", "external_ref": "1", "title": "", "text": text, "opened_at": datetime.now(UTC)}
    ticket = Ticket.model_validate(about | fields)
    return repeat.mark(RULE, ticket, sketch.of(Reading.of("", text)))


def who(name: str | None) -> dict[str, Any]:
    return {"customer_id": name}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((OUT, {"customer": who("c1")}), (STILL, {"customer": who("c1")}), True),
        ((OUT, {"customer": who("c1")}), (BILL, {"customer": who("c1")}), False),
        ((OUT, {"customer": who("c1")}), (OUT, {"customer": who("c2")}), False),
        ((OUT, {"customer": who("c1"), "place": HERE}), (STILL, {"customer": who("c2"), "place": HERE}), True),
        ((OUT, {"place": HERE}), (STILL, {"place": HERE | {"address": "梧桐里小区３号楼"}}), True),
        ((OUT, {"place": HERE}), (OUT, {"place": HERE | {"address": "清河湾花园"}}), False),
        ((OUT, {"place": HERE}), (OUT, {"place": HERE | {"area_code": "110101"}}), False),
        ((OUT, {"place": HERE}), (OUT, {"place": AREA}), True),
        ((OUT, {"place": AREA}), (OUT, {"place": AREA}), True),
        ((OUT, {"place": AREA}), (STILL, {"place": AREA}), False),
        ((OUT, {"customer": who("c1"), "place": AREA}), (OUT, {"customer": who("c2"), "place": AREA}), False),
        ((OUT, {"customer": who("c1"), "place": AREA}), (OUT, {"place": HERE}), True),
        (("停电", {"place": AREA}), ("停电", {"place": AREA}), False),
        (("停电", {"customer": who("c1")}), ("停电", {"customer": who("c1")}), True),
        ((OUT, {}), (OUT, {}), False),
        (("。", {"customer": who("c1")}), ("。", {"customer": who("c1")}), False),
    ],
)
def test_what_repeats_what(one: tuple[str, Any], other: tuple[str, Any], expected: bool) -> None:
    for first, second in ((one, other), (other, one)):
        chains = Chains(RULE)
        assert chains.put(IDS[0], mark(first[0], **first[1])) == NONE
        found = chains.put(IDS[1], mark(second[0], **second[1]))
        assert found == (Repeat(IDS[0], 1) if expected else NONE)


def test_chain_goes_on_from_what_is_stored() -> None:
    of = mark(OUT, customer=who("c1"))
    chains = Chains(RULE, [(IDS[1], Past(of.keys[0].value, IDS[0], 4, of.sketch))])
    assert chains.put(IDS[1], of) == Repeat(IDS[0], 5)
    assert chains.put(IDS[2], of) == Repeat(IDS[0], 6)


def test_likeness_of_long_texts_is_estimated_from_the_hashes_both_keep() -> None:
    random = np.random.default_rng(1)
    common, mine, its = (np.unique(random.integers(0, 1 << 32, 600, np.uint64)) for _ in range(3))
    one, other = (np.unique(np.concatenate([common, own]))[: sketch.MOST] for own in (mine, its))
    assert sketch.alike(one, other) == pytest.approx(1 / 3, abs=0.12)
    assert sketch.alike(one, one) == 1.0
    assert (sketch.load(sketch.dump(one)) == one).all()


def test_window_is_of_the_rules_days_on_either_side() -> None:
    ticket_id = UUID(int=(1_800_000_000_000 << 80) + 5)
    low, high = repeat.around(RULE, ticket_id)
    assert [(each.int >> 80) - 1_800_000_000_000 for each in (low, high)] == [-30 * 86_400_000, 30 * 86_400_000]
