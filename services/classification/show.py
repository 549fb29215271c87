"""How the commands print a matrix, a report, a comparison and hot topics."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from services.classification.beside import Beside
from services.classification.domain.claim import Heard
from services.classification.domain.evaluation import Comparison, Evaluation
from services.classification.domain.matrix import Matrix
from services.classification.domain.score import Report
from services.classification.domain.topic import Topic
from services.classification.messages import Message

MOST = 20  # kinds of change that are named
MOST_CONFUSED = 10  # pairs of labels
MOST_TEXT = 200  # characters of a cell
MOST_MESSAGES = 5  # of a topic, and repeats
_number = re.compile(r"\d{7,}")  # may name a person


def matrix_lines(matrix: Matrix, full: bool) -> Iterator[str]:
    """The matrix as an outline: classes, categories, and with `full` every situation with who answers for it."""
    categories = {situation.category for situation in matrix.situations}
    leads = sum(department.role == "lead" for department in matrix.departments)
    yield f"{matrix.version}  {matrix.title}"
    yield (
        f"{len({s.path[0] for s in matrix.situations})} classes, {len(categories)} categories, "
        f"{len(matrix.situations)} situations, {leads} leading departments, "
        f"{len(matrix.departments) - leads} executing ones"
    )
    above: tuple[str, ...] = ()
    for situation in matrix.situations:
        for level, name in enumerate(situation.path):
            if above[: level + 1] != situation.path[: level + 1]:
                yield "  " * (level + 1) + name + (f"  [{situation.category}]" if level == 2 else "")
        above = situation.path
        if full:
            names = [matrix.department_by_code[code].name for code in situation.executing]
            lead = matrix.department_by_code[situation.lead].name
            yield f"        {situation.code}  {situation.name}: {lead} → {'、'.join(names)}  {situation.sla_class}"


def report_lines(report: Report) -> Iterator[str]:
    """Accuracy, F1 per label, accuracy at coverage, calibration, confusion."""
    figures = f"accuracy {report.accuracy:.4f}  macro-F1 {report.macro_f1:.4f}  log loss {report.log_loss:.4f}"
    yield f"{report.rows} rows  {figures}"
    yield "precision  recall      F1    rows  label"
    for each in report.labels:
        yield f"{each.precision:9.4f}  {each.recall:.4f}  {each.f1:.4f}  {each.rows:6}  {each.label}"
    yield "coverage  accuracy  least probability"
    for share, accuracy, least in report.coverage:
        yield f"{share:8.0%}  {accuracy:8.4f}  {least:17.4f}"
    yield f"says    is right    rows   calibration error {report.calibration_error:.4f}"
    for said, right, rows in report.calibration:
        yield f"{said:6.1%}  {right:8.1%}  {rows:6}"
    yield "taken for another most often:"
    for label, said_label, rows in report.confusion[:MOST_CONFUSED]:
        yield f"{rows:6}  {label} → {said_label}"


def evaluation_lines(evaluation: Evaluation) -> Iterator[str]:
    """The report, what goes without a person, and speed."""
    yield from report_lines(evaluation.report)
    share, right = evaluation.sure
    yield f"without a person: {share:.1%} of the tickets, {right:.2%} of them right"
    if pair := evaluation.pair:
        yield (
            f"{pair.rows} rows with a business type: type right {pair.type:.2%}, label and type {pair.pair:.2%}, "
            f"calibration error {pair.calibration_error:.4f}"
        )
    yield f"{evaluation.milliseconds:.3f} ms of processor time a ticket"


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """How a new model stands against the one in force."""
    where = (
        f"on {comparison.rows} rows that neither had seen"
        if comparison.rows
        else "each cross-validated on its own rows"
    )
    yield f"macro-F1 {comparison.new:.4f}, the model in force {comparison.old:.4f}, {where}"


def outcome_lines(outcome: Mapping[str, Any]) -> Iterator[str]:
    """What a draft would change (`Outcome.plain()`): sums, departments against departments, and the situations with the
    most tickets.
    """
    yield f"{outcome['before']} → {outcome['after']}: {outcome['tickets']} tickets"
    for name, what in (
        ("elsewhere", "would go to other executing departments"),
        ("other_lead", "would have another lead department"),
        ("other_clocks", "would have other clocks"),
        ("more_reviews", "would wait for a person, and do not now"),
        ("fewer_reviews", "would not wait for a person any more"),
    ):
        count = outcome[name]
        some = f"   such as {', '.join(outcome['examples'][name])}" if count else ""
        yield f"{count:8} {count / max(outcome['tickets'], 1):6.1%}  {what}{some}"
    table = {(before, after): count for before, after, count in outcome["table"]}
    rows = list(dict.fromkeys(before for before, _ in table))
    columns = list(dict.fromkeys(after for _, after in table))
    if rows:
        width = max(map(len, rows))
        yield f"{'now ↓ then →':{width}}" + "".join(f"  {name:>8}" for name in columns)
        for row in rows:
            counts = [(table.get((row, column), 0), max(len(column), 8)) for column in columns]
            yield f"{row:{width}}" + "".join(f"  {count or '.':>{wide}}" for count, wide in counts)
    for old, new, count in outcome["situations"][:MOST]:
        yield f"{count:8}  {old} → {new}   such as {', '.join(outcome['examples'][f'{old} → {new}'])}"
    if len(outcome["situations"]) > MOST:
        yield f"          and {len(outcome['situations']) - MOST} kinds more"


def difference_lines(differences: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Cell by cell, what stood there and what stands there now."""
    for each in differences:
        place = " ".join(part for part in (each["kind"], each["code"], each["cell"]) if part)
        if each["cell"]:
            yield f"{place}: {_short(each['before'])} → {_short(each['after'])}"
        else:
            yield f"{place}: " + ("added" if each["before"] is None else "removed")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}…"


