"""Any order of facts and ticks, at any time of the database's clock, gives the warnings that the oracle tells."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, NamedTuple
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from deploy.local.backend import Backend
from libs.shared import db
from libs.shared.contracts import dispatch
from libs.shared.contracts.classification import Department
from libs.shared.contracts.sla_timer import ClockBreached, ClocksStarted, ClocksStopped, ClockWarned, Escalated
from libs.shared.events import Event, uuid7
from libs.shared.service import Record
from services.sla_timer import timers
from services.sla_timer.main import service
from tests.integration.property.clock_model import Order, Said, Ticket
from tests.integration.property.profile import Place, bounded, placed
from tests.integration.sla_timer.story import LEAD, METER, REPAIR, Story, at

EXAMPLES, STEPS = 60, 25
BEGAN = datetime(2026, 11, 22, 8, tzinfo=UTC)
# Found before Postgres's own, because the search path says so: the service's clock stands where a test puts it.
CLOCK = """
    CREATE TABLE moved (at timestamptz NOT NULL);
    INSERT INTO moved VALUES ('2026-11-22T08:00:00Z');
    CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT at FROM sla_timer.moved';
    GRANT SELECT ON moved TO zhida_sla_timer"""
small = st.integers(0, 11)
KINDS = ["assigned", "assigned", "accepted", "contacted", "answered", "returned", "cancelled", "upheld", "rejected",
         "settled", "closed", "reopened", "merged", "joined", "joined", "reopened_with", "again"]  # fmt: skip


class Draw(NamedTuple):
    """A fact to be said; numbers choose among what there is by then."""

    kind: str
    ticket: int
    order: int
    late: int
    x: int


@dataclass
class Heard:
    """A ticket as the service and as the oracle have it."""

    model: Ticket
    story: Story
    orders: list[UUID] = field(default_factory=lambda: [uuid4() for _ in range(3)])
    records: list[Record] = field(default_factory=list)
    version: int = 0


@dataclass
class Clockwork(Place):
    """sla_timer whose database's clock is moved by hand."""

    owner: "asyncpg.Connection[Any]"

    def move(self, now: datetime) -> None:
        """It is now so late."""
        self.run(self.owner.execute("UPDATE sla_timer.moved SET at = $1", now))


@pytest.fixture
def clockwork(stores: Backend) -> Iterator[Clockwork]:
    with placed(stores, service) as place:
        running = place.harness.running
        secret = running.settings.owner_database_url
        assert secret
        owner = place.run(asyncpg.connect(secret.get_secret_value()))
        place.run(owner.execute(f"SET search_path = sla_timer; {CLOCK}"))
        place.run(running.engine.dispose())
        url = running.settings.database_url.get_secret_value()
        running.engine = db.engine(url, "sla_timer, pg_catalog", 4, "moved")
        running.reader = running.engine.execution_options(isolation_level="AUTOCOMMIT")
        yield Clockwork(place.loop, place.harness, owner)
        place.run(owner.close())


def test_every_story_of_clocks_is_the_one_the_domain_tells(clockwork: Clockwork) -> None:
    class Here(Clocks):
        at = clockwork

    run_state_machine_as_test(Here, settings=bounded(EXAMPLES, STEPS))


