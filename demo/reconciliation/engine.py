"""What must have come to rest: clocks, consumers, outboxes; nothing buried, parked or stopped anywhere."""

from collections import Counter
from collections.abc import Iterator

from demo.fact import Facts
from demo.reconciliation.finding import Check, Finding


def clocks(facts: Facts) -> Iterator[Finding]:
    """Every clock in the table was announced once and has stopped once, as the table says."""
    started = Counter(clock["clock_id"] for event in facts.of("ClocksStarted") for clock in event.data["clocks"])
    stopped: dict[str, list[str]] = {}
    for event in facts.of("ClocksStopped"):
        for clock in event.data["clocks"]:
            stopped.setdefault(clock["clock_id"], []).append(clock["outcome"])
    for clock in facts.clocks:
        name = str(clock.clock_id)
        if started.pop(name, 0) != 1:
            yield Finding(str(clock.ticket_id), f"clock {name} ({clock.kind}) was not announced once")
        if clock.state == "running":
            yield Finding(str(clock.ticket_id), f"clock {name} ({clock.kind}) still runs")
        elif stopped.get(name) != [clock.state]:
            text = f"clock {name} ({clock.kind}) is {clock.state}; the topic says {stopped.get(name, 'nothing')}"
            yield Finding(str(clock.ticket_id), text)
    for name in started:
        yield Finding(None, f"clock {name} was announced and is not in the table")


def at_rest(facts: Facts) -> Iterator[Finding]:
    """Every service has handled all there is, sent all it had to say, and buried or parked nothing."""
    for engine in facts.engines:
        for count, what in (
            (engine.buried, "events buried"),
            (engine.parked, "events parked behind buried ones"),
            (engine.unsent, "events in the outbox"),
        ):
            if count:
                yield Finding(None, f"{engine.service} has {count} {what}")
        if engine.halted:
            yield Finding(None, f"{engine.service} has stopped itself and waits for `resume`")
        for place in engine.stopped:
            yield Finding(None, f"{engine.service} has stopped at {place} and waits for `offsets accept`")
        for place, count in sorted(engine.behind.items()):
            if count:
                yield Finding(None, f"{engine.service} has not handled {count} records of {place}")


CHECKS = (
    Check("every clock has stopped, and the topic says how", clocks),
    Check("nothing is buried, parked, unsent or unread", at_rest),
)
