"""`zhida classification forecast …`."""

import click

from libs.shared.service import Running
from services.classification import outlook
from services.classification.commands.run import with_running
from services.classification.domain.forecast import Grievances
from services.classification.domain.matrix import Situation
from services.classification.outlook import Desk, Load


@click.group()
def forecast() -> None:
    """What is to be expected, by what is usual: tickets and agents by the hour, grievances of the coming week."""


@forecast.command("load")
@click.argument("place")
@click.option("--category", help="Only of that category of the matrix.")
@click.option("--hours", default=24, show_default=True, type=click.IntRange(1, outlook.LONGEST))
@click.option("--handling-seconds", default=300.0, show_default=True, type=click.FloatRange(1, 86_400))
@click.option("--within-seconds", default=20.0, show_default=True, type=click.FloatRange(0, 3600))
@click.option("--share", default=0.8, show_default=True, type=click.FloatRange(0, 0.999, min_open=True))
@click.option("--calls-per-ticket", default=1.0, show_default=True, type=click.FloatRange(1, 100))
def load(place: str, category: str | None, hours: int, **desk: float) -> None:
    """Tickets expected below PLACE (the beginning of area codes), and the agents it takes, hour by hour."""
    if not (place.isdecimal() and place.isascii() and 2 <= len(place) <= 12):
        raise click.BadParameter("is to be 2 to 12 digits", param_hint="PLACE")

    async def found(running: Running) -> Load:
        return await outlook.load(running, place, category, hours, Desk(**desk))

    try:
        click.echo("\n".join(outlook.lines(with_running(found))))
    except ValueError as error:
        raise click.ClickException(f"{error} would be needed") from None


@forecast.command("grievances")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
def grievances(limit: int) -> None:
    """Grievances expected in the seven days from today on, by situation, against the last seven; ! is rising."""

    async def found(running: Running) -> list[tuple[Situation | None, Grievances]]:
        return await outlook.grievances(running, limit)

    for situation, each in with_running(found):
        name = situation.name if situation else "(not in the matrix in force)"
        mark = "!" if each.rising else " "
        click.echo(f"{mark} {each.situation:8} {each.expected:8.1f}  {each.change:+8.1f}  {name}")
