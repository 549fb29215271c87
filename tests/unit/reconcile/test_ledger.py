"""A ledger outlives its writer, and a line torn in the middle is nobody's."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from reconcile import Ledger, Screens, Sources, Unseen, file, ledger
from reconcile.book import Book
from reconcile.topic import Window

TICKET = UUID("019f0000-0000-7000-8000-000000000001")
OFFERS = "SELECT id, reference, key, expect, status, uuid(ticket), partition, place FROM offer ORDER BY ledger, id"


@contextmanager
def read(*ledgers: Path, receipts: Sequence[Path] = (), streams: Sequence[Path] = ()) -> Iterator[Book]:
    with Book() as book:
        file.gather(book, Sources({}, {}, ledgers=ledgers, receipts=receipts, streams=streams), Window())
        yield book


def test_what_was_written_is_read_back_with_its_outcome(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as book:
        first = book.offered("95598|1", "key-1")
        second = book.offered("95598|2", expect="refused")
        book.answered(first, 202, TICKET)
        book.published(second, 3, 77)
        book.unknown(book.offered("95598|3"))
        book.planted("zhida.tickets.v1", 1, 5)
    with read(path) as found:
        assert list(found.rows(OFFERS)) == [
            (0, "95598|1", "key-1", "ticket", 202, str(TICKET), None, None),
            (1, "95598|2", None, "refused", None, None, 3, 77),
            (2, "95598|3", None, "ticket", None, None, None, None),
        ]
        assert list(found.rows("SELECT topic(topic), partition, place FROM planted")) == [("zhida.tickets.v1", 1, 5)]


def test_a_torn_last_line_is_passed_over_and_cut_off_by_the_next_writer(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as book:
        book.offered("95598|1")
    with path.open("ab") as torn:
        torn.write(b'{"what": "offe')
    assert len(list(ledger.read([path]))) == 1
    with Ledger(path) as book:
        assert book.offered("95598|2") == 1
    assert [entry["reference"] for entry in ledger.read([path])] == ["95598|1", "95598|2"]


def test_a_writer_that_was_killed_before_its_first_line_ended_leaves_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b'{"what"' * 20_000)
    with Ledger(path):
        assert path.read_bytes() == b""


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"what": "unknown", "id": 0}\n[1]\n{}\n')
    with pytest.raises(Unseen, match=r"ledger\.jsonl, line 2: not a JSON object"):
        read(path).__enter__()


def test_an_entry_that_is_not_ours_is_named(tmp_path: Path) -> None:
    path = tmp_path / "receipts.jsonl"
    path.write_text('{"event": "webhook"}\n')
    with pytest.raises(Unseen, match="'ticket_id'"):
        read(receipts=[path]).__enter__()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unseen, match=r"none\.jsonl"):
        read(tmp_path / "none.jsonl").__enter__()


def test_screens_hold_what_was_shown_and_from_where_they_were_followed(tmp_path: Path) -> None:
    path = tmp_path / "screens.jsonl"
    with Screens(path) as screens:
        screens.opened("A1", 4)
        screens.shown("A1", 5, UUID(int=9), "ticket_answered", TICKET)
    with read(streams=[path]) as found:
        assert list(found.rows("SELECT agent, number FROM followed")) == [("A1", 4)]
        assert list(found.rows("SELECT agent, number, uuid(id), uuid(ticket) FROM shown")) == [
            ("A1", 5, str(UUID(int=9)), str(TICKET))
        ]


def test_a_window_keeps_to_what_was_offered_and_shown_within_it(tmp_path: Path) -> None:
    path, screens_path = tmp_path / "ledger.jsonl", tmp_path / "screens.jsonl"
    with Ledger(path) as book, Screens(screens_path) as screens:
        book.offered("95598|1")
        screens.shown("A1", 1, UUID(int=9), "ticket_answered", TICKET)
    later = round((datetime.now(UTC) + timedelta(hours=1)).timestamp() * 1e6)
    with Book() as found:
        file.gather(found, Sources({}, {}, ledgers=[path], streams=[screens_path]), Window(since=later))
        assert found.one("SELECT count(*) FROM offer") == 0
        assert found.one("SELECT count(*) FROM shown") == (1 if int.from_bytes(TICKET.bytes[:6]) * 1000 >= later else 0)
