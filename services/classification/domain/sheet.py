"""A matrix as an Excel workbook, in the four-level layout people use: one row a situation, level cells merged.

| sheet | a row |
|---|---|
| 矩阵 | a situation: three levels (left empty or merged: as above), the situation, who leads, executes, supervises, … |
| 部门, 督办 | a department with its role, its duty posts and whether it has a webhook; a supervisor |
| 规则 | a rule: which, of what, its words or its number |
| 选路, 值班, 区域 | may be absent: a rule by place, customer and time; a duty calendar; an area and its names |
| 累积 | may be absent: how often what adds up to a problem of its own |
| 说明 | name, version, title (and time zone) of the pack |

A column is found by its heading, Chinese or English. Departments may be given by name or code. Several values of a cell
stand on lines of their own; semicolons part them too, and between departments also 、 and commas.
"""

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final
from zipfile import BadZipFile

from .matrix import Matrix, MatrixError, Problem
from .pack import MAX_BYTES, Location, build

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

MOST_ROWS = 20_000  # of a sheet
MATRIX, DEPARTMENTS, SUPERVISORS, RULES, ABOUT = "矩阵", "部门", "督办", "规则", "说明"
ROUTES, CALENDARS, AREAS, CUMULATIVE = "选路", "值班", "区域", "累积"
OPTIONAL = (ROUTES, CALENDARS, AREAS, CUMULATIVE)  # need not be there
LEVELS: Final = {
    "class_code": "一级编码",
    "class": "一级分类",
    "group": "二级分类",
    "category_code": "三级编码",
    "category": "三级分类",
}
SITUATION: Final = {
    "code": "情况编码",
    "name": "情况划分",
    "description": "说明",
    "phrases": "信号词",
    "lead": "归口部门",
    "executing": "责任部门",
    "supervisor": "督办人",
    "sla_class": "时限类别",
    "join_policy": "合并方式",
    "urgency": "紧急程度",
    "business_type": "业务类型",
    "complaint_object": "投诉对象",
}
COLUMNS: Final[Mapping[str, Mapping[str, str]]] = {
    MATRIX: LEVELS | SITUATION,
    DEPARTMENTS: {"code": "编码", "name": "名称", "role": "角色", "posts": "值班岗", "webhook": "系统接口"},
    SUPERVISORS: {"code": "编码", "name": "名称"},
    ROUTES: {
        "code": "编码",
        "name": "名称",
        "of": "适用",
        "instead_of": "代替",
        "areas": "区域",
        "executing": "责任部门",
        "stars": "星级",
        "sensitive": "特殊群体",
        "on_duty": "值班内",
        "off_duty": "值班外",
    },
    CALENDARS: {"code": "编码", "name": "名称", "hours": "时段", "off": "休息", "on": "调休上班"},
    AREAS: {"code": "编码", "names": "名称"},
    CUMULATIVE: {
        "code": "编码",
        "name": "名称",
        "of": "适用",
        "per": "按",
        "times": "次数",
        "days": "天数",
        "digits": "区域位数",
        "apart_hours": "相隔小时",
        "situation": "主动工单情况",
    },
    RULES: {"rule": "规则", "key": "项", "value": "值"},
    ABOUT: {"key": "项", "value": "值"},
}
# The levels of the pack's form: keys and their columns, and what lies below.
NESTED: Final[tuple[tuple[Mapping[str, str], str], ...]] = (
    ({"code": "class_code", "name": "class"}, "groups"),
    ({"name": "group"}, "categories"),
    ({"code": "category_code", "name": "category"}, "situations"),
)
WIDTHS: Final = {"description": 40, "phrases": 30, "value": 60, "class": 14, "group": 16, "category": 16, "name": 22}
_parts = re.compile(r"[\n;；]")
_departments = re.compile(r"[\n;；、,，]")
_area = re.compile(r"[:：]")
_telephone = re.compile(r"\s+仅电话$")
_clock = re.compile(r"\s+(\d\d:\d\d-\d\d:\d\d)$")

