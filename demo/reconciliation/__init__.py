"""The proof that nothing was lost and nothing doubled: named checks, each a pure function over a run's facts."""

from collections.abc import Sequence
from dataclasses import dataclass

from demo.fact import Facts
from demo.reconciliation import engine, entry, flow, screen, work
from demo.reconciliation.finding import Check, Finding

CHECKS: tuple[Check, ...] = (*entry.CHECKS, *flow.CHECKS, *work.CHECKS, *screen.CHECKS, *engine.CHECKS)


@dataclass(frozen=True, slots=True)
class Result:
    """What one check found."""

    check: Check
    findings: tuple[Finding, ...]


def reconcile(facts: Facts, checks: Sequence[Check] = CHECKS) -> list[Result]:
    """Run the checks, in their order."""
    return [Result(check, tuple(check.find(facts))) for check in checks]