def heard_lines(heard: Heard) -> Iterator[str]:
    """Which situations claim the same tickets, which take the most, which none."""
    yield f"{len(heard.claims)} pairs of situations with different routes claim the same of {heard.tickets} tickets"
    for each in heard.claims[:MOST]:
        one, other = each.situations
        yield f"{each.tickets:8}  {one} '{each.phrases[0]}' and {other} '{each.phrases[1]}'   such as {each.example}"
    if len(heard.claims) > MOST:
        yield f"          and {len(heard.claims) - MOST} pairs more"
    yield f"{heard.silent} tickets hold no phrase; situations that speak loudest in the most of the others:"
    for taken in heard.taken[:MOST]:
        yield f"{taken.tickets:8}  {taken.situation}   '{taken.phrase}' in {taken.by_phrase}"
    yield f"{len(heard.never)} situations in none: {', '.join(heard.never)}"


def agreement_lines(found: Beside) -> Iterator[str]:
    """The shadow beside what is in force."""
    result = found.agreement
    share = result.agreed / max(1, result.tickets)
    yield f"in force: {found.model_version or 'the matrix alone'}   shadow: {found.shadow_version}"
    yield f"{result.tickets} tickets, {share:.1%} sent the same way"
    yield f"mean probability: in force {result.probability:.4f}, shadow {result.shadow_probability:.4f}"
    yield "tickets  leading department: in force → shadow"
    for active, shadow, tickets in result.leads[:MOST]:
        yield f"{tickets:7}  {active} → {shadow}"
    right = result.right
    yield (
        f"{right.tickets} decided by a person: both right {right.both}, only in force {right.active}, "
        f"only shadow {right.shadow}, neither {right.neither}"
    )


def topic_lines(
    topics: Sequence[Topic], repeats: Sequence[tuple[int, int]], messages: Sequence[Message]
) -> Iterator[str]:
    """The hottest topics with some of their messages, and what was repeated; long numbers are masked."""

    def line(place: int) -> str:
        message = messages[place]
        at = f"{message.at:%Y-%m-%d}  " if message.at else ""
        return f"line {message.line:<6} {at}{_shown(message.title or message.text)}"

    for rank, each in enumerate(topics, 1):
        dates = sorted(at for place in each.messages if (at := messages[place].at))
        span = f"  {dates[0]:%Y-%m-%d} to {dates[-1]:%Y-%m-%d}" if dates else ""
        yield (
            f"{rank:3}. {_shown(each.title)}   heat {each.heat:.1f}: {len(each.messages)} messages of {each.people}"
            f" people, {each.likes} likes{span}"
        )
        yield from (f"       {line(place)}" for place in each.messages[:MOST_MESSAGES])
        if len(each.messages) > MOST_MESSAGES:
            yield f"       and {len(each.messages) - MOST_MESSAGES} more"
    chains = Counter(first for _, first in repeats)
    yield f"{len(repeats)} messages repeat an earlier one of the same customer, in {len(chains)} chains; the longest:"
    yield from (f"{count:8}  {line(first)}" for first, count in chains.most_common(MOST_MESSAGES))


def _shown(text: str) -> str:
    return _number.sub("*", " ".join(text.split()))[:60]
