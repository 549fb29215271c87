"""The command zhida-receiver: verify a delivery, try a receiver, serve one at once, simulate departments."""

import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import click
from aiohttp import web

from zhida_receiver import signature, trial
from zhida_receiver.app import receiver
from zhida_receiver.department import Department
from zhida_receiver.key import KeyFile, read_keys
from zhida_receiver.receipt import Receipts
from zhida_receiver.screen import Screen
from zhida_receiver.signature import TOLERANCE, DeliveryUnverified, Keys, KeyUnreadable
from zhida_receiver.simulation import plan as plans
from zhida_receiver.simulation.run import simulate as play

_FILE = click.Path(path_type=Path, dir_okay=False)
_keys_option = click.option("--key", "keys", multiple=True, help="A key; may be given several times.")
_keys_file_option = click.option("--keys-file", type=_FILE, help="Keys, one a line.")


@click.group()
@click.version_option(package_name="zhida-receiver")
def main() -> None:
    """For departments that work with Zhida. 各部门接入直达用的工具。"""
    logging.basicConfig(format="%(levelname)s %(message)s")


@main.command()
@click.option("--headers", required=True, type=click.File("rb"), help='Lines "name: value"; - is standard input.')
@click.option("--body", required=True, type=click.File("rb"), help="The body byte for byte; - is standard input.")
@_keys_option
@_keys_file_option
@click.option("--any-time", is_flag=True, help="Do not look at the age: for a delivery captured earlier.")
def verify(headers: BinaryIO, body: BinaryIO, keys: tuple[str, ...], keys_file: Path | None, any_time: bool) -> None:
    """Say whether a captured delivery is genuine, or why not.

    Exit code: 0 genuine, 1 not genuine, 2 used wrongly.
    """
    trusted = Keys(_given(keys, keys_file))
    pairs = [line.split(":", 1) for line in headers.read().decode("latin-1").splitlines() if ":" in line]
    found = {name.strip().lower(): value.strip() for name, value in pairs}
    try:
        delivery = trusted.verify(body.read(), found, tolerance=None if any_time else TOLERANCE)
    except DeliveryUnverified as error:
        click.echo(f"not genuine: {error}")
        sys.exit(1)
    click.echo(f"genuine: {delivery.id}, signed {delivery.timestamp:%Y-%m-%d %H:%M:%S} UTC, scheme {delivery.scheme}")


@main.command()
@click.option("--pair", is_flag=True, help="An ed25519 pair instead of a shared secret.")
def key(pair: bool) -> None:
    """Print a new key, for trying things before Zhida has given you yours."""
    for line in signature.new_key_pair() if pair else (signature.new_secret(),):
        click.echo(line)


@main.command("try")
@click.argument("url")
@_keys_option
@_keys_file_option
def attempt(url: str, keys: tuple[str, ...], keys_file: Path | None) -> None:
    """Send a receiver at URL what it must take and what it must refuse, and say how it did.

    Sign with the key that the receiver trusts: whsec_…, or the whsk_… that belongs to its whpk_….
    """
    signing = _given(keys, keys_file)
    for one in signing:
        if one.startswith("whpk_"):
            raise click.UsageError("a public key cannot sign: give the whsk_… that belongs to it")
    if not asyncio.run(_tried(url, signing)):
        sys.exit(1)


async def _tried(url: str, keys: Sequence[str]) -> bool:
    good = True
    async for finding in trial.attempt(url, keys):
        click.echo(f"{'ok  ' if finding.good else 'BAD '} {finding.name}: {finding.seen}")
        good = good and finding.good
    return good


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=9000, show_default=True, help="0 takes any free one.")
@_keys_option
@click.option("--keys-file", type=_FILE, help="Keys, one a line; read again whenever it changes.")
@click.option("--receipts", type=_FILE, default=Path("receipts.db"), show_default=True, help="What was dealt with.")
@click.option("--auto-accept", is_flag=True, help="Accept each work order; needs --dispatch and --api-key-file.")
@click.option("--dispatch", help="Base URL of Zhida's dispatch service.")
@click.option("--api-key-file", type=_FILE, help="Holds this department's API key.")
def serve(
    *,
    host: str,
    port: int,
    keys: tuple[str, ...],
    keys_file: Path | None,
    receipts: Path,
    auto_accept: bool,
    dispatch: str | None,
    api_key_file: Path | None,
) -> None:
    """Receive webhooks at /webhooks, show each once, accept work orders if told to. Ends with Ctrl-C."""
    if bool(keys) == (keys_file is not None):
        raise click.UsageError("give either --key or --keys-file")
    if auto_accept and not (dispatch and api_key_file):
        raise click.UsageError("--auto-accept needs --dispatch and --api-key-file")
    try:
        trusted = KeyFile(keys_file) if keys_file else Keys(keys)
    except KeyUnreadable as error:
        raise click.UsageError(str(error)) from None
    caller = Department(dispatch, _text(api_key_file)) if auto_accept and dispatch and api_key_file else None
    try:
        asyncio.run(_serve(host, port, trusted, receipts, caller))
    except OSError as error:  # the port is taken, say
        raise click.ClickException(str(error)) from None


async def _serve(host: str, port: int, keys: Keys | KeyFile, receipts: Path, caller: Department | None) -> None:
    async with AsyncExitStack() as stack:
        kept = stack.enter_context(Receipts(receipts))
        if caller is not None:
            await stack.enter_async_context(caller)
        runner = web.AppRunner(receiver(Screen(click.echo, caller).take, keys, kept), access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, host, port).start()
        click.echo(f"listening on http://{host}:{runner.addresses[0][1]}/webhooks, {kept.count()} receipts kept so far")
        await _told_to_stop().wait()


@main.command()
@click.option("--config", required=True, type=_FILE, help="The plan, JSON; see the README.")
@click.option("--seed", type=int, help="Instead of the plan's.")
def simulate(config: Path, seed: int | None) -> None:
    """Play the departments of a plan until SIGTERM or Ctrl-C, then say in one line what happened."""
    try:
        plan = plans.read(config)
        plan = plan if seed is None else replace(plan, seed=seed)
        summary = asyncio.run(_simulate(plan))
    except (plans.PlanUnreadable, KeyUnreadable, OSError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"zhida-receiver: {summary}")


async def _simulate(plan: plans.Plan) -> object:
    return await play(plan, _told_to_stop(), click.echo)


def _told_to_stop() -> asyncio.Event:
    """Set by SIGTERM or Ctrl-C."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _given(keys: Sequence[str], keys_file: Path | None) -> list[str]:
    try:
        found = [*keys, *(read_keys(keys_file) if keys_file else ())]
        Keys(found)
    except KeyUnreadable as error:
        raise click.UsageError(str(error)) from None
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise click.UsageError(str(error)) from None
