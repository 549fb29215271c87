"""Where a request is about, found in its words."""

import pytest
import yaml

from services.classification.domain import pack, sheet
from services.classification.domain.matrix import MatrixError
from services.classification.domain.place import Area, Gazetteer, locate
from services.classification.domain.text import normal
from tests.unit.classification.test_pack import small
from tests.unit.classification.test_route import ticket

AREAS = (
    Area("3201", ("南京市", "南京")),
    Area("320106", ("鼓楼区",)),
    Area("320115", ("江宁区", "江宁")),
    Area("320115003", ("东山街道", "东山镇")),
    Area("3203", ("徐州市",)),
    Area("320302", ("鼓楼区",)),
    Area("35", ("福建省",)),
)
GAZETTEER = Gazetteer(AREAS)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("江宁区停电三小时", "320115"),
        ("江宁停电三小时", "320115"),
        ("家住江宁区东山街道，一直停电", "320115003"),
        ("东山镇路灯不亮", "320115003"),
        ("南京市鼓楼区的路灯", "320106"),
        ("徐州市鼓楼区的路灯", "320302"),
        ("鼓楼区的路灯", None),  # in two cities: only what both lie in, which is no area of the list
        ("南京全市停电", "3201"),
        ("江宁区和鼓楼区都停电，我在南京", "3201"),
        ("路灯不亮", None),
        ("", None),
        ("福建省有台风", "35"),
    ],
)
def test_area_that_the_words_name_is_found(text: str, code: str | None) -> None:
    found = GAZETTEER.find(normal(text))
    assert (found[0] if found else None) == code


def test_words_that_named_it_are_told() -> None:
    assert GAZETTEER.find("江宁区东山街道停电，东山街道全黑") == ("320115003", ("江宁区", "东山街道"))


def test_ticket_gets_the_area_of_its_words_unless_it_came_with_one() -> None:
    form = small() | {"areas": [{"code": area.code, "names": list(area.names)} for area in AREAS]}
    matrix = pack.build(form, lambda _: "")
    said = ticket().model_copy(update={"text": "江宁区没电"})
    found = locate(matrix, said)
    assert (found.ticket.place.area_code, found.words) == ("320115", ("江宁区",))
    came = ticket(area="3301").model_copy(update={"text": "江宁区没电"})
    assert locate(matrix, came).ticket == came
    assert pack.read(pack.write(pack.form(matrix))) == matrix
    assert sheet.read(sheet.write(pack.form(matrix))) == matrix


@pytest.mark.parametrize(
    ("areas", "fault"),
    [
        ([{"code": "32x", "names": ["江宁区"]}], "areas[0].code"),
        ([{"code": "320115", "names": ["宁"]}], "areas[0].names[0]"),
        ([{"code": "320115", "names": []}], "areas[0].names"),
        ([{"code": "32", "names": ["江苏"]}, {"code": "32", "names": ["苏省"]}], "area code '32'"),
    ],
)
def test_bad_gazetteer_is_refused_with_its_place(areas: list[dict[str, object]], fault: str) -> None:
    with pytest.raises(MatrixError) as refused:
        pack.read(yaml.safe_dump(small() | {"areas": areas}, allow_unicode=True))
    assert any(each.place.startswith(fault) and each.spot for each in refused.value.problems)
