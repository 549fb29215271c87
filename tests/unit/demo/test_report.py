"""What the demo prints: progress in plain lines, the balance, and every finding with its ticket's story."""

from dataclasses import replace
from io import StringIO
from pathlib import Path

from rich.console import Console

from demo import measure, report
from demo.fact import Kind
from demo.progress import Show
from demo.publisher import Publisher, Record
from demo.reconciliation import reconcile
from demo.watch import Standing
from tests.unit.demo.run_of_one_ticket import TICKET, facts


def console() -> Console:
    return Console(file=StringIO(), width=140)


def told(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_run_that_balances_says_so_in_one_line(tmp_path: Path) -> None:
    run, out = facts(), console()
    assert report.balance(out, run, reconcile(run), tmp_path / "findings.txt")
    assert "It balances: 3 published = 1 tickets + 1 repeats + 1 refused; 1 tickets answered and closed." in told(out)
    assert not (tmp_path / "findings.txt").exists()


def test_what_does_not_balance_is_told_with_the_tickets_story(tmp_path: Path) -> None:
    run = replace(facts(), seen=())
    out = console()
    assert not report.balance(out, run, reconcile(run), tmp_path / "findings.txt")
    assert "BAD" in told(out)
    assert f"{TICKET}  TicketAnswered came 0 times to the screen of A1" in told(out)
    assert "received: 停电" in told(out)
    assert "It does not balance" in told(out)
    written = (tmp_path / "findings.txt").read_text(encoding="utf-8")
    assert str(TICKET) in written
    assert "received: 停电" in written


def test_the_table_names_every_figure() -> None:
    out = console()
    report.figures(out, measure.measure(facts()))
    for name in ("published", "refused", "work orders", "returned", "answer → screen", "hand-overs a ticket", "clocks"):
        assert name in told(out)


def test_without_a_terminal_progress_is_plain_lines() -> None:
    out = console()
    with Show(out, records=5, tickets=3) as show:
        show.update(5, Standing(received=3, orders=4), screens=2)
    assert told(out).startswith("published 5/5  received 3")
    assert "\x1b" not in told(out)


def test_open_tickets_are_those_published_without_repeats_refused_and_closed_ones() -> None:
    kinds: tuple[Kind, ...] = ("ticket", "repeat", "bad", "ticket", "ticket", "repeat")
    publisher = Publisher("", [Record(kind, kind, b"") for kind in kinds], rate=1, count=5)
    assert publisher.open(closed=1, refused=1) == 2
