"""`zhida sla_timer policy …`."""

from pathlib import Path

import click

from services.sla_timer import policy_file
from services.sla_timer.domain.policy import STARS, PolicyError


@click.group()
def group() -> None:
    """Commands of sla_timer alone."""


@group.group()
def policy() -> None:
    """The SLA policy: limits, warning points, who hears of them."""


@policy.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def check(file: Path) -> None:
    """Say what is wrong with a policy FILE, or what it says (exit code 1 when it is wrong)."""
    try:
        found = policy_file.load(file)
    except PolicyError as error:
        for place, reason in error.faults:
            click.echo(f"{file}: {place}: {reason}", err=True)
        raise SystemExit(1) from None
    click.echo(f"{file}: good. Policy {found.name}")
    for urgency in ("normal", "urgent"):
        for kind in ("accept", "first_contact"):
            click.echo(f"  {urgency:7} {kind:13} {_length(found.stage_limit(kind, urgency)[0])}")
        for sla_class in ("maintenance", "construction"):
            limits = [found.resolve_limit([star], sla_class, urgency)[0] for star in STARS]
            told = (f"{star} stars {_length(limit)}" for star, limit in zip(STARS, limits, strict=True))
            click.echo(f"  {urgency:7} resolve {sla_class}: {', '.join(told)}")
    click.echo(f"  always  ruling        {_length(found.ruling_limit()[0])}")
    if found.repeated:
        by = f", and by {', '.join(found.repeated.channels)}" if found.repeated.channels else ""
        click.echo(f"  from {found.repeated.since} earlier tickets on{by}: {found.repeated.percent} % of these")
    for point in found.warnings:
        click.echo(f"  {point.percent:3} % → {point.level}")
    click.echo(f"  interviewer: {found.interviewer}")


def _length(seconds: int) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
