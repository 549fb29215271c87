"""The tickets a storm brings: the demo's, as often as one likes, each time of another customer at another address."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from demo import source
from libs.shared.contracts.intake import Ticket
from services.classification import packs
from services.classification.domain import pack
from services.classification.domain.classifier import Classifier, Verdict
from services.intake.domain.draft import Draft
from services.intake.domain.submission import check

TICKETS = Path(source.__file__).parent / "tickets.csv"
PACK = "power_95598"
HOLE, HOUSE = "@@reference@@", "@@number@@"
HOLE_, HOUSE_ = HOLE.encode(), HOUSE.encode()


@dataclass(frozen=True, slots=True)
class Form:
    """A ticket with holes for its reference, and for the number of customer and house."""

    channel: str
    body: bytes
    departments: tuple[str, ...]  # that execute it
    situation: str
    text: str

    def record(self, reference: str) -> tuple[bytes, bytes]:
        """Key and value for the inbound topic."""
        name, number = reference.encode(), reference.rpartition("-")[2].encode()
        return f"{self.channel}|".encode() + name, self.body.replace(HOLE_, name).replace(HOUSE_, number)


def forms() -> list[Form]:
    """The demo's tickets that the matrix is sure of: none of them waits for a person."""
    classifier = Classifier(pack.read(packs.text(PACK)))
    now = datetime.now(UTC)
    found = []
    for ticket in source.read(TICKETS):
        verdict = classifier.classify(Draft.of(check(ticket, now)).ticket(now))
        if verdict.sure:
            place = {**ticket["place"], "address": f"{ticket['place'].get('address', '')}{HOUSE}号"}
            customer = {**ticket["customer"], "customer_id": f"C{HOUSE}"}
            body = json.dumps(
                {**ticket, "external_ref": HOLE, "place": place, "customer": customer}, ensure_ascii=False
            )
            code, written = verdict.situation.code, str(ticket["text"])
            found.append(Form(ticket["channel"], body.encode(), _executing(verdict), code, written))
    return found


def _executing(verdict: Verdict) -> tuple[str, ...]:
    return tuple(dict.fromkeys(verdict.situation.executing))


Judge = Callable[[Any], tuple[str, tuple[str, ...], float]]


def judge() -> Judge:
    """Situation, executing departments and probability of a ticket as handed in, by Zhida's own reading of its text."""
    classifier = Classifier(pack.read(packs.text(PACK)))

    def read(found: Any) -> tuple[str, tuple[str, ...], float]:
        opened_at = datetime(2026, 1, 1, tzinfo=UTC)
        given = {name: found.get(name) for name in ("channel", "external_ref", "title", "text", "business_type")}
        verdict = classifier.classify(Ticket.model_construct(**given, opened_at=opened_at))
        return verdict.situation.code, _executing(verdict), verdict.probability

    return read


def glance() -> Judge:
    """The same without reading: by a table of the demo's texts."""
    known = {form.text: (form.situation, form.departments, 1.0) for form in forms()}
    return lambda found: known[found["text"]]


@dataclass
class Tickets:
    """An endless row of tickets; the number of each tells its form."""

    run: str
    forms: Sequence[Form]
    drawn: int = 0

    def next(self) -> tuple[bytes, bytes]:
        """Key and value of the next one."""
        number = self.drawn
        self.drawn += 1
        return self.forms[number % len(self.forms)].record(f"{self.run}-{number}")

    def departments(self, number: int) -> tuple[str, ...]:
        """Who executes the ticket of that number."""
        return self.forms[number % len(self.forms)].departments

    def number(self, reference: str) -> int | None:
        """The number in a reference of this run; None where it is of another."""
        run, _, number = reference.rpartition("-")
        return int(number) if run == self.run else None
