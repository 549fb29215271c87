"""What files say: ledgers of what was offered, the receivers' logs, what agents were shown."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from reconcile import ledger
from reconcile.book import TOPIC_CODES, Book, micros, packed
from reconcile.source import Sources, Unseen
from reconcile.topic import Window

OFFERED = "INSERT INTO offer (ledger, id, reference, key, expect, at) VALUES (?, ?, ?, ?, ?, ?)"
ANSWERED = "UPDATE offer SET status = ?, ticket = ? WHERE ledger = ? AND id = ?"
PUBLISHED = "UPDATE offer SET partition = ?, place = ? WHERE ledger = ? AND id = ?"


def gather(book: Book, sources: Sources, window: Window) -> None:
    """All files into the book. Raises Unseen naming the file, or the field that is missing."""
    try:
        for number, path in enumerate(sources.ledgers):
            for entry in ledger.read([path]):
                _offer(book, number, entry, window)
        book.add("hook", (_hook(each) for each in ledger.read(sources.receipts) if _heard(each, "webhook", window)))
        book.add("call", (_call(each) for each in ledger.read(sources.receipts) if _heard(each, "call", window)))
        book.add("shown", _shown(sources, window))
        book.add(
            "followed",
            ((each["agent"], each["number"]) for each in ledger.read(sources.streams) if each["what"] == "opened"),
        )
    except (OSError, ValueError) as error:
        raise Unseen(str(error)) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise Unseen(f"a file holds an entry that is not one of ours: {type(error).__name__} {error}") from error


def _offer(book: Book, number: int, entry: Mapping[str, Any], window: Window) -> None:
    match entry["what"]:
        case "offered":
            at = _at(entry["at"])
            if (window.since or 0) <= at and (window.until is None or at < window.until):
                values = (number, entry["id"], entry["reference"], entry["key"], entry["expect"], at)
                book.database.execute(OFFERED, values)
        case "answered":
            found = (entry["status"], packed(entry["ticket_id"]), number, entry["id"])
            book.database.execute(ANSWERED, found)
        case "published":
            book.database.execute(PUBLISHED, (entry["partition"], entry["offset"], number, entry["id"]))
        case "planted":
            book.add("planted", [(TOPIC_CODES.get(entry["topic"]), entry["partition"], entry["offset"])])


def _heard(entry: Mapping[str, Any], event: str, window: Window) -> bool:
    ticket = entry["ticket_id"]
    return (entry["event"] == "webhook") == (event == "webhook") and (
        window.holds(packed(ticket) or "") if ticket else window.holds("")
    )


def _hook(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    return (
        _id(entry["webhook_id"]), entry["department"], entry["type"] or "", packed(entry["ticket_id"]),
        packed(entry["work_order_id"]), _at(entry["received_at"]), entry["status"], int(entry["duplicate"]),
    )  # fmt: skip


def _call(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    return (
        entry["department"], entry["call"], packed(entry["ticket_id"]), packed(entry["work_order_id"]),
        _at(entry["sent_at"]), entry["status"], entry["key"],
    )  # fmt: skip


def _shown(sources: Sources, window: Window) -> Iterator[tuple[Any, ...]]:
    for entry in ledger.read(sources.streams):
        if entry["what"] == "shown" and window.holds(ticket := packed(entry["ticket_id"]) or b""):
            id_ = packed(entry["notification_id"])
            yield entry["agent"], entry["number"], id_, entry["kind"], ticket, _at(entry["at"])


def _id(text: str) -> bytes | str:
    """A webhook-id: one of ours as its bytes, any other as it is."""
    try:
        return packed(text) or text
    except ValueError:
        return text


def _at(text: str) -> int:
    found = micros(datetime.fromisoformat(text).astimezone(UTC))
    assert found is not None
    return found