Row = tuple[int, dict[str, str]]  # its number in the sheet, and its cells by column


def read(data: bytes) -> Matrix:
    """The matrix of a workbook, or MatrixError naming every wrong cell at once."""
    book = _Book(data)
    about = {row["key"]: (number, row["value"]) for number, row in book.rows(ABOUT) if "key" in row and "value" in row}
    for key, (number, _) in about.items():
        book.put((key,), ABOUT, number, "value")
    raw: dict[str, Any] = {key: value for key, (_, value) in about.items()}
    for field, sheet in (("departments", DEPARTMENTS), ("supervisors", SUPERVISORS)):
        raw[field] = [dict(row) for _, row in book.rows(sheet)]
        for index, (number, _) in enumerate(book.rows(sheet)):
            book.put_row((field, index), sheet, number, COLUMNS[sheet])
    for row in raw["departments"]:
        row["posts"] = [_post(line) for line in _split(row.get("posts", ""))]
    raw |= {"calendars": _calendars(book), "routes": _routes(book, raw["departments"])}
    raw["areas"] = [row | {"names": _split(row.get("names", ""))} for _, row in book.rows(AREAS)]
    for index, (number, row) in enumerate(book.rows(AREAS)):
        book.put_row(("areas", index), AREAS, number, row)
    raw["cumulative"] = [row | {"of": _split(row.get("of", ""), _departments)} for _, row in book.rows(CUMULATIVE)]
    for index, (number, _) in enumerate(book.rows(CUMULATIVE)):
        book.put_row(("cumulative", index), CUMULATIVE, number, COLUMNS[CUMULATIVE])
    raw["rules"] = _rules(book)
    raw["classes"] = _classes(book, raw["departments"], raw["supervisors"])
    try:
        matrix = build(raw, book.spot)
    except MatrixError as error:
        raise MatrixError((*book.faults, *error.problems)) from None
    if book.faults:
        raise MatrixError(tuple(book.faults))
    return matrix


class _Book:
    """A workbook while it is read: its rows, and where in it each value of the pack's form stands."""

    def __init__(self, data: bytes) -> None:
        from openpyxl import load_workbook
        from openpyxl.utils.exceptions import InvalidFileException

        if len(data) > MAX_BYTES:
            raise MatrixError((Problem("file", f"is larger than {MAX_BYTES} bytes"),))
        try:
            self._book = load_workbook(io.BytesIO(data), data_only=True)
        except (BadZipFile, InvalidFileException, KeyError, ValueError, SyntaxError) as error:
            raise MatrixError((Problem("file", f"is not an Excel workbook (.xlsx): {error}"),)) from None
        absent = [name for name in COLUMNS if name not in {*self._book.sheetnames, *OPTIONAL}]
        if absent:
            raise MatrixError(tuple(Problem(f"sheet {name}", "is missing") for name in absent))
        self.faults: list[Problem] = []
        self._letters: dict[str, dict[str, str]] = {}
        self._rows = {name: list(self._read(name)) for name in COLUMNS}
        self._spots: dict[Location, str] = {}

    def rows(self, sheet: str) -> list[Row]:
        """The rows of a sheet that hold anything."""
        return self._rows[sheet]

    def put(self, location: Location, sheet: str, number: int, column: str) -> None:
        """Say that a value of the form stands in that cell."""
        letter = self._letters[sheet].get(column, "")
        self._spots[location] = f"sheet {sheet}, cell {letter}{number}" if letter else f"sheet {sheet}, row {number}"

    def put_row(self, location: Location, sheet: str, number: int, columns: Iterable[str]) -> None:
        """The same for a row of the form and each of its columns."""
        self._spots[location] = f"sheet {sheet}, row {number}"
        for column in columns:
            self.put((*location, column), sheet, number, column)

    def spot(self, location: Location) -> str:
        """Where a value stands, or what is above it where it is missing."""
        for length in range(len(location), 0, -1):
            if found := self._spots.get(location[:length]):
                return found
        return ""

    def _read(self, name: str) -> Iterator[Row]:
        if name not in self._book.sheetnames:
            return
        sheet: Any = self._book[name]
        if sheet.max_row > MOST_ROWS:
            raise MatrixError((Problem(f"sheet {name}", f"has more than {MOST_ROWS} rows"),))
        merged = {
            (row, column): (area.min_row, area.min_col)
            for area in sheet.merged_cells.ranges
            for row in range(area.min_row, area.max_row + 1)
            for column in range(area.min_col, area.max_col + 1)
        }
        cells = [[_text(cell.value) for cell in row] for row in sheet.iter_rows()]
        for (line, column), (first, left) in merged.items():
            cells[line - 1][column - 1] = cells[first - 1][left - 1]
        header = next((index for index, row in enumerate(cells) if sum(map(bool, row)) > 1), 0)
        columns = self._columns(name, cells[header] if cells else [])
        for number, row in enumerate(cells[header + 1 :], header + 2):
            if found := {key: row[place] for key, place in columns.items() if row[place]}:
                yield number, found

    def _columns(self, name: str, header: list[str]) -> dict[str, int]:
        from openpyxl.utils import get_column_letter

        found: dict[str, int] = {}
        for place, heading in enumerate(header):
            words = set(heading.lower().split())
            column = next((key for key, chinese in COLUMNS[name].items() if words & {key, chinese}), None)
            if column and column not in found:
                found[column] = place
        self.faults += [
            Problem(f"sheet {name}", f"has no column {chinese} ({key})")
            for key, chinese in COLUMNS[name].items()
            if key not in found
        ]
        self._letters[name] = {column: get_column_letter(place + 1) for column, place in found.items()}
        return found


