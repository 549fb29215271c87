"""Where the tickets come from: a CSV file whose columns are recognised by name, as `zhida intake import` does."""

import csv
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from services.intake.domain.columns import Columns, combine

CHANNEL = "12345"  # where the file names none: the government hotline
AGENTS = tuple(f"C{number:02}" for number in range(1, 13))  # who take the calls where the file names nobody
ENCODINGS = ("utf-8-sig", "gb18030")


class SourceError(ValueError):
    """A file that holds no tickets."""


def read(path: Path, limit: int | None = None) -> list[dict[str, Any]]:
    """The file's rows as tickets to hand in, at most `limit`; each is taken as made now, whatever time it names.

    Raises: SourceError.
    """
    header, rows = _table(path)
    columns = Columns(combine(header, ()), ZoneInfo("Asia/Shanghai"), constants={"channel": CHANNEL})
    if columns.column_of("text") is None:
        raise SourceError(f"{path}: no column holds the request's text; there are {', '.join(header)}")
    tickets = []
    for number, row in enumerate(rows[:limit]):
        ticket = columns.ticket(row)
        ticket.pop("opened_at", None)
        if columns.column_of("agent_id") is None:
            ticket["agent_id"] = AGENTS[number % len(AGENTS)]
        tickets.append(ticket)
    if not tickets:
        raise SourceError(f"{path}: holds no row")
    return tickets


def _table(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    csv.field_size_limit(10_000_000)
    for encoding in ENCODINGS:
        try:
            with path.open(encoding=encoding, newline="") as file:
                reader = csv.DictReader(file, restkey="_more", restval="")
                rows = [{name: str(value or "") for name, value in row.items() if name} for row in reader]
                return list(reader.fieldnames or ()), rows
        except UnicodeDecodeError:
            continue
        except (OSError, csv.Error) as error:
            raise SourceError(f"{path}: {error}") from None
    raise SourceError(f"{path}: neither UTF-8 nor GB 18030")
