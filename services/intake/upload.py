"""Hands the rows of a CSV file in over HTTP, a batch at a time, and can go on where it was stopped.

What a crash leaves: a journal beside the user's state that says how many rows were answered, and the file of refused
rows up to there. The batch that was under way is sent again under its old Idempotency-Key, so nothing is doubled.

Errors:
    UploadError     the import cannot go on; says why, and whether running it again helps
"""

import csv
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from uuid import uuid4

import httpx

from services.intake.domain.columns import Columns

MOST_BYTES = 900_000  # of one request; intake takes 1 MB
TRIES = 9  # of one batch, some two minutes
Row = tuple[int, dict[str, str]]  # line of the file, column → text


class UploadError(Exception):
    """The import cannot go on."""


@dataclass(frozen=True)
class Sheet:
    """A CSV file that was looked through once."""

    path: Path
    encoding: str
    header: tuple[str, ...]
    count: int  # rows
    digest: str  # SHA-256 of its bytes

    def rows(self) -> Iterator[Row]:
        """Its rows. Bytes that the encoding does not know become lone surrogates, which intake refuses by name."""
        with _opened(self.path, self.encoding) as file:
            reader = csv.DictReader(file, restkey="_more", restval="")
            for row in reader:
                yield reader.line_num, {column: str(value or "") for column, value in row.items() if column}


def look(path: Path, encoding: str) -> Sheet:
    """Read a file's header and count its rows. Raises UploadError where it is no CSV file with a header."""
    csv.field_size_limit(10_000_000)
    digest = hashlib.sha256()
    try:
        with path.open("rb") as raw:
            while block := raw.read(1 << 20):
                digest.update(block)
        with _opened(path, encoding) as file:
            reader = csv.reader(file)
            header = next(reader, [])
            count = sum(1 for row in reader if row)
    except (OSError, csv.Error) as error:
        raise UploadError(f"{path}: {error}") from None
    if not any(column.strip() for column in header):
        raise UploadError(f"{path}: the first line must name the columns")
    if twice := next((column for column in header if column and header.count(column) > 1), None):
        raise UploadError(f"{path}: two columns are named {twice!r}")
    if any("\udc80" <= character <= "\udcff" for column in header for character in column):
        raise UploadError(f"{path}: the first line is not {encoding}; try --encoding gb18030 or utf-8")
    return Sheet(path, encoding, tuple(header), count, digest.hexdigest())


@dataclass(frozen=True)
class Tally:
    """How far an import is."""

    run: str = field(default_factory=lambda: uuid4().hex)
    done: int = 0  # rows answered
    created: int = 0
    existing: int = 0
    refused: int = 0
    rejected_size: int = 0  # bytes of the file of refused rows


