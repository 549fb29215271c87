"""How the verdict is told: check by check, every violation with its ticket's story, the services' books; or as JSON."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from reconcile.oracle import Report
from reconcile.story import Line

MOST_LINES, MOST_TOLD = 50, 10  # findings printed, and tickets whose stories are; a file takes all that are known
COLUMNS = ("records", "new", "duplicate", "dead", "parked", "skipped", "written", "sent", "pending", "sent_again")


def show(console: Console, report: Report, file: Path | None = None) -> None:
    """Print it. `file`: where findings are kept with their stories, if there are any."""
    console.print("\n[bold]Reconciliation[/bold]")
    for result in report.results:
        mark = "[green]ok[/green]  " if not result.count else "[red]BAD[/red] "
        count = f" [red]({result.count})[/red]" if result.count else ""
        console.print(f"  {mark} {escape(result.check.name)}{count}", soft_wrap=True)
    lines = [str(finding) for finding in report.findings]
    for line in lines[:MOST_LINES]:
        console.print(line, markup=False, soft_wrap=True, highlight=False)
    if len(lines) > MOST_LINES:
        console.print(f"… and {sum(report.failed.values()) - MOST_LINES} more", markup=False)
    for ticket, story in list(report.stories.items())[:MOST_TOLD]:
        console.print(f"\n[bold]{ticket}[/bold]")
        timeline(console, story)
    if lines and file:
        stories = [f"\n{ticket}\n" + "\n".join(map(_plain, story)) for ticket, story in report.stories.items()]
        file.write_text("\n".join([*lines, *stories]) + "\n", encoding="utf-8")
        console.print(f"\nall findings with their stories: {file}", soft_wrap=True, highlight=False)


def verdict(console: Console, report: Report) -> None:
    """The last line."""
    if report.balances:
        console.print("[bold green]It balances.[/bold green]")
    else:
        about = len({finding.ticket for finding in report.findings if finding.ticket})
        count = sum(report.failed.values())
        console.print(f"[bold red]It does not balance: {count} findings, {about} tickets told of.[/bold red]")


def books(console: Console, report: Report) -> None:
    """What was counted, and each service's own books."""
    counts = ", ".join(f"{number:,} {name}" for name, number in report.counts.items() if number)
    console.print(f"\n{counts or 'nothing was found anywhere'}", soft_wrap=True, highlight=False)
    table = Table(title="records in = new + duplicate + dead + parked + skipped; written = sent + pending",
                  title_justify="left", box=None, pad_edge=False)  # fmt: skip
    table.add_column("service", style="bold")
    for name in COLUMNS:
        table.add_column(name.replace("_", " "), justify="right")
    for account in report.accounts:
        table.add_row(account.service, *(f"{getattr(account, name):,}" for name in COLUMNS))
    console.print(table)


def timeline(console: Console, lines: Sequence[Line]) -> None:
    """A ticket's story, seconds counted from its beginning."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for line in lines:
        since = (line.at - lines[0].at).total_seconds()
        table.add_row(f"+{since:.3f} s", escape(line.who), escape(line.what))
    console.print(table)


def plain(report: Report) -> Mapping[str, Any]:
    """The verdict as JSON-able values."""
    return {
        "balances": report.balances,
        "checks": [
            {
                "name": result.check.name,
                "count": result.count,
                "seconds": round(result.seconds, 3),
                "findings": [{"ticket": each.ticket, "text": each.text} for each in result.findings],
            }
            for result in report.results
        ],
        "services": {
            account.service: {name: getattr(account, name) for name in COLUMNS} for account in report.accounts
        },
        "counts": dict(report.counts),
        "stories": {
            ticket: [{"at": line.at.isoformat(), "who": line.who, "what": line.what} for line in story]
            for ticket, story in report.stories.items()
        },
    }


def _plain(line: Line) -> str:
    return f"{line.at:%H:%M:%S.%f}  {line.who}: {line.what}"
