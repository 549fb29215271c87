"""Files of labelled tickets (CSV): which columns hold text and label, and every row that cannot be used, by line."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from libs.shared.contracts.intake import BusinessType
from services.classification.domain.pair import NAMES

LABELS = ("situation", "label", "department", "category")  # columns looked for where none is named, in this order
TEXTS = (("title", "text"), ("text",), ("tokens",), ("title", "body"), ("title", "content"), ("body",), ("content",))
GROUPS = ("group", "dup_group")
TYPES = ("business_type", "业务类型", "诉求类型")
FIELD_LIMIT = 10_000_000  # characters
SHOWN = 10  # lines that are named in a message


class FileError(ValueError):
    """The file cannot be read as labelled tickets; says why."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """Rows of one or more files, in order."""

    titles: tuple[str, ...]
    texts: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...] | None  # None: no file has a column of groups
    notes: tuple[str, ...]  # what was read and what was left out
    types: tuple[BusinessType | None, ...] | None = None  # None: no file has a column of business types

    @property
    def whole(self) -> list[str]:
        """Title, line break and text of each row; a title that the text repeats at its beginning stands there once."""
        return [
            f"{title}\n{text.removeprefix(title)}" if title else text
            for title, text in zip(self.titles, self.texts, strict=True)
        ]


NOTHING = Labelled((), (), (), None, ())


def read(
    paths: Sequence[Path],
    *,
    text_columns: Sequence[str] = (),
    label_column: str | None = None,
    group_column: str | None = None,
    type_column: str | None = None,
    labels_wanted: bool = True,
) -> Labelled:
    """The rows of these files; columns not named are found by their usual names. Where labels are not wanted each row's
    is empty.

    Raises: FileError for a file that is missing, not UTF-8, not CSV, empty, or without such columns.
    """
    titles: list[str] = []
    texts: list[str] = []
    labels: list[str] = []
    groups: list[str] = []
    types: list[BusinessType | None] = []
    notes: list[str] = []
    grouped = False
    for path in paths:
        header, found = rows(path)
        wanted = tuple(text_columns) or next((each for each in TEXTS if set(each) <= set(header)), ())
        label = (label_column or next((name for name in LABELS if name in header), None)) if labels_wanted else ""
        group = group_column or next((name for name in GROUPS if name in header), None)
        kind = type_column or next((name for name in TYPES if name in header), None)
        missing = [name for name in (*wanted, label, group, kind) if name and name not in header]
        if missing or not wanted or label is None:
            sought = "text or label" if labels_wanted else "text"
            what = f"no column {', '.join(missing)}" if missing else f"no column of {sought} found by its name"
            options = "--text-columns, --label-column" if labels_wanted else "--text-columns"
            raise FileError(f"{path}: {what}; it has: {', '.join(header)}. Name them with {options}")
        left_out: list[int] = []
        for line, row in found:
            parts = [(row.get(name) or "").strip() for name in wanted]
            name = (row.get(label) or "").strip() if label else ""
            if not any(parts) or (labels_wanted and not name):
                left_out.append(line)
                continue
            titles.append(parts[0] if len(parts) > 1 else "")
            texts.append("\n".join(parts[1:] if len(parts) > 1 else parts))
            labels.append(name)
            key = (row.get(group) or "").strip() if group else ""
            groups.append(f"{path}:{key}" if key else f"{path}:line {line}")
            grouped = grouped or bool(key)
            types.append(NAMES.get((row.get(kind) or "").strip()) if kind else None)
        said = f", label from {label}" if label else ""
        notes.append(f"{path}: {len(found) - len(left_out)} rows, text from {'+'.join(wanted)}{said}")
        if left_out:
            some = ", ".join(map(str, left_out[:SHOWN])) + (" …" if len(left_out) > SHOWN else "")
            lacking = "text or label" if labels_wanted else "text"
            notes.append(f"{path}: {len(left_out)} rows without {lacking} left out (lines {some})")
    return Labelled(
        tuple(titles),
        tuple(texts),
        tuple(labels),
        tuple(groups) if grouped else None,
        tuple(notes),
        tuple(types) if any(types) else None,
    )


def rows(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The columns of a CSV file, and its rows by line. Raises FileError."""
    csv.field_size_limit(FIELD_LIMIT)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            found = [(reader.line_num, row) for row in reader]
            header = list(reader.fieldnames or [])
    except UnicodeDecodeError as error:
        raise FileError(f"{path}: not UTF-8 at byte {error.start}") from None
    except csv.Error as error:
        raise FileError(f"{path}, line {reader.line_num}: {error}") from None
    except OSError as error:
        raise FileError(f"{path}: {error.strerror}") from None
    if not found:
        raise FileError(f"{path}: has no rows below its header")
    return header, found
