"""`zhida classification hot-events …`."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from services.classification.domain import topic
from services.classification.domain.rule import RepeatRule
from services.classification.domain.text import Reading
from services.classification.domain.topic import Said
from services.classification.labelled import FileError
from services.classification.messages import Columns, read
from services.classification.show import topic_lines


@click.command("hot-events")
@click.argument("path", metavar="FILE.csv", type=click.Path(path_type=Path))
@click.option("--text-columns", default="", help="One column, or title and text: title,body.")
@click.option("--time-column", help="When each was written.")
@click.option("--likes-column", help="How many people like it.")
@click.option("--customer-column", help="Who wrote it; repeats are looked for where it is there.")
@click.option("--most", default=10, show_default=True, type=click.IntRange(1, 1000), help="How many are shown.")
@click.option("--json", "as_json", is_flag=True, help="All of their messages, by line, as JSON on standard output.")
def hot_events(path: Path, text_columns: str, most: int, *, as_json: bool, **columns: str | None) -> None:
    """The hottest matters of a file of messages, and who repeats what; without a database.

    Messages that say the same make one matter, whenever they were written; people and likes make its heat.
    """
    texts = [name.strip() for name in text_columns.split(",") if name.strip()]
    chosen = {name.removesuffix("_column"): value for name, value in columns.items()}
    try:
        messages, note = read(path, Columns(text=texts, **chosen))
    except FileError as error:
        raise click.ClickException(str(error)) from None
    click.echo(note, err=True)
    readings = [Reading.of(each.title, each.text) for each in messages]
    said = [Said(each.title, each.text, each.at, each.likes, each.customer) for each in messages]
    topics = topic.hottest(said, readings, most)
    repeats = topic.repeats(said, readings, RepeatRule())
    lines = [each.line for each in messages]
    if as_json:
        plain = [asdict(each) | {"messages": sorted(lines[place] for place in each.messages)} for each in topics]
        pairs = [[lines[place], lines[first]] for place, first in repeats]
        click.echo(json.dumps({"hottest": plain, "repeats": pairs}, ensure_ascii=False))
    else:
        click.echo("\n".join(topic_lines(topics, repeats, messages)))