class Journal:
    """Remembers a tally between runs, for one file, mapping and address."""

    def __init__(self, folder: Path, *what: str) -> None:
        self.path = folder / f"{hashlib.sha256(chr(0).join(what).encode()).hexdigest()[:24]}.json"

    def read(self) -> Tally | None:
        """Where an earlier run was stopped, if one was."""
        try:
            return Tally(**json.loads(self.path.read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise UploadError(f"{self.path} is damaged ({error}); remove it to begin again") from None

    def write(self, tally: Tally) -> None:
        """Remember; a crash leaves the old or the new one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(tally)))
        os.replace(fresh, self.path)

    def forget(self) -> None:
        """The import is complete."""
        self.path.unlink(missing_ok=True)


class Rejects:
    """The file of refused rows: their own columns, their line, and the reasons. Made with the first of them."""

    def __init__(self, path: Path, header: Sequence[str], size: int) -> None:
        self.path = path
        self._header = [*header, "_line", "_errors"]
        self._file: IO[str] | None = None
        try:
            if size:
                os.truncate(path, size)
            elif path.exists() and path.stat().st_size:
                with path.open(encoding="utf-8", errors="replace") as earlier:
                    if not earlier.readline().rstrip().endswith("_line,_errors"):
                        raise UploadError(f"{path} is there already and is none of ours: name another file")
                path.unlink()
        except OSError as error:
            raise UploadError(f"{path}: {error.strerror}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._file:
            self._file.close()

    def add(self, rows: Sequence[tuple[Row, str]]) -> int:
        """Append rows with their reasons; gives the file's size, which is on disk."""
        if rows and self._file is None:
            self._file = self.path.open("a", encoding="utf-8", errors="backslashreplace", newline="")
            if not self.path.stat().st_size:
                self._file.write("\ufeff")  # spreadsheet programs take it for UTF-8 by this
                csv.writer(self._file).writerow(self._header)
        if self._file is None:
            return self.path.stat().st_size if self.path.exists() else 0
        writer = csv.DictWriter(self._file, self._header, extrasaction="ignore")
        for (line, row), reasons in rows:
            writer.writerow({**row, "_line": line, "_errors": reasons})
        self._file.flush()
        os.fsync(self._file.fileno())
        return os.fstat(self._file.fileno()).st_size


def send(
    sheet: Sheet,
    columns: Columns,
    client: httpx.Client,
    journal: Journal,
    rejected: Path,
    *,
    batch: int,
    report: Callable[[Tally], None],
    tries: int = TRIES,
) -> Tally:
    """Hand in every row that was not yet answered; gives the final tally, and forgets the journal.

    Raises: UploadError, with the journal kept.
    """
    tally = journal.read() or Tally()
    journal.write(tally)
    with Rejects(rejected, sheet.header, tally.rejected_size) as rejects:
        for rows, body, unsendable in _batches(sheet, columns, tally.done, batch):
            results = _post(client, f"import-{tally.run}-{tally.done}", body, tries) if body else []
            refused = [*unsendable]
            for row, result in zip(rows, results, strict=True):
                if result["status"] != 202:
                    refused.append((row, _reasons(result, columns)))
            refused.sort(key=lambda each: each[0][0])
            tally = replace(
                tally,
                done=tally.done + len(rows) + len(unsendable),
                created=tally.created + sum(bool(result.get("created")) for result in results),
                existing=tally.existing + sum(result.get("created") is False for result in results),
                refused=tally.refused + len(refused),
                rejected_size=rejects.add(refused),
            )
            journal.write(tally)
            report(tally)
    journal.forget()
    return tally


def _batches(
    sheet: Sheet, columns: Columns, skip: int, most: int
) -> Iterator[tuple[list[Row], bytes, list[tuple[Row, str]]]]:
    """Rows from `skip` on in requests of at most so many rows and bytes, with those too large for any."""
    rows: list[Row] = []
    bodies: list[bytes] = []
    unsendable: list[tuple[Row, str]] = []
    size = 0
    for number, row in enumerate(sheet.rows()):
        if number < skip:
            continue
        if "_more" in row[1]:
            unsendable.append((row, "the row has more cells than the first line has columns"))
            continue
        body = _encoded(columns.ticket(row[1]))
        if len(body) > MOST_BYTES:
            unsendable.append((row, f"the row has {len(body)} bytes; at most {MOST_BYTES} can be sent"))
            continue
        if rows and (len(rows) == most or size + len(body) > MOST_BYTES):
            yield rows, b"[" + b",".join(bodies) + b"]", unsendable
            rows, bodies, unsendable, size = [], [], [], 0
        rows.append(row)
        bodies.append(body)
        size += len(body) + 1
    if rows or unsendable:
        yield rows, b"[" + b",".join(bodies) + b"]" if bodies else b"", unsendable


def _post(client: httpx.Client, key: str, body: bytes, tries: int) -> list[dict[str, Any]]:
    """The result of each ticket of a batch; asks again, under the same key, while intake cannot answer."""
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    for attempt in range(tries):
        if attempt:
            time.sleep(min(0.25 * 2**attempt, 30))
        try:
            answer = client.post("/v1/tickets", content=body, headers=headers)
        except httpx.TransportError as error:
            reason = f"{type(error).__name__}: {error}"
            continue
        if answer.status_code in (202, 207):
            results: list[dict[str, Any]] = answer.json()["results"]
            return results
        reason = _problem(answer)
        if answer.status_code < 500 and answer.status_code not in (409, 429):
            raise UploadError(f"{client.base_url} refused the import: {reason}")
    raise UploadError(f"{client.base_url} does not answer ({reason}); run the same command again to go on")


def _problem(answer: httpx.Response) -> str:
    try:
        body = answer.json()
        return f"{answer.status_code} {body['title']}: {body.get('detail', '')}"
    except (ValueError, KeyError):
        return f"{answer.status_code}"


def _reasons(result: dict[str, Any], columns: Columns) -> str:
    reasons = []
    for error in result["errors"]:
        name = error["field"].removeprefix(f"tickets.{result['index']}").lstrip(".")
        column = columns.column_of(name)
        reasons.append(f"{name}{f' (column {column})' if column else ''}: {error['reason']}")
    return "; ".join(reasons)


def _encoded(ticket: dict[str, Any]) -> bytes:
    try:
        return json.dumps(ticket, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(ticket).encode()


def _opened(path: Path, encoding: str) -> IO[str]:
    codec = "utf-8-sig" if encoding == "utf-8" else encoding
    return path.open(encoding=codec, errors="surrogateescape", newline="")
