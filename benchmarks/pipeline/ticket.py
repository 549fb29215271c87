"""The tickets of a whole country: the demo's over and over, of another customer each time, in one of all its towns."""

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
HOLE, HOUSE, TOWN = "@@reference@@", "@@number@@", "@@town@@"
HOLE_, HOUSE_, TOWN_ = HOLE.encode(), HOUSE.encode(), TOWN.encode()
TOWNS = 38_000  # towns and streets of the country: nine digits of an area code name one


@dataclass(frozen=True, slots=True)
class Form:
    """A ticket with holes for its reference, its town, and the number of customer and house."""

    channel: str
    body: bytes
    departments: tuple[str, ...]  # that execute it
    situation: str
    text: str

    def record(self, reference: str) -> tuple[bytes, bytes]:
        """Key and value for the inbound topic."""
        number = reference.rpartition("-")[2]
        town = str(100_000_000 + int(number) % TOWNS)
        body = self.body.replace(HOLE_, reference.encode()).replace(HOUSE_, number.encode())
        return f"{self.channel}|{reference}".encode(), body.replace(TOWN_, town.encode())


def forms() -> list[Form]:
    """The demo's tickets that the matrix is sure of: none of them waits for a person."""
    classifier = Classifier(pack.read(packs.text(PACK)))
    now = datetime.now(UTC)
    found = []
    for ticket in source.read(TICKETS):
        verdict = classifier.classify(Draft.of(check(ticket, now)).ticket(now))
        if verdict.sure:
            place = {"area_code": TOWN, "address": f"{ticket['place'].get('address', '')}{HOUSE}号"}
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
