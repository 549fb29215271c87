"""What the demo prints: progress in plain lines, the balance, and every finding with its ticket's story."""

from io import StringIO
from pathlib import Path

from rich.console import Console

from demo import measure, report
from demo.progress import Show
from demo.publisher import Kind, Publisher, Record
from demo.watch import Standing
from reconcile import Ledger, Report, judge
from tests.unit.reconcile.run_of_one_ticket import SOURCES, TICKET, Run, a_run


def console() -> Console:
    return Console(file=StringIO(), width=140)


def told(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


async def judged(run: Run) -> Report:
    book = run.book()
    found = await judge(book, SOURCES)
    book.close()
    return found


async def test_a_run_that_balances_says_so_in_one_line(tmp_path: Path) -> None:
    out = console()
    assert report.balance(out, await judged(a_run()), tmp_path / "findings.txt")
    assert "It balances: 3 published = 1 tickets + 1 repeats + 1 refused; 1 tickets answered and closed." in told(out)
    assert not (tmp_path / "findings.txt").exists()


async def test_what_does_not_balance_is_told_with_the_tickets_story(tmp_path: Path) -> None:
    run, out = a_run(), console()
    run.tables["shown"] = []
    assert not report.balance(out, await judged(run), tmp_path / "findings.txt")
    assert "BAD" in told(out)
    assert f"{TICKET}  TicketAnswered came 0 times to the screen of A1" in told(out)
    assert "webhook work_order.assigned, answered 500" in told(out)
    assert "It does not balance" in told(out)
    written = (tmp_path / "findings.txt").read_text(encoding="utf-8")
    assert str(TICKET) in written
    assert "webhook work_order.assigned, answered 500" in written


def test_the_table_names_every_figure() -> None:
    out, book = console(), a_run().book()
    report.figures(out, measure.measure(book, {"ticket": 1}))
    for name in ("published", "refused", "work orders", "returned", "answer → screen", "hand-overs a ticket", "clocks"):
        assert name in told(out)
    book.close()


async def test_the_most_eventful_ticket_is_shown() -> None:
    out, book = console(), a_run().book()
    await report.example(out, book, SOURCES)
    assert f"One ticket's way ({TICKET})" in told(out)
    book.close()


async def test_without_any_turn_some_ticket_is_shown_and_of_no_ticket_none() -> None:
    run = a_run()
    run.said = [each for each in run.said if each.type not in report.EVENTFUL]
    book = run.book()
    assert report.interesting(book) == str(TICKET)
    book.database.execute("DELETE FROM ticket")
    assert report.interesting(book) is None
    book.close()


def test_without_a_terminal_progress_is_plain_lines() -> None:
    out = console()
    with Show(out, records=5, tickets=3) as show:
        show.update(5, Standing(received=3, orders=4), screens=2)
    assert told(out).startswith("published 5/5  received 3")
    assert "\x1b" not in told(out)


def test_open_tickets_are_those_published_without_repeats_refused_and_closed_ones(tmp_path: Path) -> None:
    kinds: tuple[Kind, ...] = ("ticket", "repeat", "bad", "ticket", "ticket", "repeat")
    records = [Record(kind, kind, b"") for kind in kinds]
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        assert Publisher("", records, rate=1, ledger=ledger, count=5).open(closed=1, refused=1) == 2
