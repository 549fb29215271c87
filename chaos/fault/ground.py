"""What every fault works with: the stage, how a fault went, and how its recovery is measured."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from chaos.load.front import Front
from chaos.schedule import Strike
from chaos.stage import Stage
from chaos.watch import Ends, Watch
from demo.api import Api
from reconcile import Ledger

PATIENCE: Final = 90.0  # s in which a service must be back


@dataclass
class Outcome:
    """How a fault went. Times are seconds; `recovery` None: not measured, or not within PATIENCE."""

    strike: Strike
    at: float  # since the start of the run
    recovery: float | None = None
    limit: float | None = None
    note: str = ""
    skipped: bool = False

    @property
    def late(self) -> bool:
        """Whether it took longer than it may."""
        return self.limit is not None and not self.skipped and (self.recovery is None or self.recovery > self.limit)


@dataclass
class Ground:
    """`operators`: every service under an administrator's key; `recent`: a ticket that is under way."""

    stage: Stage
    watch: Watch
    front: Front
    ledger: Ledger
    operators: Mapping[str, Api]
    recent: Callable[[], str | None]
    draw: random.Random
    started: float = field(default_factory=time.monotonic)
    outcomes: list[Outcome] = field(default_factory=list)
    poisoned: list[str] = field(default_factory=list)  # tickets that got an unreadable record of their own

    @property
    def kafka(self) -> str:
        """The broker, past the proxy."""
        return self.stage.stack.backend.kafka_bootstrap_servers

    async def back(self, outcome: Outcome, ends: Ends, services: Sequence[str], limit: float | None = None) -> None:
        """Measure until these services have read past `ends`."""
        took = await self.watch.passed(ends, services, PATIENCE)
        outcome.limit = limit
        outcome.recovery = max(took.values()) if len(took) == len(services) else None
        if len(services) > 1:
            last = max(services, key=lambda name: took.get(name, PATIENCE))
            outcome.note = f"{outcome.note} last: {last}".strip()