class Clocks(RuleBasedStateMachine):
    """Two tickets of three work orders each; facts in batches, once, twice and late; ticks of any size."""

    at: ClassVar[Clockwork]

    def __init__(self) -> None:
        super().__init__()
        self.well = True  # nothing has failed so far
        self.now = BEGAN
        self.at.move(self.now)
        self.tickets = [
            Heard(Ticket(LEAD.code, [Order() for _ in range(3)]), Story(ticket_id=uuid7(BEGAN))) for _ in range(2)
        ]

    @rule(draws=st.lists(st.builds(Draw, st.sampled_from(KINDS), small, small, small, small), min_size=1, max_size=6))
    def hear(self, draws: list[Draw]) -> None:
        """A batch of facts of both tickets."""
        expected: list[list[Said]] = [[], []]
        records = []
        for draw in draws:
            place = draw.ticket % 2
            record, tell = self._fact(self.tickets[place], draw)
            records.append(record)
            expected[place] += tell(self.tickets[place].model)
        self.at.run(self.at.harness.take(records))
        self._compare(expected, self.at.run(self.at.harness.said()))

    @rule(minutes=st.sampled_from([1, 14, 15, 16, 45, 60, 180, 480, 1440, 6 * 1440, 50 * 1440]))
    def wait(self, minutes: int) -> None:
        """Time passes; nobody looks at the timers."""
        self._move(self.now + timedelta(minutes=minutes))

    @rule(early=st.booleans(), which=small)
    @precondition(lambda self: self._points())
    def wait_for_a_point(self, early: bool, which: int) -> None:
        """To the very microsecond of a point, or to the one before it."""
        points = self._points()
        self._move(points[which % len(points)] - timedelta(microseconds=early))

    @rule(count=st.sampled_from([1, 2, 3, 1000]))
    def tick(self, count: int) -> None:
        """The owner looks until nothing is due: all that is due fires, once, nothing before its time."""
        said: list[Event] = []
        for _ in range(500):
            if not self.at.run(timers.tick(self.at.harness.running, count)):
                break
            said += self.at.run(self.at.harness.said())
        else:
            raise AssertionError("what is due never ends")
        for event in said:
            if isinstance(event, ClockWarned | ClockBreached):
                percent = 100 if isinstance(event, ClockBreached) else event.percent
                limit = timedelta(seconds=event.clock.limit_seconds)
                assert event.clock.started_at + limit * percent / 100 <= self.now, "early"
        self._compare([each.model.tick(self.now) for each in self.tickets], said, ordered=False)

    @invariant()
    def nothing_is_buried(self) -> None:
        assert self.at.harness.bus.health.buried == 0

    def teardown(self) -> None:
        """What is kept is what was said, and each running clock has one timer, its next point."""
        for ticket in self.tickets if self.well else ():
            rows = self.at.run(
                self.at.harness.rows(
                    "SELECT kind, work_order_id, started_at, state, passed FROM clock WHERE ticket_id = :id",
                    id=ticket.story.ticket_id,
                )
            )
            kept = Counter((r.kind, _place(ticket, r.work_order_id), r.started_at, r.state, r.passed) for r in rows)
            assert kept == Counter((c.kind, c.order, c.start, c.state, c.passed) for c in ticket.model.clocks)
            valid = self.at.run(
                self.at.harness.rows(
                    "SELECT t.fire_at, t.percent FROM timer t JOIN clock c USING (id)"
                    " WHERE c.ticket_id = :id AND c.state = 'running' AND c.generation = t.generation",
                    id=ticket.story.ticket_id,
                )
            )
            running = [clock.next for clock in ticket.model.clocks if clock.state == "running"]
            assert Counter((r.fire_at, r.percent) for r in valid) == Counter(each for each in running if each)
        self.at.run(self.at.owner.execute("DELETE FROM sla_timer.timer"))  # other examples begin earlier

    def _move(self, now: datetime) -> None:
        self.now = max(self.now, now)
        self.at.move(self.now)

    def _points(self) -> list[datetime]:
        clocks = [clock for each in self.tickets for clock in each.model.clocks if clock.state == "running"]
        return sorted(clock.next[0] for clock in clocks if clock.next and clock.next[0] > self.now)

    def _fact(self, ticket: Heard, draw: Draw) -> tuple[Record, Callable[[Ticket], list[Said]]]:
        if draw.kind == "again" and ticket.records:
            old = ticket.records[draw.x % len(ticket.records)]
            return self.at.harness.raw(old.topic, old.key, old.value, old.headers), lambda _: []
        place = draw.order % 3
        when = self.now - timedelta(minutes=[0, 0, 0, 1, 20, 130][draw.late % 6])
        story = Story(ticket_id=ticket.story.ticket_id, work_order_id=ticket.orders[place], now=when)
        event, tell = self._said(ticket, story, draw, place, when)
        record = self.at.harness.record(at(event, when))
        ticket.records.append(record)
        return record, tell

    def _said(
        self, ticket: Heard, story: Story, draw: Draw, place: int, when: datetime
    ) -> tuple[Event, Callable[[Ticket], list[Said]]]:
        match draw.kind:
            case "accepted":
                return story.accepted(), lambda model: model.accepted(place, when)
            case "contacted":
                return story.contacted(), lambda model: model.contacted(place, when)
            case "answered":
                return story.answered(), lambda model: model.answered(place, when)
            case "returned":
                return story.returned(), lambda model: model.returned(place, when)
            case "cancelled":
                return story.cancelled(), lambda model: model.cancelled(place, when)
            case "upheld":
                return story.ruled("uphold"), lambda model: model.upheld(place, when)
            case "rejected":
                return story.ruled("reject"), lambda model: model.rejected(place, when)
            case "settled":
                return story.settled(), lambda model: model.answered_all(when)
            case "closed":
                return story.closed(), lambda model: model.over(when)
            case "reopened":
                places = [each for each in range(3) if draw.x >> each & 1]
                event = dispatch.TicketReopened(
                    ticket_id=story.ticket_id,
                    by="a1",
                    reason="没修好",
                    work_order_ids=tuple(ticket.orders[each] for each in places),
                )
                return event, lambda model: model.reopened(places, when)
            case "merged":
                return story.merged(), lambda model: model.merged(when)
            case "joined":
                # No two open at the same time, so that which was in force last is never a matter of chance.
                opened = when - timedelta(hours=draw.order, microseconds=1 + len(ticket.records))
                members = [(opened, "construction" if draw.x > 8 else "maintenance", 1 + draw.x % 5),
                           (opened - timedelta(days=3), "maintenance", 1)]  # fmt: skip
                promised = tuple(
                    dispatch.Promised(star=star, urgency="normal", sla_class=class_, repeats=0, opened_at=at_)
                    for at_, class_, star in members
                )
                join = dispatch.MasterJoined(
                    ticket_id=story.ticket_id, tickets=(uuid4(),), members=1, promised=promised
                )
                return join, lambda model: model.master(members)
            case "reopened_with":
                return story.reopened_with_its_master(), lambda model: model.reopened_with_its_master()
            case _:
                department: Department = (REPAIR, METER, REPAIR)[place]
                star, sla_class = 1 + draw.x % 5, "construction" if draw.x > 8 else "maintenance"
                supervisor = " " if draw.late == 5 else "sup"
                opened = when - timedelta(minutes=7)
                changes = {"star": star, "sla_class": sla_class, "supervisor": supervisor, "opened_at": opened}
                return story.assigned(department=department, **changes), lambda model: model.assigned(
                    place, department.code, when, opened=opened, sla_class=sla_class, star=star, supervisor=supervisor
                )

    def _compare(self, expected: Sequence[list[Said]], said: Sequence[Event], *, ordered: bool = True) -> None:
        self.well = False
        for ticket, wanted in zip(self.tickets, expected, strict=True):
            told = []
            for event in said:
                if event.key == str(ticket.story.ticket_id):
                    ticket.version += 1
                    assert event.envelope.version == ticket.version
                    told.append(_told(ticket, event))
            if ordered:
                assert told == wanted, (told, wanted)
            else:
                assert Counter(told) == Counter(wanted), (
                    Counter(told) - Counter(wanted),
                    Counter(wanted) - Counter(told),
                )
        assert {event.key for event in said} <= {str(each.story.ticket_id) for each in self.tickets}
        self.well = True


def _place(ticket: Heard, order: UUID | None) -> int | None:
    return None if order is None else ticket.orders.index(order)


def _told(ticket: Heard, event: Event) -> Said:
    name = type(event).__name__
    match event:
        case ClocksStarted():
            told = [
                (each.kind, _place(ticket, each.work_order_id), each.started_at, timedelta(seconds=each.limit_seconds))
                for each in event.clocks
            ]
            return name, tuple(sorted(told, key=str))
        case ClocksStopped():
            stopped = [(each.kind, _place(ticket, each.work_order_id), each.outcome) for each in event.clocks]
            return name, tuple(sorted(stopped, key=str))
        case ClockWarned() | ClockBreached() | Escalated():
            clock = event.clock
            percent = 100 if isinstance(event, ClockBreached) else event.percent
            about = clock.kind, _place(ticket, clock.work_order_id), clock.started_at, percent
            more = (event.level, event.to, event.missing) if isinstance(event, Escalated) else ()
            return name, *about, *more
        case _:
            raise AssertionError(f"sla_timer says no {name}")
