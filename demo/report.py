"""What is printed at the end: the table of figures, the reconciliation, one ticket's timeline."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from demo.measure import Measures, Spread
from reconcile import Report, Sources
from reconcile.book import Book, shown
from reconcile.report import show, timeline, verdict
from reconcile.story import tell

KINDS = {"ticket": "tickets", "repeat": "repeats", "conflict": "under a number already taken", "bad": "unreadable"}
EVENTFUL = {"ReturnRuled": 5, "QuestionAnswered": 4, "TicketReopened": 3, "ReviewRequested": 2, "ClockWarned": 1}


def figures(console: Console, found: Measures) -> None:
    """The table."""
    table = Table(title="What happened", title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    kinds = ", ".join(f"{found.published.get(kind, 0)} {word}" for kind, word in KINDS.items())
    persons = found.deciders.get("person", 0)
    machine = ", ".join(f"{found.deciders[by]} by the {by}" for by in ("model", "matrix") if found.deciders.get(by))
    _row(table, "published", sum(found.published.values()), kinds)
    _row(table, "refused", found.refused, "answered on zhida.tickets.rejected.v1")
    _row(table, "repeats", found.repeats, "the same ticket again: nothing happens twice")
    _row(table, "received", found.received)
    _row(table, "classified", sum(found.deciders.values()), machine)
    _row(table, "reviewed", found.reviews, f"{persons} decided by a person")
    _row(table, "work orders", found.orders)
    _row(
        table,
        "delivered by webhook",
        found.delivered,
        f"{found.copies} attempts at webhooks of all kinds, {found.failures} in vain",
    )
    _row(table, "left to the list", found.inbox, "the webhook could not arrive in time")
    _row(table, "returned", found.returned, f"{found.upheld} upheld, {found.returned - found.upheld} rejected")
    _row(table, "questions", found.questions, f"{found.replies} replies")
    _row(table, "answers of departments", found.order_answers)
    _row(table, "answers to tickets", found.ticket_answers, f"{found.reopened} tickets reopened")
    _row(table, "on agents' screens", found.screens)
    _row(table, "closed", found.closed)
    _row(table, "ticket → webhook", _p50(found.to_webhook), _p99(found.to_webhook, "without those a person looked at"))
    _row(table, "answer → screen", _p50(found.to_screen), _p99(found.to_screen, ""))
    hops = found.hops
    if hops.tickets:
        ours, linear = hops.ours / hops.tickets, hops.linear / hops.tickets
        less = f"linear flow {linear:.2f}: {1 - hops.ours / hops.linear:.0%} fewer ({hops.linear - hops.ours} in all)"
        _row(table, "hand-overs a ticket", f"{ours:.2f}", less)
    clocks = found.clocks
    ends = ", ".join(f"{clocks[name]} {name}" for name in ("met", "missed", "cancelled") if clocks.get(name))
    _row(
        table,
        "clocks started",
        clocks["started"],
        f"{clocks['warned']} warnings, {clocks['breached']} breaches; {ends}",
    )
    _row(table, "events", found.events, f"{found.redelivered} of them twice on a topic, dropped by their readers")
    console.print(table)


def balance(console: Console, report: Report, file: Path) -> bool:
    """The reconciliation, check by check; what does not add up with its tickets' stories. Whether it balances."""
    show(console, report, file)
    if not report.balances:
        verdict(console, report)
        return False
    sent, received, refused = (report.counts[name] for name in ("offers", "tickets", "refused"))
    console.print(
        f"[bold green]It balances: {sent} published = {received} tickets + {sent - received - refused} repeats"
        f" + {refused} refused; {report.counts['closed']} tickets answered and closed.[/bold green]",
        soft_wrap=True,
    )
    return True


async def example(console: Console, book: Book, sources: Sources) -> None:
    """The most eventful ticket's timeline."""
    ticket = interesting(book)
    if ticket:
        console.print(f"\n[bold]One ticket's way[/bold] ({ticket})")
        timeline(console, (await tell(book, sources.kafka, [ticket]))[ticket])


def interesting(book: Book) -> str | None:
    """The ticket with the most kinds of turns in its way; its id in text."""
    kinds = ", ".join(f"(:{name}, {weight})" for name, weight in EVENTFUL.items())
    found = book.one(
        f"""WITH turn (type, weight) AS (VALUES {kinds}),
        turns AS (SELECT DISTINCT s.ticket, s.type FROM said s JOIN ticket t ON t.ticket = s.ticket)
        SELECT s.ticket FROM turns s LEFT JOIN turn t ON t.type = s.type
        GROUP BY s.ticket ORDER BY coalesce(sum(t.weight), 0) DESC, s.ticket LIMIT 1"""
    )
    return shown(found)


def _row(table: Table, name: str, value: int | str, note: str = "") -> None:
    table.add_row(name, f"{value:,}" if isinstance(value, int) else value, note)


def _p50(spread: Spread | None) -> str:
    return f"{_time(spread.p50)}" if spread else "-"


def _p99(spread: Spread | None, note: str) -> str:
    if spread is None:
        return "nothing to measure"
    return f"p50; p99 {_time(spread.p99)}, longest {_time(spread.most)}" + (f"; {note}" if note else "")


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