def _text(value: Any) -> str:
    """A cell's value as it would be written in a file."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value).strip()


def _split(text: str, between: re.Pattern[str] = _parts) -> list[str]:
    return [part.strip() for part in between.split(text) if part.strip()]


def _post(line: str) -> dict[str, Any]:
    """A duty post: `配网专责`, `配网专责 08:30-17:30`, `调度台 仅电话` (by telephone only: it reads no inbox)."""
    rest, *by_telephone = _telephone.split(line)
    name, *hours = _clock.split(rest)
    found: dict[str, Any] = {"name": name}
    found |= {"hours": hours[0]} if hours else {}
    return found | ({"inbox": False} if by_telephone else {})


def _classes(book: _Book, departments: list[dict[str, str]], supervisors: list[dict[str, str]]) -> list[dict[str, Any]]:
    """The rows of the matrix under their levels."""
    of_department = {row["name"]: row["code"] for row in departments if {"name", "code"} <= row.keys()}
    of_supervisor = {row["name"]: row["code"] for row in supervisors if {"name", "code"} <= row.keys()}
    classes: list[dict[str, Any]] = []
    above: dict[str, str] = {}
    for number, row in book.rows(MATRIX):
        above = _levels(row, above)
        rows: list[dict[str, Any]] = classes
        here: Location = ("classes",)
        for columns, below in NESTED:
            known = {key: above[column] for key, column in columns.items() if column in above}
            if not rows or {key: value for key, value in rows[-1].items() if key != below} != known:
                rows.append({**known, below: []})
                book.put_row((*here, len(rows) - 1), MATRIX, number, ())
                for key, column in columns.items():
                    book.put((*here, len(rows) - 1, key), MATRIX, number, column)
            here, rows = (*here, len(rows) - 1, below), rows[-1][below]
        situation: dict[str, Any] = {key: row[key] for key in SITUATION if key in row}
        for key, split in (("phrases", _parts), ("executing", _departments)):
            if key in situation:
                situation[key] = _split(situation[key], split)
        if "lead" in row:
            situation["lead"] = of_department.get(row["lead"], row["lead"])
        if "executing" in row:
            situation["executing"] = [of_department.get(name, name) for name in situation["executing"]]
        if "supervisor" in row:
            situation["supervisor"] = of_supervisor.get(row["supervisor"], row["supervisor"])
        book.put_row((*here, len(rows)), MATRIX, number, SITUATION)
        rows.append(situation)
    return classes


def _levels(row: dict[str, str], above: dict[str, str]) -> dict[str, str]:
    """A row's levels: an empty cell is as the row above, unless a level before it is another one."""
    levels: dict[str, str] = {}
    other = False
    for column in LEVELS:
        if column in row:
            levels[column] = row[column]
            other = other or row[column] != above.get(column)
        elif column in above and not other:
            levels[column] = above[column]
    return levels


