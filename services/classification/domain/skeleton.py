"""The beginning of a pack: its form, made of any three-level list of categories."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .matrix import MatrixError, Problem
from .pack import MAX_BYTES

LEVELS = 3


@dataclass(frozen=True, slots=True)
class Start:
    """What a list does not say; the same for every category until its owner edits it. Names are of departments."""

    name: str
    title: str
    lead: str
    executing: str
    supervisor: str
    sla_class: str = "maintenance"
    post: str = "值班员"  # duty post of both departments


def read(data: bytes) -> list[tuple[str, str, str]]:
    """The categories of a CSV file with a heading: its last three columns, an empty cell being as the one above.

    Raises MatrixError naming every wrong line.
    """
    if len(data) > MAX_BYTES:
        raise MatrixError((Problem("file", f"is larger than {MAX_BYTES} bytes"),))
    try:
        lines = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True))
    except UnicodeDecodeError as error:
        raise MatrixError((Problem("file", f"is not UTF-8: byte {error.start}"),)) from None
    except csv.Error as error:
        raise MatrixError((Problem("file", f"is not CSV: {error}"),)) from None
    if len(lines) < 2 or len(lines[0]) < LEVELS:
        raise MatrixError((Problem("file", "needs a heading with three columns, one a level, and rows below it"),))
    faults: list[Problem] = []
    found: dict[tuple[str, str, str], int] = {}
    above = ["", "", ""]
    for number, line in enumerate(lines[1:], 2):
        cells = [cell.strip() for cell in line[len(lines[0]) - LEVELS : len(lines[0])]]
        if not any(cells):
            continue
        cells += [""] * (LEVELS - len(cells))
        new = next(place for place, cell in enumerate(cells) if cell)
        category = (*(cell or (above[place] if place < new else "") for place, cell in enumerate(cells)),)
        above = list(category)
        first, second, third = category
        if not all(category):
            faults.append(Problem(f"line {number}", f"level {category.index('') + 1} is empty"))
        elif (first, second, third) in found:
            faults.append(Problem(f"line {number}", f"stands on line {found[first, second, third]} already"))
        else:
            found[first, second, third] = number
    if faults:
        raise MatrixError(tuple(faults))
    return list(found)


def form(categories: Sequence[tuple[str, str, str]], start: Start) -> dict[str, Any]:
    """A pack's full form in which each category has one situation, with the category's name for its signal phrase."""
    names = [third for _, _, third in categories]
    cell = {
        "lead": "lead",
        "executing": ["executing"],
        "supervisor": "supervisor",
        "sla_class": start.sla_class,
        "join_policy": "all",
        "urgency": "normal",
        "business_type": "opinion",
        "complaint_object": "external",
    }

    def situation(code: str, path: tuple[str, str, str]) -> dict[str, Any]:
        name = path[2] if names.count(path[2]) == 1 else f"{path[1]}：{path[2]}"
        text = f"{path[0]}，{path[1]}，{path[2]}。"
        return {"code": f"{code}-1", "name": name, "description": text, "phrases": [path[2]], **cell}

    classes: list[dict[str, Any]] = []
    for c, (first, of_class) in enumerate(_under(categories, 0), 1):
        groups = []
        number = 0
        for second, of_group in _under(of_class, 1):
            rows = []
            for path in of_group:
                number += 1
                code = f"C{c}-{number:02d}"
                rows.append({"code": code, "name": path[2], "situations": [situation(code, path)]})
            groups.append({"name": second, "categories": rows})
        classes.append({"code": f"C{c}", "name": first, "groups": groups})
    return {
        "name": start.name,
        "version": "1",
        "title": start.title,
        "supervisors": [{"code": "supervisor", "name": start.supervisor}],
        "departments": [
            {"code": "lead", "name": start.lead, "role": "lead", "posts": [{"name": start.post}]},
            {"code": "executing", "name": start.executing, "role": "executing", "posts": [{"name": start.post}]},
        ],
        "classes": classes,
        "rules": {
            "business_types": [],
            "internal_words": [],
            "urgent_words": [],
            "risk": {"high_from": 3, "sensitive_points": 1, "complaint_points": 1, "channels": {}, "words": []},
            "review": {"probability": 0.5, "margin": 0.1},
        },
    }


def _under(categories: Sequence[tuple[str, str, str]], level: int) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """The categories by their name at a level, in order of first appearance."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    for category in categories:
        found.setdefault(category[level], []).append(category)
    return iter(found.items())
