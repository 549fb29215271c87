"""What the phrases of a matrix do with tickets: who claims the same ones, who takes the most, who none."""

from services.classification import packs
from services.classification.domain.claim import Claim, Taken, heard
from services.classification.domain.text import Reading

TEXTS = ("公交车司机甩客，还有油烟扰民", "楼下油烟太大", "餐馆油烟", "你好")


def test_overlap_names_both_phrases_and_a_ticket_and_what_each_situation_takes_is_counted() -> None:
    matrix = packs.read("city_12345")
    found = heard(matrix, ((f"#{number}", Reading.of("", text)) for number, text in enumerate(TEXTS, 1)))
    assert found.tickets == 4
    assert found.claims == (Claim(("U07-3", "N02-1"), 1, "#1", ("公交车司机", "油烟")),)
    assert Taken("N02-1", 2, "油烟", 2) in found.taken
    assert sum(each.tickets for each in found.taken) + found.silent == 4
    assert found.silent == 1
    assert {each.situation for each in found.taken} | set(found.never) == {s.code for s in matrix.situations}