def _calendars(book: _Book) -> list[dict[str, Any]]:
    """Duty calendars; hours as `1 2 3 08:30-12:00`, one line each."""
    calendars = []
    for index, (number, row) in enumerate(book.rows(CALENDARS)):
        book.put_row(("calendars", index), CALENDARS, number, COLUMNS[CALENDARS])
        found: dict[str, Any] = dict(row) | {key: _split(row[key]) for key in ("off", "on") if key in row}
        hours = []
        for line in _split(row.get("hours", "")):
            *days, clock = line.split()
            start, _, end = clock.partition("-")
            hours.append({"days": days, "start": start, "end": end})
        calendars.append(found | {"hours": hours})
    return calendars


def _routes(book: _Book, departments: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Rules by place, customer and time; areas as `320115: 江宁局、抢修班`, one line each."""
    of = {row["name"]: row["code"] for row in departments if {"name", "code"} <= row.keys()}

    def codes(text: str) -> list[str]:
        return [of.get(name, name) for name in _split(text, _departments)]

    routes = []
    for index, (number, row) in enumerate(book.rows(ROUTES)):
        book.put_row(("routes", index), ROUTES, number, COLUMNS[ROUTES])
        found: dict[str, Any] = dict(row)
        found |= {key: _split(row[key], _departments) for key in ("of", "stars") if key in row}
        if "executing" in row:
            found["executing"] = codes(row["executing"])
        if "instead_of" in row:
            found["instead_of"] = of.get(row["instead_of"], row["instead_of"])
        if "areas" in row:
            pairs = [_area.split(line, 1) for line in _split(row["areas"])]
            found["areas"] = {pair[0].strip(): codes(pair[-1] if len(pair) > 1 else "") for pair in pairs}
            if len(found["areas"]) < len(pairs):
                cell = book.spot(("routes", index, "areas"))
                book.faults.append(Problem(f"route {row.get('code', '')}.areas", "an area stands there twice", cell))
        routes.append(found)
    return routes


def _rules(book: _Book) -> dict[str, Any]:
    """The rows of the rules as a pack has them."""
    rules: dict[str, Any] = {"business_types": [], "risk": {"channels": {}, "words": []}, "review": {}}
    book.put_row(("rules",), RULES, 1, ())
    for number, row in book.rows(RULES):
        rule, key, value = row.get("rule", ""), row.get("key", ""), row.get("value", "")
        here: Location = ("rules", rule, key)
        match rule:
            case "business_type":
                here = ("rules", "business_types", len(rules["business_types"]))
                rules["business_types"].append({"type": key, "words": _split(value)})
            case "internal_words" | "urgent_words":
                here = ("rules", rule)
                rules[rule] = _split(value)
            case "risk_words":
                here = ("rules", "risk", "words", len(rules["risk"]["words"]))
                rules["risk"]["words"].append({"points": key, "words": _split(value)})
            case "risk_channel":
                here = ("rules", "risk", "channels", key)
                rules["risk"]["channels"][key] = value
            case "review_channel" | "review_star":
                field = rule.replace("review_", "") + "_minutes"
                here = ("rules", "review", field, key)
                rules["review"].setdefault(field, {})[key] = value
            case "pair_words":
                here = ("rules", "pair", "words", key)
                rules.setdefault("pair", {}).setdefault("words", {})[key] = value
            case "pair_comes_as":
                usual, _, other = key.partition("/")
                here = ("rules", "pair", "comes_as", usual, other)
                rules.setdefault("pair", {}).setdefault("comes_as", {}).setdefault(usual, {})[other] = value
            case "risk" | "review" | "repeat" | "hot_event" | "pair" if key:
                rules.setdefault(rule, {})[key] = value
            case _:
                known = (
                    "business_type, internal_words, urgent_words, risk, risk_channel, risk_words, review, "
                    "review_channel, review_star, repeat, pair, pair_words, pair_comes_as"
                )
                cell = f"sheet {RULES}, row {number}"
                book.faults.append(
                    Problem(f"rule '{rule}'", f"is none of {known} or hot_event, or lacks its 项 (key)", cell)
                )
        book.put_row(here, RULES, number, ())
    return rules


def write(raw: dict[str, Any]) -> bytes:
    """A full form, or a draft's with cells still missing, as a workbook; of a matrix's own `read` makes it again."""
    from openpyxl import Workbook
    from openpyxl.utils.exceptions import IllegalCharacterError

    book = Workbook()
    del book[book.sheetnames[0]]
    try:
        for name, rows in (
            (MATRIX, list(_flat(raw))),
            (DEPARTMENTS, list(_flat_departments(raw))),
            (SUPERVISORS, [list(row.values()) for row in raw["supervisors"]]),
            (ROUTES, list(_flat_routes(raw))),
            (CALENDARS, list(_flat_calendars(raw))),
            (AREAS, [[row["code"], "\n".join(row.get("names", ()))] for row in raw.get("areas", ())]),
            (CUMULATIVE, list(_flat_cumulative(raw))),
            (RULES, list(_flat_rules(raw["rules"]))),
            (ABOUT, [[key, raw[key]] for key in ("name", "version", "title", "timezone") if key in raw]),
        ):
            if rows or name not in OPTIONAL:
                _sheet(book.create_sheet(name), COLUMNS[name], rows)
    except IllegalCharacterError as error:
        raise MatrixError((Problem("matrix", f"holds a character that no workbook may: {error}"),)) from None
    _merge(book[MATRIX])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _flat(raw: dict[str, Any]) -> Iterator[list[str]]:
    departments = _names(raw["departments"])
    supervisors = _names(raw["supervisors"])
    for each_class in raw["classes"]:
        for group in each_class["groups"]:
            for category in group["categories"]:
                for row in category["situations"]:
                    shown = row | {
                        "phrases": "\n".join(row.get("phrases", ())),
                        "lead": _called(departments, row.get("lead")),
                        "executing": "\n".join(_called(departments, code) for code in row.get("executing") or ()),
                        "supervisor": _called(supervisors, row.get("supervisor")),
                    }
                    levels = (each_class["code"], each_class["name"], group["name"], category["code"], category["name"])
                    yield [*levels, *(shown.get(key) or "" for key in SITUATION)]


def _flat_departments(raw: dict[str, Any]) -> Iterator[list[str]]:
    for row in raw["departments"]:
        posts = [
            " ".join(
                [each["name"], *filter(None, (each.get("hours"),)), *([] if each.get("inbox", True) else ["仅电话"])]
            )
            for each in row.get("posts", ())
        ]
        webhook = "true" if row.get("webhook") else ""
        yield [row["code"], row.get("name", ""), row.get("role", ""), "\n".join(posts), webhook]


def _names(rows: list[dict[str, str]]) -> dict[str, str]:
    """Code → what stands in a cell for it: its name, unless that could be read as something else."""
    codes = {row["code"] for row in rows}
    return {
        row["code"]: row["code"] if row["name"] in codes or _departments.search(row["name"]) else row["name"]
        for row in rows
    }


def _called(names: dict[str, str], code: str | None) -> str:
    """A draft may name one that is not there, or none yet."""
    return names.get(code, code) if code else ""


def _flat_routes(raw: dict[str, Any]) -> Iterator[list[Any]]:
    departments = _names(raw["departments"])

    def names(codes: Iterable[str]) -> str:
        return "、".join(_called(departments, code) for code in codes)

    for row in raw.get("routes", ()):
        shown = row | {
            "of": "、".join(row.get("of", ())),
            "stars": "、".join(map(str, row.get("stars", ()))),
            "executing": names(row.get("executing", ())),
            "instead_of": _called(departments, row.get("instead_of")),
            "areas": "\n".join(f"{prefix}: {names(codes)}" for prefix, codes in row.get("areas", {}).items()),
            "sensitive": "" if row.get("sensitive") is None else str(row["sensitive"]).lower(),
        }
        yield [shown.get(key, "") for key in COLUMNS[ROUTES]]


def _flat_calendars(raw: dict[str, Any]) -> Iterator[list[Any]]:
    for row in raw.get("calendars", ()):
        hours = [" ".join([*map(str, at["days"]), f"{at['start']}-{at['end']}"]) for at in row.get("hours", ())]
        shown = row | {
            "hours": "\n".join(hours),
            "off": "\n".join(row.get("off", ())),
            "on": "\n".join(row.get("on", ())),
        }
        yield [shown.get(key, "") for key in COLUMNS[CALENDARS]]


def _flat_cumulative(raw: dict[str, Any]) -> Iterator[list[Any]]:
    for row in raw.get("cumulative", ()):
        shown = row | {"of": "、".join(row.get("of", ()))}
        yield [shown.get(key, "") for key in COLUMNS[CUMULATIVE]]


def _flat_rules(rules: dict[str, Any]) -> Iterator[list[Any]]:
    risk = rules["risk"]
    yield from (["business_type", each["type"], "\n".join(each["words"])] for each in rules["business_types"])
    for rule in ("internal_words", "urgent_words"):
        if rules[rule]:
            yield [rule, "", "\n".join(rules[rule])]
    numbers = ("high_from", "sensitive_points", "complaint_points", "repeat_points")
    yield from (["risk", key, risk[key]] for key in numbers if key in risk)
    yield from (["risk_channel", channel, points] for channel, points in risk["channels"].items())
    yield from (["risk_words", each["points"], "\n".join(each["words"])] for each in risk["words"])
    for key, value in rules["review"].items():
        if isinstance(value, dict):
            yield from ([f"review_{key.removesuffix('_minutes')}", each, minutes] for each, minutes in value.items())
        else:
            yield ["review", key, value]
    for rule in ("repeat", "hot_event"):
        yield from ([rule, key, value] for key, value in rules.get(rule, {}).items())
    for key, value in rules.get("pair", {}).items():
        if key == "words":
            yield from (["pair_words", kind, times] for kind, times in value.items())
        elif key == "comes_as":
            pairs = ((f"{usual}/{other}", share) for usual, others in value.items() for other, share in others.items())
            yield from (["pair_comes_as", pair, share] for pair, share in pairs)
        else:
            yield ["pair", key, value]


def _sheet(sheet: "Worksheet", columns: Mapping[str, str], rows: list[list[Any]]) -> None:
    from openpyxl.styles import Alignment, Font
    from openpyxl.utils import get_column_letter

    sheet.append([f"{chinese} {key}" for key, chinese in columns.items()])
    for number, row in enumerate(rows, 2):
        for place, value in enumerate(row, 1):
            cell = sheet.cell(number, place, value)
            cell.alignment = Alignment(wrap_text=True, vertical="top")
            if isinstance(value, str):
                cell.data_type = "s"  # whatever it begins with
    for place, key in enumerate(columns, 1):
        sheet.cell(1, place).font = Font(bold=True)
        sheet.column_dimensions[get_column_letter(place)].width = WIDTHS.get(key, 16)
    sheet.freeze_panes = "A2"


def _merge(sheet: "Worksheet") -> None:
    """Merge what is the same below each other in the levels, as far as the levels before are the same."""
    rows = [[cell.value for cell in row] for row in sheet.iter_rows(min_row=2, max_col=len(LEVELS))]
    for place in range(len(LEVELS)):
        first = 0
        for number in range(1, len(rows) + 1):
            if number == len(rows) or rows[number][: place + 1] != rows[first][: place + 1]:
                if number - first > 1:
                    sheet.merge_cells(
                        start_row=first + 2, end_row=number + 1, start_column=place + 1, end_column=place + 1
                    )
                first = number
