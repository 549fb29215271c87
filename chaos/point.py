"""Named points in the kernel and the services at which a process can be made to die or to freeze."""

import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final, Literal, TypeAlias

from libs.shared.events import INBOUND

Name: TypeAlias = Literal[
    "batch-fetched",
    "inbound-fetched",
    "before-commit",
    "after-commit",
    "command-committed",
    "kafka-acknowledged",
    "webhook-answered",
    "timer-tick",
]

KERNEL: Final[tuple[Name, ...]] = ("batch-fetched", "before-commit", "after-commit", "kafka-acknowledged")
OF_SERVICE: Final[dict[str, tuple[Name, ...]]] = {
    "intake": (*KERNEL, "inbound-fetched", "command-committed"),
    "classification": KERNEL,
    "dispatch": (*KERNEL, "command-committed", "webhook-answered"),
    "sla_timer": (*KERNEL, "timer-tick"),
    "notification": KERNEL,
}
MEANING: Final[dict[Name, str]] = {
    "batch-fetched": "records fetched, no transaction yet",
    "inbound-fetched": "records of the inbound topic fetched, no transaction yet",
    "before-commit": "effects and outbox of a batch written, not committed",
    "after-commit": "committed, neither position nor offset moved on in the process, nothing relayed",
    "command-committed": "a command committed, its caller not answered",
    "kafka-acknowledged": "Kafka has acknowledged, the outbox rows still stand",
    "webhook-answered": "the department answered 2xx, the attempt is not recorded",
    "timer-tick": "in the middle of a timer tick: timers taken, not committed",
}


@dataclass
class Points:
    """Which points are armed; each goes off once."""

    armed: dict[str, int] = field(default_factory=dict)  # point → signal number

    def arm(self, name: str, number: int) -> None:
        self.armed[name] = number

    def reach(self, name: Name) -> None:
        """Die or freeze here, where this point is armed."""
        number = self.armed.pop(name, None)
        if number is not None:
            os.write(1, f'{{"event": "chaos: {signal.Signals(number).name} at {name}"}}\n'.encode())
            os.kill(os.getpid(), number)


def install(points: Points, service: str) -> None:
    """Patch the seams of this process. Raises AttributeError where one is not there any more."""
    bus = import_module("libs.shared.bus")
    _around(bus.Bus, "take", before=lambda _, records, __: _fetched(points, records))
    _around(bus.Bus, "_effects", after=lambda *_: points.reach("before-commit"))
    _around(bus.Bus, "_transact", after=lambda *_: points.reach("after-commit"))
    _around(import_module("libs.shared.relay").Relay, "_send", after=lambda *_: points.reach("kafka-acknowledged"))
    flusher = import_module("libs.shared.command").Flusher
    _around(flusher, "_transact", after=lambda *_: points.reach("command-committed"))
    if service == "dispatch":
        record = import_module("services.dispatch.delivery.record")
        _around(record, "results", before=lambda _, batch: _answered(points, batch))
    if service == "sla_timer":
        timer = import_module("services.sla_timer.store.timer")
        _around(timer, "fire", after=lambda found: _ticked(points, found))


def _fetched(points: Points, records: Any) -> None:
    points.reach("batch-fetched")
    if any(each.topic == INBOUND for each in records):
        points.reach("inbound-fetched")


def _answered(points: Points, batch: Any) -> None:
    if any(each.attempt.ok for each in batch):
        points.reach("webhook-answered")


def _ticked(points: Points, found: Any) -> None:
    if found[1]:  # clocks have passed a point
        points.reach("timer-tick")


def _around(
    owner: Any, name: str, *, before: Callable[..., Any] | None = None, after: Callable[[Any], Any] | None = None
) -> None:
    """Have `before(*arguments)` and `after(result)` called around an async function of a class or module."""
    inner: Callable[..., Awaitable[Any]] = getattr(owner, name)

    async def outer(*arguments: Any, **named: Any) -> Any:
        if before:
            before(*arguments, **named)
        result = await inner(*arguments, **named)
        if after:
            after(result)
        return result

    setattr(owner, name, outer)
