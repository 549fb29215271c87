"""What is said when a clock passes a point: the statement that fires beside the same rules told plainly."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from libs.shared.contracts.classification import Department
from libs.shared.contracts.sla_timer import Clock, ClockBreached, ClockWarned, Escalated, Level
from libs.shared.events import Event
from services.sla_timer import policy_file, timers
from services.sla_timer.domain.policy import LEVELS
from tests.running import Harness

POLICY = policy_file.load(policy_file.DEFAULT)
NAMES = ["抢修班", 'a "quoted" one', "back\\slash", "two\nlines", "", " ", "\u3000", "é{}:x", "'"]

CLOCK = text("""
    INSERT INTO clock (id, ticket_id, work_order_id, kind, department, department_name, lead, lead_name, supervisor,
        started_at, due_at, limit_seconds, rule, sla_class, star)
    VALUES (:id, :ticket, :work_order, :kind, :department, :department_name, :lead, :lead_name, :supervisor,
        :started_at, :due_at, :limit, 'rule', 'maintenance', 1)""")
TIMER = text("INSERT INTO timer VALUES (:fire_at, :id, :ticket, 0, :percent)")
ORDER = text("INSERT INTO work_order (id, ticket_id, department, ended) VALUES (:id, :ticket, :department, :ended)")


@dataclass(frozen=True)
class Running:
    """A running clock and its pending point."""

    ticket_id: UUID
    clock: Clock
    percent: int
    executing: Sequence[str]  # departments whose work orders of the ticket have not ended

    @property
    def fire_at(self) -> datetime:
        return self.clock.started_at + timedelta(seconds=self.clock.limit_seconds) * self.percent / 100

    def says(self) -> list[Event]:
        """The rules: the fact, then before whom it is brought; an empty level passes it on and is named."""
        known: dict[str, Any] = {"ticket_id": self.ticket_id, "clock": self.clock}
        fact: Event = ClockWarned(**known, percent=self.percent)
        if self.percent == 100:
            fact = ClockBreached(**known)
        own = self.clock.department
        hearers: dict[Level, list[str]] = {
            "executing": list(self.executing) if own is None else [own.code],
            "lead": [self.clock.lead_department.code],
            "supervisor": [self.clock.supervisor],
            "interview": [POLICY.interviewer],
        }
        missing: list[Level] = []
        for level in LEVELS[LEVELS.index(POLICY.level(self.percent)) :]:
            if present := sorted({hearer for hearer in hearers[level] if hearer.strip()}):
                more = {"percent": self.percent, "level": level, "missing": tuple(missing)}
                return [fact, *(Escalated(**known, **more, to=to) for to in present)]
            missing.append(level)
        raise AssertionError("nobody hears of it")


def drawn(random: Random, began: datetime) -> Running:
    """Any clock, due by now."""
    own = random.random() < 0.6
    percent = random.choice([50, 80, 100, 150, 1, 70, 149, 1000])
    limit = random.choice([1, 7, 1800, 7201, 90 * 86400])
    started = began - timedelta(seconds=limit) * 10 - timedelta(microseconds=random.randrange(3_600_000_000))
    return Running(
        uuid4(),
        Clock(
            clock_id=uuid4(),
            kind=random.choice(["accept", "first_contact"]) if own else "resolve",
            work_order_id=uuid4() if own else None,
            department=Department(code=random.choice(NAMES), name=random.choice(NAMES)) if own else None,
            lead_department=Department(code=random.choice(NAMES), name=random.choice(NAMES)),
            supervisor=random.choice(NAMES),
            started_at=started,
            due_at=started + timedelta(seconds=limit),
            limit_seconds=limit,
        ),
        percent,
        [random.choice(NAMES) for _ in range(random.choice([0, 1, 3]))],
    )


async def store(sla: Harness, clocks: Sequence[Running]) -> None:
    async with sla.running.transaction(str(each.ticket_id) for each in clocks) as tx:
        for each in clocks:
            clock = each.clock
            own = clock.department
            await tx.run(
                CLOCK,
                id=clock.clock_id,
                ticket=each.ticket_id,
                work_order=clock.work_order_id,
                kind=clock.kind,
                department=own and own.code,
                department_name=own and own.name,
                lead=clock.lead_department.code,
                lead_name=clock.lead_department.name,
                supervisor=clock.supervisor,
                started_at=clock.started_at,
                due_at=clock.due_at,
                limit=clock.limit_seconds,
            )
            await tx.run(TIMER, fire_at=each.fire_at, id=clock.clock_id, ticket=each.ticket_id, percent=each.percent)
            orders = [(code, False) for code in each.executing] + [("over", True), (None, False)]
            for code, ended in orders:
                await tx.run(ORDER, id=uuid4(), ticket=each.ticket_id, department=code, ended=ended)


async def test_every_kind_of_clock_says_at_every_point_what_the_rules_say(sla: Harness) -> None:
    random = Random(20261122)
    clocks = [drawn(random, datetime.now(UTC)) for _ in range(300)]
    await store(sla, clocks)
    assert await timers.tick(sla.running) == 300
    said = await sla.said()
    expected = [
        event for each in sorted(clocks, key=lambda each: (each.fire_at, each.clock.clock_id)) for event in each.says()
    ]
    assert said == expected
    versions: dict[str, list[int]] = {}
    for event in said:
        versions.setdefault(event.key, []).append(event.envelope.version)
    assert all(found == list(range(1, len(found) + 1)) for found in versions.values())
    ids = [event.envelope.id for event in said]
    assert len(set(ids)) == len(ids)
    assert {id_.version for id_ in ids} == {7}
    assert {event.envelope.traceparent[:3] for event in said} == {"00-"}
    pending = {row.id: (row.fire_at, row.percent, row.generation) for row in await sla.rows("SELECT * FROM timer")}
    assert pending == {
        each.clock.clock_id: (
            each.clock.started_at + timedelta(seconds=each.clock.limit_seconds) * next_ / 100,
            next_,
            1,
        )
        for each in clocks
        if (next_ := POLICY.next_point(each.percent))
    }


async def test_a_burst_of_different_points_passes_each_of_them_and_those_that_follow_once(
    sla: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timers, "BATCH", 20)
    random = Random(4)
    clocks = [drawn(random, datetime.now(UTC)) for _ in range(200)]
    await store(sla, clocks)
    while await timers.tick(sla.running):
        await timers.drain(sla.running, 60)
    passed = Counter(
        (event.clock.clock_id, event.percent if isinstance(event, ClockWarned) else 100)
        for event in await sla.said()
        if isinstance(event, ClockWarned | ClockBreached)
    )
    due = {
        (each.clock.clock_id, percent)
        for each in clocks
        for percent in {each.percent, *POLICY.points}
        if percent >= each.percent
    }
    assert passed == Counter(due)


async def test_two_clocks_of_one_ticket_share_its_versions_in_the_order_of_their_deadlines(sla: Harness) -> None:
    began, ticket = datetime.now(UTC), uuid4()
    clocks = [Running(ticket, drawn(Random(seed), began).clock, 50, ["meter"]) for seed in range(20)]
    await store(sla, clocks)
    assert await timers.tick(sla.running) == 20
    said = await sla.said()
    assert [event.envelope.version for event in said] == list(range(1, len(said) + 1))
    expected = [each.clock.clock_id for each in sorted(clocks, key=lambda each: (each.fire_at, each.clock.clock_id))]
    assert [event.clock.clock_id for event in said if isinstance(event, ClockWarned)] == expected


@pytest.mark.parametrize(
    ("percent", "executing", "lead", "supervisor", "heard"),
    [
        (50, ["repair"], "lead", "sup", [("executing", "repair", ())]),
        (80, ["repair"], "lead", "sup", [("lead", "lead", ())]),
        (100, ["repair"], "lead", "sup", [("supervisor", "sup", ())]),
        (150, ["repair"], "lead", "sup", [("interview", "leader", ())]),
        (50, ["b", "a", "b"], "lead", "sup", [("executing", "a", ()), ("executing", "b", ())]),
        (50, [], "lead", "sup", [("lead", "lead", ("executing",))]),
        (50, [""], " ", "sup", [("supervisor", "sup", ("executing", "lead"))]),
        (80, ["repair"], "", "", [("interview", "leader", ("lead", "supervisor"))]),
        (100, ["repair"], "lead", "", [("interview", "leader", ("supervisor",))]),
    ],
)
async def test_an_empty_level_passes_the_warning_on_and_is_named(
    shared_sla: Harness,
    *,
    percent: int,
    executing: list[str],
    lead: str,
    supervisor: str,
    heard: list[tuple[str, str, tuple[str, ...]]],
) -> None:
    started = datetime.now(UTC) - timedelta(hours=1)
    clock = Clock(
        clock_id=uuid4(),
        kind="resolve",
        work_order_id=None,
        department=None,
        lead_department=Department(code=lead, name=lead),
        supervisor=supervisor,
        started_at=started,
        due_at=started + timedelta(seconds=60),
        limit_seconds=60,
    )
    await store(shared_sla, [Running(uuid4(), clock, percent, executing)])
    assert await timers.tick(shared_sla.running) == 1
    fact, *said = await shared_sla.said()
    assert isinstance(fact, ClockBreached) == (percent == 100)
    told = [event for event in said if isinstance(event, Escalated)]
    assert len(told) == len(said)
    assert [(event.level, event.to, event.missing) for event in told] == heard
    await shared_sla.rows("DELETE FROM timer")
