"""The `zhida` command: `zhida <service> <command>` is all an operator needs in a container."""

import importlib
import importlib.util
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace as changed
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import uvloop
from pydantic import SecretStr
from sqlalchemy import text

from libs.operate import asyncapi, retention, schema, topics
from libs.shared import dead, keys, replay, run, telemetry
from libs.shared.db import Poison
from libs.shared.kafka import accept_offset
from libs.shared.service import Running, Service
from libs.shared.settings import Settings, SettingsError, read

OUTBOX = text("SELECT count(*) AS pending, min(occurred_at) AS oldest FROM outbox")
BESIDE = {"reconcile": "reconcile.command"}  # commands that no service has → module with `command`
HELD = 3  # exit code of `retain`
FENCES = text("SELECT topic, partition, next_offset, stopped FROM fence ORDER BY topic, partition")


def main() -> None:
    """Entry point of the console script; a wrong setting is one clear line."""
    try:
        zhida()
    except SettingsError as error:
        raise SystemExit(f"zhida: settings: {error}") from None


class _Services(click.Group):
    """Finds the group of a service when it is asked for, so that one service's start loads no other."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *run.service_names(), *BESIDE]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in run.service_names():
            return _group(run.load(cmd_name))
        if cmd_name in BESIDE:
            found: click.Command = importlib.import_module(BESIDE[cmd_name]).command
            return found
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Services)
def zhida() -> None:
    """Zhida: work orders straight to the department that can fix them."""


@zhida.group(name="topics")
def topics_group() -> None:
    """Kafka topics."""


@topics_group.command("apply")
@click.option("--file", "path", type=click.Path(path_type=Path), default=Path("deploy/topics.toml"), show_default=True)
@click.option("--profile", envvar="ZHIDA_TOPICS_PROFILE", default="production", show_default=True)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
def topics_apply(path: Path, profile: str, dry_run: bool) -> None:
    """Make missing topics and report drift; refuses to change partition counts."""
    settings = read(TopicSettings)
    try:
        lines = uvloop.run(topics.apply(settings, topics.load(path, profile), dry_run=dry_run))
    except topics.TopicsError as error:
        raise click.ClickException(str(error)) from None
    click.echo("\n".join(lines) or "all topics are as they should be")


class TopicSettings(Settings):
    """Topics need Kafka only."""

    database_url: SecretStr = SecretStr("")


@zhida.command("asyncapi")
@click.option("--out", type=click.Path(path_type=Path), default=Path("docs/asyncapi.yaml"), show_default=True)
def write_asyncapi(out: Path) -> None:
    """Write the AsyncAPI 3 document of all topics."""
    services = [run.load(name) for name in run.service_names()]
    out.write_text(asyncapi.document(services), encoding="utf-8")
    click.echo(f"wrote {out}")


def _group(service: Service) -> click.Group:
    group = click.Group(service.name, help=f"The {service.name} service.")

    def settings() -> Settings:
        return read(service.settings)

    def with_running(work: Callable[[Running], Awaitable[Any]], *, handlers: bool = False) -> Any:
        """Work on the service's tables; with `handlers`, its resources are opened too."""

        async def inside() -> Any:
            bare = service if handlers else changed(service, opens=None)
            async with Running(bare, settings()).opened() as running:
                return await work(running)

        telemetry.start(settings(), service.name)
        try:
            return uvloop.run(inside())
        except Poison as error:
            raise click.ClickException(str(error)) from None

    @group.command("run")
    def run_service() -> None:
        """Run one process of the service until SIGTERM."""
        found = settings()
        telemetry.start(found, service.name)
        uvloop.run(run.serve(service, found))

    @group.command("migrate")
    def migrate() -> None:
        """Bring the schema up to date (owner role)."""
        uvloop.run(schema.migrate(service, settings()))
        click.echo(f"{service.name}: schema is up to date")

    @group.command("retain")
    @click.option("--dry-run", is_flag=True, help="Only say what would be dropped, and what is held.")
    def retain(dry_run: bool) -> None:
        """Daily job: make partitions ahead, drop what is past its age (owner role).

        Exit code 0: all that is past its age is gone; 3: something open holds some of it, and is named.
        """
        report = uvloop.run(retention.retain(service, settings(), dry_run=dry_run))
        click.echo(json.dumps(report.shown(), indent=1))
        if report.held:
            raise SystemExit(HELD)

    @group.command("settings")
    def show_settings() -> None:
        """Print the settings as read, with secrets hidden."""
        found = settings()
        for name in type(found).model_fields:
            click.echo(f"{name} = {getattr(found, name)!s}")

    @group.command("openapi")
    @click.option("--out", type=click.Path(path_type=Path), help="Default: docs/openapi/<service>.yaml")
    def openapi(out: Path | None) -> None:
        """Write the OpenAPI 3.1 document."""
        target = out or Path(f"docs/openapi/{service.name}.yaml")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(asyncapi.openapi(service), encoding="utf-8")
        click.echo(f"wrote {target}")

    @group.command("resume")
    def resume() -> None:
        """Let a consumer go on that stopped because too much had to be buried."""
        rows = with_running(lambda running: running.read(dead.RESUME))
        click.echo(f"resumed; it had stopped because: {rows[0].reason}" if rows else "it had not stopped")

    _keys(group, with_running)
    _dead(group, with_running)
    _positions(group, with_running)
    own = f"services.{service.name}.commands"
    if importlib.util.find_spec(own):
        for name, each in importlib.import_module(own).group.commands.items():
            group.add_command(each, name)
    return group


