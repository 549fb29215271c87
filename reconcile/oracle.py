"""The oracle: gathers everything known of a run into a book, then judges it, check by check."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconcile import file, inbox, story, table, topic
from reconcile.book import SERVICE_CODES, Book, micros, packed, shown
from reconcile.check import CHECKS, Check, Finding
from reconcile.source import Sources
from reconcile.story import Line
from reconcile.topic import Window

MOST_FINDINGS = 100  # told of one check; all are counted
MOST_STORIES = 50  # tickets whose whole story is told

SETTLED = "SELECT min(at) FROM look"
MOVING = """
    INSERT INTO moving SELECT ticket FROM said WHERE at > :then UNION SELECT ticket FROM pending WHERE at > :then"""
TOTALS = """
    SELECT s.service, i.records, i.new, i.duplicate, i.dead, i.parked, i.skipped,
        (SELECT coalesce(sum(version), 0) FROM drawn d WHERE d.source = s.service),
        (SELECT count(*) FROM said WHERE source = s.service AND line = 0),
        (SELECT count(*) FROM pending p WHERE p.source = s.service),
        (SELECT coalesce(sum(copies - 1), 0) FROM said WHERE source = s.service AND line = 0)
    FROM look s LEFT JOIN intake_of i ON i.service = s.service ORDER BY s.service"""
COUNTS = {
    "offers": "SELECT count(*) FROM offer",
    "tickets": "SELECT count(*) FROM ticket",
    "refused": "SELECT count(*) FROM refused",
    "classified": "SELECT count(*) FROM judged WHERE state = 'classified'",
    "work orders": "SELECT count(*) FROM work_order",
    "webhooks": "SELECT count(*) FROM delivery",
    "receipts": "SELECT count(*) FROM hook",
    "clocks": "SELECT count(*) FROM clock",
    "notices": "SELECT count(*) FROM notice",
    "shown": "SELECT count(DISTINCT agent || ' ' || number) FROM shown",
    "closed": "SELECT count(*) FROM dispatched WHERE state = 'closed'",
    "moving": "SELECT count(*) FROM moving",
}


@dataclass(frozen=True, slots=True)
class Result:
    """What one check found: how many findings, and the first of them."""

    check: Check
    count: int
    findings: tuple[Finding, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Account:
    """A service's own books. In: records = new + duplicate + dead + parked + skipped; out: written = sent + pending."""

    service: str
    records: int
    new: int
    duplicate: int
    dead: int
    parked: int
    skipped: int
    written: int
    sent: int
    pending: int
    sent_again: int


@dataclass(frozen=True)
class Report:
    """The verdict."""

    results: tuple[Result, ...]
    accounts: tuple[Account, ...]
    counts: Mapping[str, int]
    stories: Mapping[str, Sequence[Line]]  # by ticket, in text

    @property
    def balances(self) -> bool:
        """Whether nothing contradicts anything."""
        return not any(result.count for result in self.results)

    @property
    def findings(self) -> list[Finding]:
        """Everything that was found and is told."""
        return [finding for result in self.results for finding in result.findings]

    @property
    def failed(self) -> dict[str, int]:
        """Checks that found something, with how much."""
        return {result.check.name: result.count for result in self.results if result.count}


async def reconcile(sources: Sources) -> Report:
    """Look at everything, and judge it. Raises Unseen."""
    book = await gather(sources)
    try:
        return await judge(book, sources)
    finally:
        book.close()


async def gather(sources: Sources) -> Book:
    """Everything known of a run; whoever calls closes it. Raises Unseen."""
    book = Book(sources.scratch)
    try:
        window = Window(micros(sources.since), micros(sources.until))
        await asyncio.to_thread(file.gather, book, sources, window)
        inboxes = await table.gather(book, sources, window)  # before the topics, so that what they tell of is there
        heard = await topic.gather(book, sources.kafka, window)
        for service, ids in inboxes.items():
            await asyncio.to_thread(inbox.compare, book, service, heard, ids)
        await asyncio.to_thread(book.index)
    except BaseException:
        book.close()
        raise
    return book


async def judge(book: Book, sources: Sources, checks: Sequence[Check] = CHECKS) -> Report:
    """Run the checks over a book, and tell the stories of the tickets that something is wrong with."""
    values = _values(book, sources)
    results = tuple([await asyncio.to_thread(_run, book, check, values) for check in checks])
    tickets = list(dict.fromkeys(each.ticket for result in results for each in result.findings if each.ticket))
    stories = await story.tell(book, sources.kafka, tickets[:MOST_STORIES]) if tickets else {}
    return Report(results, tuple(_accounts(book)), {name: book.one(sql) for name, sql in COUNTS.items()}, stories)


def _values(book: Book, sources: Sources) -> dict[str, int]:
    settle = round(sources.settle * 1_000_000)
    now = book.one(SETTLED) or 0
    if settle:
        book.rows("DELETE FROM moving")
        book.rows(MOVING, then=now - settle)
    windowless = sources.since is None and sources.until is None
    return {
        "whole": int(sources.whole),
        "closed": int(sources.closed),
        "windowless": int(windowless),
        "until": int(sources.until is not None),
        "settle": settle,
        "now": now,
    }


def _run(book: Book, check: Check, values: Mapping[str, int]) -> Result:
    """Everything a check finds, but of tickets that have moved too lately."""
    began = time.monotonic()
    moving = bool(values["settle"]) and bool(book.one("SELECT 1 FROM moving LIMIT 1"))
    count, findings = 0, list[Finding]()
    for ticket, text in book.rows(f"SELECT ticket, text FROM (SELECT NULL AS ticket, NULL AS text WHERE 0 UNION ALL"
                                  f" SELECT * FROM ({check.query}))", **values):  # fmt: skip
        if moving and ticket is not None and book.one("SELECT 1 FROM moving WHERE ticket = :key", key=_key(ticket)):
            continue
        count += 1
        if len(findings) < MOST_FINDINGS:
            findings.append(Finding(shown(ticket), str(text)))
    return Result(check, count, tuple(findings), time.monotonic() - began)


def _key(ticket: Any) -> Any:
    return packed(ticket) if isinstance(ticket, str) and len(ticket) == 36 else ticket


def _accounts(book: Book) -> Iterator[Account]:
    names = {code: name for name, code in SERVICE_CODES.items()}
    for code, *figures in book.rows(TOTALS):
        yield Account(names[code], *(figure or 0 for figure in figures))
