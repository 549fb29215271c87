"""A draft of the next matrix version: what is changed in it cell by cell, and how two matrices differ.

A matrix is seen as rows of a table here: a situation, category, class, department or supervisor by its code; `rules`
and `matrix` are one row each. A cell holds what the pack's form holds there.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

from .matrix import MatrixError, Problem
from .pack import CELLS

Form: TypeAlias = dict[str, Any]
Kind = Literal[
    "situation",
    "category",
    "class",
    "department",
    "supervisor",
    "route",
    "calendar",
    "area",
    "cumulative",
    "rules",
    "matrix",
]
Operation = Literal["set", "add", "remove"]
SINGLE: Final[Mapping[Kind, tuple[str, ...]]] = {
    "rules": ("business_types", "internal_words", "urgent_words", "risk", "review", "repeat", "hot_event", "pair"),
    "matrix": ("title", "version", "timezone"),
}
LISTS: Final[Mapping[str, str]] = {
    "department": "departments",
    "supervisor": "supervisors",
    "route": "routes",
    "calendar": "calendars",
    "area": "areas",
    "cumulative": "cumulative",
}
COLUMNS: Final[Mapping[Kind, tuple[str, ...]]] = {
    "situation": ("category", *CELLS),
    "category": ("class", "group", "name"),
    "class": ("name",),
    "department": ("name", "role", "posts", "webhook"),
    "supervisor": ("name",),
    "route": ("name", "of", "instead_of", "areas", "executing", "stars", "sensitive", "on_duty", "off_duty"),
    "calendar": ("name", "hours", "off", "on"),
    "area": ("names",),
    "cumulative": ("name", "of", "per", "times", "days", "digits", "apart_hours", "situation"),
    **SINGLE,
}


@dataclass(frozen=True, slots=True)
class Change:
    """One change asked for: a cell set to a value, a row added (`value` holds its cells), or a row removed."""

    op: Operation
    kind: Kind
    code: str = ""  # none for `rules` and `matrix`
    cell: str = ""  # of `set`
    value: Any = None


@dataclass(frozen=True, slots=True)
class Difference:
    """What is otherwise in one cell; `cell` "": a whole row came (before is None) or went (after is None)."""

    kind: Kind
    code: str
    cell: str
    before: Any
    after: Any

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def rows(form: Form) -> dict[tuple[Kind, str], dict[str, Any]]:
    """Every row of a full form, with its cells."""
    found: dict[tuple[Kind, str], dict[str, Any]] = {
        ("matrix", ""): {key: form[key] for key in SINGLE["matrix"] if key in form}
    }
    for kind, listed in LISTS.items():
        for row in form.get(listed, ()):
            found[kind, row["code"]] = _without_code(row)  # type: ignore[index]
    for each_class, group, category in _categories(form):
        found["class", each_class["code"]] = {"name": each_class["name"]}
        found["category", category["code"]] = {
            "class": each_class["code"],
            "group": group["name"],
            "name": category["name"],
        }
        for row in category["situations"]:
            found["situation", row["code"]] = {"category": category["code"], **_without_code(row)}
    found["rules", ""] = dict(form["rules"])
    return found


def differences(before: Form, after: Form) -> list[Difference]:
    """Every cell that is otherwise, rows that came and went; the order of rows is not looked at."""
    old, new = rows(before), rows(after)
    found = []
    for kind, code in {**old, **new}:
        was, is_now = old.get((kind, code)), new.get((kind, code))
        if was is None or is_now is None:
            found.append(Difference(kind, code, "", was, is_now))
        else:
            found += [
                Difference(kind, code, cell, was.get(cell), is_now.get(cell))
                for cell in {**was, **is_now}
                if was.get(cell) != is_now.get(cell)
            ]
    return found


def apply(form: Form, changes: Sequence[Change]) -> Form:
    """The form with these changes, one after the other. Raises MatrixError naming every change that cannot be made."""
    changed, faults = deepcopy(form), list[Problem]()
    for index, change in enumerate(changes):
        try:
            _make(changed, change)
        except _Wrong as error:
            faults.append(Problem(f"changes[{index}].{error.field}", error.reason))
    if faults:
        raise MatrixError(tuple(faults))
    for each_class in changed["classes"]:
        for group in each_class["groups"]:
            group["categories"] = [category for category in group["categories"] if category["situations"]]
        each_class["groups"] = [group for group in each_class["groups"] if group["categories"]]
    changed["classes"] = [each_class for each_class in changed["classes"] if each_class["groups"]]
    return changed


class _Wrong(Exception):
    def __init__(self, field: str, reason: str) -> None:
        self.field, self.reason = field, reason


def _make(form: Form, change: Change) -> None:
    match change.op:
        case "set":
            _set(form, change)
        case "add":
            _add(form, change)
        case "remove":
            _remove(form, change)


def _set(form: Form, change: Change) -> None:
    known = COLUMNS[change.kind]
    if change.cell not in known:
        raise _Wrong("cell", f"a {change.kind} has no cell '{change.cell}'; it has {', '.join(known)}")
    match change.kind:
        case "matrix":
            form[change.cell] = change.value
        case "rules":
            form["rules"][change.cell] = change.value
        case "situation" if change.cell == "category":
            row = _taken(form, change.code)
            _category(form, change.value, "value")["situations"].append(row)
        case "category" if change.cell != "name":
            raise _Wrong("cell", "a category cannot be moved: add another one, and set its situations' category")
        case _:
            row = _row(form, change.kind, change.code)
            row[change.cell] = change.value
            if change.value is None:
                del row[change.cell]


def _add(form: Form, change: Change) -> None:
    if change.kind in SINGLE or change.kind == "class":
        raise _Wrong("kind", f"no {change.kind} can be added" + (": add a category to it" * (change.kind == "class")))
    if not isinstance(change.value, dict):
        raise _Wrong("value", "is to be an object that holds the row's cells")
    row = {**change.value, "code": change.code}
    if not change.code or (change.kind, change.code) in rows(form):
        raise _Wrong("code", f"there is a {change.kind} '{change.code}' already" if change.code else "is required")
    match change.kind:
        case "situation":
            _category(form, row.pop("category", None), "value.category")["situations"].append(row)
        case "category":
            _add_category(form, row)
        case _:
            form.setdefault(LISTS[change.kind], []).append(row)


def _add_category(form: Form, row: dict[str, Any]) -> None:
    """A level-3 category, below a class and group that are there or begin with it. `class_name`: of a new class."""
    missing = [key for key in ("class", "group", "name", "situations") if not row.get(key)]
    if missing:
        raise _Wrong(f"value.{missing[0]}", "is required")
    situations = row["situations"]
    if not isinstance(situations, list) or not all(isinstance(each, dict) and each.get("code") for each in situations):
        raise _Wrong("value.situations", "is to be a list of situations, each an object with its code")
    code, group_name, class_name = row.pop("class"), row.pop("group"), row.pop("class_name", None)
    each_class = next((each for each in form["classes"] if each["code"] == code), None)
    if each_class is None:
        if not class_name:
            raise _Wrong("value.class", f"there is no class '{code}': give its class_name to begin it")
        each_class = {"code": code, "name": class_name, "groups": []}
        form["classes"].append(each_class)
    group = next((each for each in each_class["groups"] if each["name"] == group_name), None)
    if group is None:
        group = {"name": group_name, "categories": []}
        each_class["groups"].append(group)
    group["categories"].append(row)


def _remove(form: Form, change: Change) -> None:
    match change.kind:
        case "situation":
            _taken(form, change.code)
        case "department" | "supervisor" | "route" | "calendar" | "area" | "cumulative":
            row = _row(form, change.kind, change.code)
            listed = form[LISTS[change.kind]]
            listed.remove(row)
            if not listed:
                del form[LISTS[change.kind]]
        case "category":
            found = _category(form, change.code, "code")
            for _, group, category in list(_categories(form)):
                if category is found:
                    group["categories"].remove(found)
        case _:
            raise _Wrong("kind", f"no {change.kind} can be removed: it goes with its last category")


def _row(form: Form, kind: Kind, code: str) -> dict[str, Any]:
    """The part of the form that holds a row's cells."""
    match kind:
        case "situation":
            listed = [row for *_, category in _categories(form) for row in category["situations"]]
        case "category":
            listed = [category for *_, category in _categories(form)]
        case "class":
            listed = form["classes"]
        case _:
            listed = form.get(LISTS[kind], [])
    found = next((row for row in listed if row["code"] == code), None)
    if found is None:
        raise _Wrong("code", f"there is no {kind} '{code}'")
    return found  # type: ignore[no-any-return]


def _category(form: Form, code: Any, field: str) -> dict[str, Any]:
    found = next((category for *_, category in _categories(form) if category["code"] == code), None)
    if found is None:
        raise _Wrong(field, f"there is no category '{code}'")
    return found


def _taken(form: Form, code: str) -> dict[str, Any]:
    """A situation, taken out of its category."""
    row = _row(form, "situation", code)
    for *_, category in _categories(form):
        if any(each is row for each in category["situations"]):
            category["situations"].remove(row)
    return row


def _categories(form: Form) -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    for each_class in form["classes"]:
        for group in each_class["groups"]:
            for category in group["categories"]:
                yield each_class, group, category


def _without_code(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "code"}
