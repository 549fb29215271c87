"""What would be otherwise if another matrix were in force: tickets that go elsewhere, other clocks, other reviews."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Final

from libs.shared.contracts.classification import Urgency
from libs.shared.contracts.intake import Ticket

from . import place, route
from .classifier import Verdict
from .matrix import Matrix

EXAMPLES: Final = 5  # tickets named for each kind of change
NOBODY: Final = "—"  # in the table: no department in its place

Said = tuple[str, tuple[str, ...], Urgency, bool]  # of one ticket: situation, who executes, urgency, no person needed


def said(matrix: Matrix, verdict: Verdict, ticket: Ticket) -> Said:
    """What of a verdict is compared; who executes as of the time of the request."""
    located = place.locate(matrix, ticket).ticket
    executing = route.executing(route.routed(matrix, verdict.situation, located, ticket.opened_at))
    return verdict.situation.code, executing, verdict.urgency, verdict.sure


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many tickets, and what of them would be otherwise. Departments by code."""

    before: str  # matrix versions
    after: str
    tickets: int
    elsewhere: int  # other executing departments
    other_lead: int
    other_clocks: int  # another SLA class or urgency
    more_reviews: int  # a person would have to look, and need not now
    fewer_reviews: int
    table: dict[tuple[str, str], int]  # executing department before, after → shares of tickets
    situations: dict[tuple[str, str], int]  # situation before, after, of tickets that go elsewhere
    examples: dict[str, tuple[str, ...]]  # kind of change, or `situation → situation` → tickets

    def plain(self) -> dict[str, Any]:
        """As JSON: tables as lists of rows."""
        found = {name: getattr(self, name) for name in self.__slots__}
        for name in ("table", "situations"):
            found[name] = [[*pair, count] for pair, count in found[name].items()]
        return found


@dataclass
class Tally:
    """Counts what two matrices say of the same tickets."""

    before: Matrix
    after: Matrix
    counts: Counter[str] = field(default_factory=Counter)
    table: Counter[tuple[str, str]] = field(default_factory=Counter)
    situations: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, said: Iterable[tuple[str, Said, Said]]) -> None:
        """Tickets by name, with what is said of each now and what would be."""
        for name, before, after in said:
            (old_code, old_executing, old_urgency, old_sure), (new_code, new_executing, new_urgency, new_sure) = (
                before,
                after,
            )
            old = self.before.situations[self.before.by_code[old_code]]
            new = self.after.situations[self.after.by_code[new_code]]
            gone, come = set(old_executing) - set(new_executing), set(new_executing) - set(old_executing)
            stayed = [(code, code) for code in old_executing if code not in gone]
            self.table.update([*stayed, *zip_longest(sorted(gone), sorted(come), fillvalue=NOBODY)])
            changes = {
                "tickets": True,
                "elsewhere": bool(gone or come),
                "other_lead": old.lead != new.lead,
                "other_clocks": (old.sla_class, old_urgency) != (new.sla_class, new_urgency),
                "more_reviews": old_sure and not new_sure,
                "fewer_reviews": new_sure and not old_sure,
            }
            self.counts.update(change for change, is_so in changes.items() if is_so)
            kinds = [change for change, is_so in changes.items() if is_so and change != "tickets"]
            if gone or come:
                self.situations[old_code, new_code] += 1
                kinds.append(f"{old_code} → {new_code}")
            for kind in kinds:
                named = self.examples.setdefault(kind, [])
                if len(named) < EXAMPLES:
                    named.append(name)

    @property
    def outcome(self) -> Outcome:
        """All that was counted."""
        names = ("tickets", "elsewhere", "other_lead", "other_clocks", "more_reviews", "fewer_reviews")
        return Outcome(
            self.before.version,
            self.after.version,
            **{name: self.counts[name] for name in names},
            table=dict(self.table.most_common()),
            situations=dict(self.situations.most_common()),
            examples={kind: tuple(named) for kind, named in self.examples.items()},
        )