def _keys(group: click.Group, with_running: Callable[..., Any]) -> None:
    @group.group("keys")
    def keys_group() -> None:
        """API keys of this service."""

    @keys_group.command("create")
    @click.option("--principal", required=True, help="Who uses it: an agent, a department's code, a platform.")
    @click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice(keys.SCOPES))
    @click.option("--days", type=click.IntRange(1, 3650), help="Days until it expires; never where left out.")
    def create(principal: str, scopes: tuple[str, ...], days: int | None) -> None:
        """Make a key and print it: the only time it can be read."""
        expires = datetime.now(UTC) + timedelta(days) if days else None
        click.echo(with_running(lambda running: keys.create(running, principal, list(scopes), expires)))

    @keys_group.command("list")
    def list_keys() -> None:
        """List keys, without their secrets."""
        for row in with_running(lambda running: running.read(keys.LIST)):
            state = (
                "revoked" if row.revoked_at else "expires " + row.expires_at.isoformat() if row.expires_at else "valid"
            )
            click.echo(f"{row.prefix}  {row.principal}  {','.join(row.scopes)}  {state}")

    @keys_group.command("revoke")
    @click.argument("prefix")
    def revoke(prefix: str) -> None:
        """Revoke a key; it stops working within 5 seconds."""
        if not with_running(lambda running: running.read(keys.REVOKE, prefix=prefix)):
            raise click.ClickException(f"there is no valid key {prefix}")
        click.echo(f"revoked {prefix}")


def _dead(group: click.Group, with_running: Callable[..., Any]) -> None:
    @group.group("dead")
    def dead_group() -> None:
        """Buried events, and those parked behind them."""

    @dead_group.command("list")
    @click.option("--key", help="Only this ticket.")
    @click.option("--parked", is_flag=True, help="Also what is parked.")
    @click.option("--after", type=int, default=0, help="Only ids above this.")
    @click.option("--limit", type=click.IntRange(1, 1000), default=100)
    def list_dead(key: str | None, parked: bool, after: int, limit: int) -> None:
        """List buried events with their reasons."""
        rows = with_running(lambda r: r.read(dead.LIST, key=key, parked=parked, after=after, limit=limit))
        for row in rows:
            click.echo(
                f"{row.id}  {row.type}  {row.topic}/{row.partition}@{row.offset}  {row.key}  {row.error or 'parked'}"
            )

    @dead_group.command("replay")
    @click.option("--key", help="A ticket: all of its buried and parked events, in order.")
    @click.option("--id", "id_", type=int, help="One buried event, and what is parked behind it.")
    def replay_dead(key: str | None, id_: int | None) -> None:
        """Handle buried events again."""
        if (key is None) == (id_ is None):
            raise click.UsageError("give either --key or --id")
        click.echo(f"replayed {with_running(lambda running: replay.replay(running, key=key, id=id_), handlers=True)}")

    @dead_group.command("discard")
    @click.argument("id_", metavar="ID", type=int)
    @click.confirmation_option(prompt="The event is given up for good. Go on?")
    def discard(id_: int) -> None:
        """Give one buried event up, and replay what was parked behind it."""
        click.echo(f"discarded; replayed {with_running(lambda running: replay.discard(running, id_), handlers=True)}")


def _positions(group: click.Group, with_running: Callable[..., Any]) -> None:
    @group.command("outbox")
    def outbox() -> None:
        """How many events wait to be sent, and since when."""
        [row] = with_running(lambda running: running.read(OUTBOX))
        click.echo(f"{row.pending} pending" + (f", the oldest from {row.oldest.isoformat()}" if row.oldest else ""))

    @group.group("offsets")
    def offsets() -> None:
        """How far each partition was handled."""

    @offsets.command("list")
    def list_offsets() -> None:
        """List positions, and why a partition is stopped."""
        for row in with_running(lambda running: running.read(FENCES)):
            click.echo(f"{row.topic}/{row.partition}  {row.next_offset}  {row.stopped or ''}")

    @offsets.command("accept")
    @click.option("--topic", required=True)
    @click.option("--partition", type=click.IntRange(min=0), help="All stopped partitions of the topic where left out.")
    @click.option("--at", default="earliest", show_default=True, help="earliest, latest or an offset.")
    def accept(topic: str, partition: int | None, at: str) -> None:
        """Go on with a stopped partition from there, whatever was in between."""
        if at not in {"earliest", "latest"} and not at.isdigit():
            raise click.UsageError("--at: earliest, latest or an offset")
        lines = with_running(lambda running: accept_offset(running, topic, partition, at))
        click.echo("\n".join(lines) or "no partition of this topic is stopped")
