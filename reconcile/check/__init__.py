"""The checks: what must hold of every ticket and of every service."""

from reconcile.check import clock, entry, flow, kernel, master, screen, work
from reconcile.check.finding import Check, Finding

CHECKS: tuple[Check, ...] = (
    *entry.CHECKS,
    *flow.CHECKS,
    *work.CHECKS,
    *master.CHECKS,
    *screen.CHECKS,
    *clock.CHECKS,
    *kernel.CHECKS,
)

__all__ = ["CHECKS", "Check", "Finding"]
