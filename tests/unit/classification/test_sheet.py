"""A matrix goes into a workbook and into YAML and comes back as it was; what is wrong is named by its cell."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from openpyxl import Workbook, load_workbook

from services.classification import packs
from services.classification.domain import pack, sheet, skeleton
from services.classification.domain.matrix import MatrixError, Post

POWER = packs.read("power_95598")


@pytest.mark.parametrize("name", packs.names())
def test_round_trip_is_exact(name: str) -> None:
    matrix = packs.read(name)
    assert pack.read(pack.write(pack.form(matrix))) == matrix
    assert sheet.read(sheet.write(pack.form(matrix))) == matrix


def test_file_is_read_by_its_ending(tmp_path: Path) -> None:
    for name, data in (("a.XLSX", sheet.write(pack.form(POWER))), ("a.yaml", pack.write(pack.form(POWER)).encode())):
        (tmp_path / name).write_bytes(data)
        assert packs.read(str(tmp_path / name)) == POWER


def book() -> Workbook:
    return load_workbook(io.BytesIO(sheet.write(pack.form(POWER))))


def read(made: Workbook) -> list[str]:
    """What is wrong with a workbook."""
    file = io.BytesIO()
    made.save(file)
    with pytest.raises(MatrixError) as error:
        sheet.read(file.getvalue())
    return [str(problem) for problem in error.value.problems]


def put(name: str, cell: str, value: str | None) -> Callable[[Workbook], None]:
    def apply(made: Workbook) -> None:
        made[name][cell] = value

    return apply


def no_column(made: Workbook) -> None:
    made["矩阵"].delete_cols(10)


def no_sheet(made: Workbook) -> None:
    del made["规则"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (put("矩阵", "J2", "不存在部"), "situation A01-1.lead: unknown department '不存在部' (sheet 矩阵, cell J2)"),
        (put("矩阵", "K3", "无此部、计量中心"), "A01-2.executing: unknown department '无此部' (sheet 矩阵, cell K3)"),
        (put("矩阵", "L2", "谁"), "situation A01-1.supervisor: unknown supervisor '谁' (sheet 矩阵, cell L2)"),
        (put("矩阵", "J2", None), "situation A01-1.lead: is given at no level (sheet 矩阵, cell J2)"),
        (put("矩阵", "I2", "电"), "situation A01-1.phrases: '电' is too short"),
        (put("矩阵", "M2", "quick"), "Input should be 'maintenance' or 'construction' (sheet 矩阵, cell M2)"),
        (put("矩阵", "F3", "A01-1"), "situation code 'A01-1': stands there more than once (sheet 矩阵, row 3)"),
        (put("矩阵", "D4", "A01"), "category A01: stands there more than once (sheet 矩阵, row 4)"),
        (put("部门", "C2", "boss"), "Input should be 'lead' or 'executing' (sheet 部门, cell C2)"),
        (put("部门", "D3", None), "department marketing.posts: has no duty post (sheet 部门, cell D3)"),
        (put("部门", "D4", "台 仅电话"), "department production.posts: cannot be reached: it has no webhook, and no"),
        (put("部门", "D5", "班 25:00-26:00"), "String should match pattern"),
        (put("部门", "E5", "也许"), "Input should be a valid boolean, unable to interpret input (sheet 部门, cell E5)"),
        (put("规则", "A2", "foo"), "rule 'foo': is none of business_type"),
        (put("说明", "B3", "x" * 33), "{1,32}$' (sheet 说明, cell B3)"),
        (no_column, "sheet 矩阵: has no column 归口部门 (lead)"),
        (no_sheet, "sheet 规则: is missing"),
    ],
)  # fmt: skip
def test_wrong_cell_is_named(spoil: Callable[[Workbook], None], message: str) -> None:
    made = book()
    spoil(made)
    found = read(made)
    assert any(message in fault for fault in found), found


def test_everything_wrong_is_said_at_once() -> None:
    made = book()
    for spoil in (put("矩阵", "J2", "甲"), put("矩阵", "L3", "乙"), put("规则", "A2", "foo"), put("矩阵", "I5", "x")):
        spoil(made)
    assert len(read(made)) == 4


def test_duty_posts_of_a_cell_are_lines_of_name_hours_and_whether_by_telephone_only() -> None:
    made = book()
    made["部门"]["D2"], made["部门"]["E2"] = "专责 08:30-17:30\n班 长\n值班台 18:00-24:00 仅电话", "true"
    file = io.BytesIO()
    made.save(file)
    found = sheet.read(file.getvalue()).departments[0]
    assert found.posts == (Post("专责", "08:30-17:30"), Post("班 长"), Post("值班台", "18:00-24:00", inbox=False))
    assert found.webhook


def test_levels_left_empty_are_as_above_until_a_higher_one_changes() -> None:
    made = book()
    page = made["矩阵"]
    for area in list(page.merged_cells.ranges):
        page.unmerge_cells(str(area))  # leaves all but the first cell empty
    file = io.BytesIO()
    made.save(file)
    assert sheet.read(file.getvalue()) == POWER
    first = next(number for number in range(3, 200) if page.cell(number, 2).value)
    page.cell(first, 3).value = None
    assert any(f"(sheet 矩阵, cell C{first})" in fault for fault in read(made))


def test_headings_may_be_chinese_or_english_in_any_order() -> None:
    made = book()
    for page in made:
        for cell in page[1]:
            chinese, english = str(cell.value).split()
            cell.value = chinese if cell.row == 1 and len(chinese) % 2 else english
    file = io.BytesIO()
    made.save(file)
    assert sheet.read(file.getvalue()) == POWER


def test_text_that_looks_like_a_formula_stays_text() -> None:
    raw = pack.form(POWER)
    raw["classes"][0]["groups"][0]["categories"][0]["situations"][0]["description"] = "=1+1"
    assert sheet.read(sheet.write(raw)).situations[0].description == "=1+1"


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04broken", b"a,b,c\n"])
def test_what_is_no_workbook_is_refused(data: bytes) -> None:
    with pytest.raises(MatrixError, match="is not an Excel workbook"):
        sheet.read(data)


START = skeleton.Start("new", "新矩阵", "归口部", "责任部", "督办人")


def test_any_three_level_list_becomes_a_pack() -> None:
    data = "序号,一级,二级,三级\n1,供电,停电,计划停电\n2,,,故障跳闸\n3,,电压,电压偏低\n4,营业,抄表,电表读数\n".encode()
    matrix = pack.read(pack.write(skeleton.form(skeleton.read(data), START)))
    assert [situation.path for situation in matrix.situations] == [
        ("供电", "停电", "计划停电"),
        ("供电", "停电", "故障跳闸"),
        ("供电", "电压", "电压偏低"),
        ("营业", "抄表", "电表读数"),
    ]
    assert [situation.code for situation in matrix.situations] == ["C1-01-1", "C1-02-1", "C1-03-1", "C2-01-1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "file: needs a heading with three columns"),
        ("a,b,c\n", "file: needs a heading with three columns"),
        ("a,b,c\n甲,,丙\n", "line 2: level 2 is empty"),
        ("a,b,c\n甲,乙,丙\n甲,乙,丙\n", "line 3: stands on line 2 already"),
        ('a,b,c\n"甲,乙', "file: is not CSV"),
    ],
)
def test_wrong_line_of_a_list_is_named(text: str, message: str) -> None:
    with pytest.raises(MatrixError) as error:
        skeleton.read(text.encode())
    assert str(error.value).startswith(message)
