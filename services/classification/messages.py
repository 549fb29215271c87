"""Files of messages with their times and likes (CSV), for trying repeats and hot events on them without a database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from services.classification import labelled
from services.classification.labelled import SHOWN, TEXTS, FileError

TIMES = ("created_at", "opened_at", "received_at", "time", "date")
LIKES = ("likes", "like_count", "votes")
CUSTOMERS = ("customer_id", "user_id", "customer", "user")


@dataclass(frozen=True, slots=True)
class Message:
    """A row."""

    line: int
    title: str
    text: str
    at: datetime | None
    likes: int
    customer: str | None


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns to read; what is not named is looked for by its usual names."""

    text: Sequence[str] = ()
    time: str | None = None
    likes: str | None = None
    customer: str | None = None


def read(path: Path, columns: Columns) -> tuple[list[Message], str]:
    """The rows of a file in the order of their times, and what was read. Times without a zone are taken for UTC.

    Raises: FileError for a file that cannot be read, has no such columns, or cells that are no times or numbers.
    """
    header, rows = labelled.rows(path)
    texts = tuple(columns.text) or next((each for each in TEXTS if set(each) <= set(header)), ())
    named = {
        "time": columns.time or next((name for name in TIMES if name in header), None),
        "likes": columns.likes or next((name for name in LIKES if name in header), None),
        "customer": columns.customer or next((name for name in CUSTOMERS if name in header), None),
    }
    missing = [name for name in (*texts, *named.values()) if name and name not in header]
    if missing or not texts:
        what = f"no column {', '.join(missing)}" if missing else "no column of text found by its name"
        options = "--text-columns, --time-column, --likes-column, --customer-column"
        raise FileError(f"{path}: {what}; it has: {', '.join(header)}. Name them with {options}")
    found: list[Message] = []
    wrong: list[str] = []
    for line, row in rows:
        cell = {kind: (row.get(name) or "").strip() if name else "" for kind, name in named.items()}
        parts = [(row.get(name) or "").strip() for name in texts]
        if any(parts):
            try:
                at = _time(cell["time"]) if cell["time"] else None
                likes = int(cell["likes"] or 0)
            except ValueError as error:
                wrong.append(f"line {line}: {error}")
                continue
            title = parts[0] if len(parts) > 1 else ""
            body = "\n".join(parts[1:] if len(parts) > 1 else parts)
            found.append(Message(line, title, body, at, max(likes, 0), cell["customer"] or None))
    if wrong or not found:
        reasons = "\n  ".join(wrong[:SHOWN]) if wrong else "no row has a text"
        raise FileError(f"{path} cannot be used:\n  {reasons}" + (" …" if len(wrong) > SHOWN else ""))
    said = ", ".join(f"{kind} from {name}" for kind, name in named.items() if name)
    found.sort(key=lambda each: (each.at or datetime.min.replace(tzinfo=UTC), each.line))
    return found, f"{path}: {len(found)} rows, text from {'+'.join(texts)}{f', {said}' if said else ''}"


def _time(text: str) -> datetime:
    """A time as files have it: 2026-07-06 10:00:00, 2026/7/6 10:00. Raises ValueError."""
    day, _, clock = text.replace("/", "-").replace("T", " ").partition(" ")
    whole = "-".join(part.zfill(2) for part in day.split("-"))
    at = datetime.fromisoformat(f"{whole} {clock.zfill(5) if clock.find(':') == 1 else clock}".strip())
    return at if at.tzinfo else at.replace(tzinfo=UTC)
