"""Business type and situation are decided together: tables of evidence, by the weights of a pack."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from libs.shared.contracts.intake import BusinessType, Ticket
from services.classification import packs
from services.classification.domain import pack, pair, sheet
from services.classification.domain.classifier import Classifier, Verdict
from services.classification.domain.matrix import MatrixError
from services.classification.domain.rule import PairRule
from services.classification.domain.text import Reading

POWER = packs.read("power_95598")
RULES = POWER.rules
COLD = Classifier(POWER)
DARK = "整个小区突然停电，一片都没电，请派人抢修"  # a fault, as usual
BILL = "这个月电费突然高出一倍，电费异常"  # an opinion, as usual


def ticket(text: str, chosen: BusinessType | None = None) -> Ticket:
    return Ticket(
        channel="95598", external_ref="1", title="", text=text, business_type=chosen, opened_at=datetime.now(UTC)
    )


def verdict(text: str, chosen: BusinessType | None = None) -> Verdict:
    return COLD.classify(ticket(text, chosen))


@pytest.mark.parametrize(
    ("chosen", "text", "usual", "expected"),
    [
        (None, "请问电价多少", "opinion", "inquiry"),
        (None, "我要投诉，请问找谁", "inquiry", "complaint"),
        (None, "举报并投诉他偷电", "opinion", "report"),
        (None, "家里灯不亮", "fault", "fault"),
        (None, "请问整栋楼没电什么时候修", "fault", "fault"),
        (None, "我要投诉，停电半天没人修", "fault", "complaint"),
        (None, "请问怎么老是停电", "complaint", "complaint"),
        ("praise", "我要投诉", "fault", "praise"),
    ],
)
def test_type_of_a_known_situation(
    chosen: BusinessType | None, text: str, usual: BusinessType, expected: BusinessType
) -> None:
    assert pair.business_type(RULES, ticket(text, chosen), text, usual) == expected


def test_without_evidence_for_a_type_the_situation_has_its_usual_one_and_its_own_probability() -> None:
    p = np.array([0.5, 0.3, 0.2])
    pairs = pair.Pairs(PairRule(), np.array([0, 1, 1]), np.array([0, 1, 1]))
    found = pairs.decide(p, pair.Evidence(()))
    assert (found.situation, found.type) == (0, pair.TYPES[0])
    assert found.probabilities == pytest.approx(p)
    assert found.probability == pytest.approx(0.5)
    assert found.margin == pytest.approx(0.0)


def test_probability_is_that_of_the_pair_by_the_formula() -> None:
    rule = PairRule(other=0.1, words=(), comes_as=(("inquiry", (("complaint", 0.25),)),))
    usual = np.array([pair.TYPES.index(kind) for kind in ("inquiry", "complaint", "fault")])
    pairs = pair.Pairs(rule, usual, np.arange(3))
    found = pairs.decide(np.array([0.6, 0.3, 0.1]), pair.Evidence((("complaint", 4.0),)))
    weights = {  # p(situation) · odds · times
        (0, "inquiry"): 0.6, (0, "complaint"): 0.6 * 0.25 * 4,
        (1, "complaint"): 0.3 * 4,
        (2, "fault"): 0.1, (2, "complaint"): 0.1 * 0.1 * 4,
    }  # fmt: skip
    total = sum(weights.values())
    assert (found.situation, found.type) == (1, "complaint")
    assert found.probability == pytest.approx(1.2 / total)
    assert found.margin == pytest.approx((1.2 - 0.6) / total)
    assert found.probabilities[0] == pytest.approx((weights[0, "inquiry"] + weights[0, "complaint"]) / total)
    assert found.probabilities.sum() == pytest.approx(1)


@pytest.mark.parametrize("text", [DARK, BILL])
def test_choice_that_fits_the_text_makes_it_surer(text: str) -> None:
    alone = verdict(text)
    chosen = verdict(text, alone.situation.business_type)
    assert chosen.situation == alone.situation
    assert chosen.probability >= alone.probability
    assert chosen.sure


@pytest.mark.parametrize(
    ("text", "chosen"), [(DARK, "praise"), (DARK, "suggestion"), (DARK, "inquiry"), (BILL, "praise")]
)
def test_choice_that_contradicts_the_text_makes_a_person_be_asked(text: str, chosen: BusinessType) -> None:
    alone, contradicted = verdict(text), verdict(text, chosen)
    assert alone.sure
    assert not contradicted.sure
    assert contradicted.probability < alone.probability
    assert alone.situation.code in dict(contradicted.candidates), "the reviewer still sees what the text says"


@pytest.mark.parametrize(("text", "chosen"), [(DARK, "complaint"), (BILL, "complaint"), (BILL, "inquiry")])
def test_grievance_about_anything_goes_its_way_without_a_person(text: str, chosen: BusinessType) -> None:
    found = verdict(text, chosen)
    assert found.sure
    assert found.business_type == chosen
    assert found.situation.route == verdict(text).situation.route


def test_agent_is_never_overruled_without_a_person() -> None:
    found = verdict(f"我要投诉，{DARK}", "inquiry")
    assert found.business_type != "inquiry"
    assert not found.sure


def test_choice_decides_between_situations_that_the_text_leaves_open() -> None:
    open_ = "光伏的事情，一直没弄好"
    codes = {chosen: verdict(open_, chosen).situation.business_type for chosen in ("service_request", "opinion")}
    assert codes == {"service_request": "service_request", "opinion": "opinion"}


def test_word_that_spoke_for_the_type_is_said() -> None:
    found = verdict(f"强烈不满，{BILL}")
    assert found.business_type == "complaint"
    assert found.words[-1] == "强烈不满"
    assert "请问" not in verdict(f"请问，{DARK}").words, "it spoke for another type than the one decided"


def test_weights_are_data_of_the_pack() -> None:
    trusting = replace(POWER, rules=replace(RULES, pair=replace(RULES.pair, chosen=10_000.0)))
    assert Classifier(trusting).classify(ticket(DARK, "complaint")).probability > verdict(DARK, "complaint").probability
    deaf = replace(POWER, rules=replace(RULES, pair=replace(RULES.pair, chosen=1.0)))
    assert not Classifier(deaf).classify(ticket(DARK, "praise")).sure, "nor does it then overrule the agent"


def test_sum_over_situations_stays_one_whatever_is_chosen() -> None:
    for chosen in (None, *pair.TYPES):
        judged = COLD.judge(Reading.of("", DARK), chosen)
        assert judged.probabilities.sum() == pytest.approx(1)
        assert 0 <= judged.margin <= judged.probability <= 1


def changed(**rule: Any) -> dict[str, Any]:
    raw = pack.form(POWER)
    raw["rules"]["pair"] = rule
    return raw


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"chosen": 30},
        {"chosen": 12.5, "spoken": 3, "other": 0.5, "words": {"fault": 7}, "comes_as": {"fault": {"complaint": 0.125}}},
        {"comes_as": {"fault": {}}},
    ],
)
def test_weights_come_back_from_yaml_and_workbook(rule: dict[str, Any]) -> None:
    matrix, faults = pack.examine(changed(**rule))
    assert faults == ()
    assert matrix.rules.pair.comes_as == ((("fault", (("complaint", 0.125),)),) if "words" in rule else ())
    assert pack.read(pack.write(pack.form(matrix))) == matrix
    assert sheet.read(sheet.write(pack.form(matrix))) == matrix


@pytest.mark.parametrize(
    ("rule", "place"),
    [
        ({"chosen": 0.5}, "rules.pair.chosen"),
        ({"other": 0}, "rules.pair.other"),
        ({"words": {"rant": 3}}, "rules.pair.words.rant"),
        ({"comes_as": {"fault": {"complaint": 2}}}, "rules.pair.comes_as.fault.complaint"),
        ({"times": 3}, "rules.pair.times"),
    ],
)
def test_wrong_weight_is_named(rule: dict[str, Any], place: str) -> None:
    with pytest.raises(MatrixError) as error:
        pack.examine(changed(**rule))
    assert place in str(error.value)
