"""Which faults strike, in which order and on whom: drawn from the seed alone, so a run's faults can be drawn again."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from chaos.load.front import HABITS
from chaos.point import OF_SERVICE, Name

SERVICES: Final = ("intake", "classification", "dispatch", "sla_timer", "notification")
PEOPLED: Final = ("district_bureau", "repair_centre", "transmission_station")  # departments that get the work orders
POISONS: Final = ("bad-json", "huge", "broken-contract", "null-key", "no-headers", "unknown-type")
FREEZES: Final = ("anywhere", "batch-fetched", "before-commit")  # where a process stops to become a zombie
CLOCK_STEPS: Final = (-7200, -90, 45, 600, 86_400)  # s


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault to come. `target`: a member, a link, a department, a topic; what of it is `kind`'s to say."""

    kind: str
    target: str
    seconds: float  # how long it lasts, where it lasts
    detail: str = ""

    @property
    def title(self) -> str:
        """For people."""
        return " ".join(filter(None, (self.kind, self.target, self.detail)))


def deck(draw: random.Random, members: Mapping[str, str], peopled: Sequence[str] = PEOPLED) -> list[Strike]:
    """Every kind of fault once, each service, point and habit too, shuffled. `members`: name → service."""
    names = sorted(members)
    services = {service: [name for name in names if members[name] == service] for service in SERVICES}

    def one(service: str) -> str:
        return draw.choice(services[service])

    def link() -> str:
        return draw.choice(("kafka", *(f"postgres:{name}" for name in names)))

    pairs: list[tuple[str, Name]] = [(service, point) for service in SERVICES for point in OF_SERVICE[service]]
    strikes = [Strike("kill", one(service), 0) for service in SERVICES]
    strikes += [Strike("kill-at", one(service), 0, point) for service, point in pairs]
    strikes += [
        Strike("zombie", one(service), draw.uniform(12, 16), draw.choice(FREEZES))
        for service in SERVICES
        if len(services[service]) > 1
    ]
    strikes += [
        Strike("postgres-immediate-stop", "postgres", draw.uniform(0, 4)),
        Strike("postgres-kill", "postgres", draw.uniform(0, 4)),
        Strike("postgres-backend-kill", "postgres", 0),
        Strike("broker-kill", "kafka", draw.uniform(0, 4)),
        Strike("broker-restart", "kafka", draw.uniform(0, 2)),
        Strike("disk-full", "postgres", draw.uniform(4, 8)),
        Strike("replay", draw.choice(("zhida.tickets.v1", "zhida.clocks.v1", "zhida.notices.v1")), 0),
        Strike("replay", "zhida.tickets.inbound.v1", 0),
    ]
    for kind, low, high in (("cut", 0.0, 0.0), ("refuse", 1.0, 4.0), ("slow", 3.0, 8.0), ("hold", 2.0, 14.0)):
        strikes += [Strike(kind, target, draw.uniform(low, high)) for target in ("kafka", link())]
    strikes += [Strike("half-open", target, draw.uniform(2, 14)) for target in ("kafka", link())]
    strikes += [Strike("clock-step", draw.choice(names), 5, f"{draw.choice(CLOCK_STEPS):+d}") for _ in range(3)]
    strikes += [Strike("poison", draw.choice(("flow", "clocks", "inbound")), 0, kind) for kind in POISONS]
    strikes += [Strike("receiver", draw.choice(tuple(peopled)), draw.uniform(2, 6), habit) for habit in HABITS]
    draw.shuffle(strikes)
    return strikes


def strikes(
    seed: int, members: Mapping[str, str], *, only: Sequence[str] = (), outage: float | None = None
) -> Iterator[Strike]:
    """Faults without end: one shuffled deck after another. `outage`: one of so many seconds ends each deck."""
    draw = random.Random(f"{seed}|schedule")
    while True:
        dealt = deck(draw, members)
        if outage:
            dealt.append(Strike("outage", draw.choice(SERVICES), outage))
        chosen = [strike for strike in dealt if not only or strike.kind in only]
        if not chosen:
            raise ValueError(f"no such fault: {', '.join(only)}; there are {', '.join(sorted(kinds()))}")
        yield from chosen


def kinds() -> set[str]:
    """The name of every kind of fault."""
    members = {f"{service}-{number}": service for service in SERVICES for number in (1, 2)}
    return {strike.kind for strike in deck(random.Random(0), members)} | {"outage"}
