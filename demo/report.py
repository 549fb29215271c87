"""What is printed at the end: the table of figures, the reconciliation, one ticket's timeline."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from demo.fact import Facts
from demo.measure import Measures, Spread
from demo.reconciliation import Result
from demo.story import interesting, story

KINDS = {"ticket": "tickets", "repeat": "repeats", "conflict": "under a number already taken", "bad": "unreadable"}
MOST_TOLD, MOST_WRITTEN = 10, 500  # tickets whose stories are printed, and written into the file


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


def balance(console: Console, facts: Facts, results: Sequence[Result], file: Path) -> bool:
    """The reconciliation, check by check; what does not add up with its tickets' stories. Whether it balances."""
    console.print("\n[bold]Reconciliation[/bold]")
    for result in results:
        mark = "[green]ok[/green]  " if not result.findings else "[red]BAD[/red] "
        count = f" [red]({len(result.findings)})[/red]" if result.findings else ""
        console.print(f"  {mark} {escape(result.check.name)}{count}")
    findings = [finding for result in results for finding in result.findings]
    tickets = list(dict.fromkeys(finding.ticket for finding in findings if finding.ticket))
    lines = [f"{finding.ticket or '-'}  {finding.text}" for finding in findings]
    told = {
        ticket: [f"{line.at:%H:%M:%S.%f}  {line.who}: {line.what}" for line in story(facts, ticket)]
        for ticket in tickets[:MOST_WRITTEN]
    }
    for line in lines[:50]:
        console.print(line, markup=False, soft_wrap=True, highlight=False)
    for ticket in tickets[:MOST_TOLD]:
        console.print(f"\n[bold]{ticket}[/bold]")
        timeline(console, facts, ticket)
    if findings:
        stories = [f"\n{ticket}\n" + "\n".join(way) for ticket, way in told.items()]
        file.write_text("\n".join([*lines, *stories]) + "\n", encoding="utf-8")
        console.print(f"\nall findings with their stories: {file}", soft_wrap=True, highlight=False)
        console.print(
            f"[bold red]It does not balance: {len(findings)} findings about {len(tickets)} tickets.[/bold red]"
        )
        return False
    sent, received, refused = len(facts.sent), len(facts.received), len(facts.refused)
    repeats = sent - received - refused
    console.print(
        f"[bold green]It balances: {sent} published = {received} tickets + {repeats} repeats + {refused} refused;"
        f" {len({event.key for event in facts.of('TicketClosed')})} tickets answered and closed.[/bold green]",
        soft_wrap=True,
    )
    return True


def example(console: Console, facts: Facts) -> None:
    """The most eventful ticket's timeline."""
    ticket = interesting(facts)
    if ticket:
        console.print(f"\n[bold]One ticket's way[/bold] ({ticket})")
        timeline(console, facts, ticket)


def timeline(console: Console, facts: Facts, ticket: str) -> None:
    """A ticket's story, seconds counted from its beginning."""
    lines = story(facts, ticket)
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for line in lines:
        since = (line.at - lines[0].at).total_seconds()
        table.add_row(f"+{since:.3f} s", escape(line.who), escape(line.what))
    console.print(table)


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
