"""`zhida reconcile`: looks at everything, prints the verdict. Exit code 0: it balances, 1: not, 2: cannot look."""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import click
import uvloop
from pydantic import SecretStr
from rich.console import Console

from libs.shared.kafka import connection
from libs.shared.settings import Settings, SettingsError, read
from reconcile import oracle, report
from reconcile.source import SERVICES, Sources, Unseen

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
INSTANT = click.DateTime(["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"])


class _Kafka(Settings):
    """Kafka alone: databases come by --database, or from the environment."""

    database_url: SecretStr = SecretStr("")


@click.command("reconcile")
@click.option(
    "--database",
    "databases",
    multiple=True,
    metavar="SERVICE=URL",
    help="A service's database; OWNER_DATABASE_URL or DATABASE_URL for those not named.",
)
@click.option("--ledger", "ledgers", type=FILE, multiple=True, help="What a load generator offered.")
@click.option("--receipts", type=FILE, multiple=True, help="A receiver's log.")
@click.option("--streams", type=FILE, multiple=True, help="What agents were shown.")
@click.option("--since", type=INSTANT, help="Only tickets born since then (UTC where no zone is given).")
@click.option("--until", type=INSTANT, help="Only tickets born before then.")
@click.option(
    "--settle",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="Seconds: tickets that moved since are left out, older work must be done. 0: everything must be at rest.",
)
@click.option("--closed", is_flag=True, help="Every ticket must be closed, nothing left to do.")
@click.option("--whole", is_flag=True, help="The files name everything that was offered, received and shown.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the database it worked in (SQLite).")
def command(
    *,
    databases: tuple[str, ...],
    ledgers: tuple[Path, ...],
    receipts: tuple[Path, ...],
    streams: tuple[Path, ...],
    since: datetime | None,
    until: datetime | None,
    settle: float,
    closed: bool,
    whole: bool,
    as_json: bool,
    keep: Path | None,
) -> None:
    """Hold every table, topic and file against each other: nothing lost, nothing doubled. Exit code 0: so it is."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    try:
        found = Sources(
            databases=_databases(databases),
            kafka=connection(read(_Kafka)),
            ledgers=ledgers,
            receipts=receipts,
            streams=streams,
            since=since and _utc(since),
            until=until and _utc(until),
            settle=settle,
            closed=closed,
            whole=whole,
            scratch=keep,
        )
        verdict = uvloop.run(oracle.reconcile(found))
    except (Unseen, SettingsError) as error:
        click.echo(f"reconcile: {error}", err=True)
        sys.exit(2)
    if as_json:
        click.echo(json.dumps(report.plain(verdict), ensure_ascii=False, indent=1))
    else:
        report.show(console, verdict)
        report.books(console, verdict)
        report.verdict(console, verdict)
    sys.exit(0 if verdict.balances else 1)


def _databases(named: tuple[str, ...]) -> dict[str, str]:
    """Service → address. Raises Unseen where one is neither named nor in the environment."""
    usual = os.environ.get("OWNER_DATABASE_URL") or os.environ.get("DATABASE_URL")
    found = dict.fromkeys(SERVICES, usual) if usual else {}
    for each in named:
        service, _, url = each.partition("=")
        if service not in SERVICES or not url:
            raise Unseen(f"--database {service}: SERVICE=URL, with one of {', '.join(SERVICES)}")
        found[service] = url
    missing = [service for service in SERVICES if service not in found]
    if missing:
        raise Unseen(f"no database for {', '.join(missing)}: name it (--database), or set OWNER_DATABASE_URL")
    return {service: url for service, url in found.items() if url}


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
