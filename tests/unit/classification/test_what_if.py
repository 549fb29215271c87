"""What another matrix would change: departments, lead, clocks, reviews, each with the tickets it would concern."""

from dataclasses import replace

from libs.shared.contracts.classification import Urgency
from services.classification import packs
from services.classification.domain.claim import heard
from services.classification.domain.matrix import Matrix
from services.classification.domain.text import Reading
from services.classification.domain.what_if import NOBODY, Said, Tally

POWER = packs.read("power_95598")


def changed(**cell: object) -> Matrix:
    """The matrix with its first situation changed."""
    first, *others = POWER.situations
    return replace(POWER, version="draft", situations=(replace(first, **cell), *others))  # type: ignore[arg-type]


def said(code: str, urgency: Urgency = "normal", *, sure: bool = True) -> Said:
    """What the matrix says of a ticket of that situation."""
    return code, POWER.situations[POWER.by_code[code]].executing, urgency, sure


def test_ticket_that_goes_elsewhere_stands_in_the_table_and_is_named() -> None:
    assert POWER.situations[0].executing == ("transmission_station",)
    tally = Tally(POWER, changed(executing=("district_bureau", "repair_centre"), lead="marketing"))
    before = ("A01-1", ("transmission_station",), "normal", True)
    after = ("A01-1", ("district_bureau", "repair_centre"), "normal", True)
    tally.add([(f"t{number}", before, after) for number in range(7)])  # type: ignore[misc]
    found = tally.outcome
    assert (found.tickets, found.elsewhere, found.other_lead, found.other_clocks) == (7, 7, 7, 0)
    assert found.table == {("transmission_station", "district_bureau"): 7, (NOBODY, "repair_centre"): 7}
    assert found.situations == {("A01-1", "A01-1"): 7}
    assert found.examples["elsewhere"] == ("t0", "t1", "t2", "t3", "t4")


def test_ticket_that_stays_is_on_the_diagonal() -> None:
    tally = Tally(POWER, POWER)
    tally.add([("t", said("A01-2"), said("A01-2"))])
    found = tally.outcome
    assert (found.elsewhere, found.situations, found.examples) == (0, {}, {})
    assert found.table == {(code, code): 1 for code in ("transmission_station", "district_bureau")}


def test_other_clocks_and_reviews_are_counted() -> None:
    tally = Tally(POWER, changed(sla_class="maintenance"))
    assert POWER.situations[0].sla_class == "construction"
    tally.add(
        [
            ("class", said("A01-1"), said("A01-1")),
            ("urgency", said("A01-2"), said("A01-2", urgency="urgent")),
            ("more", said("A01-2"), said("A01-2", sure=False)),
            ("fewer", said("A01-2", sure=False), said("A01-2")),
        ]
    )
    found = tally.outcome
    assert (found.other_clocks, found.more_reviews, found.fewer_reviews) == (2, 1, 1)
    assert found.examples == {
        "other_clocks": ("class", "urgency"),
        "more_reviews": ("more",),
        "fewer_reviews": ("fewer",),
    }
    assert found.plain()["table"][0] == ["transmission_station", "transmission_station", 4]


def test_ticket_that_two_situations_claim_is_named_with_both_phrases() -> None:
    texts = {
        "one": "变电站离小区太近",
        "both": "变电站离小区太近，高压走廊也太近，电表走得快",
        "again": "高压走廊旁边的变电站离小区太近",
        "neither": "今天天气很好",
    }
    found = heard(POWER, [(name, Reading.of("", text)) for name, text in texts.items()]).claims
    routes = {situation.code: situation.route for situation in POWER.situations}
    assert all(routes[each.situations[0]] != routes[each.situations[1]] for each in found)
    assert ("A01-1", "A02-1") not in {each.situations for each in found}  # the same departments, so nothing is at stake
    assert {(each.example, each.tickets) for each in found} == {("both", 1)}
    assert {each.phrases for each in found} == {("变电站离小区", "电表走得快"), ("高压走廊", "电表走得快")}
