"""Facts in, clocks and events out, on real Postgres."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest

from libs.shared.contracts.sla_timer import ClockBreached, ClocksStarted, Escalated
from libs.shared.events import Event
from services.sla_timer import timers
from tests.integration.sla_timer.story import LEAD, METER, Story, count, started, stopped
from tests.running import Harness

LATE = timedelta(hours=3)


async def test_one_event_starts_all_clocks_of_an_assignment(sla: Harness) -> None:
    story = Story()
    said = await sla.hear(story.assigned())
    assert count(said) == {"ClocksStarted": 1}
    (event,) = said
    assert isinstance(event, ClocksStarted)
    assert event.envelope.version == 1
    assert {clock.kind: clock.limit_seconds for clock in event.clocks} == {
        "accept": 1800,
        "first_contact": 7200,
        "resolve": 96 * 3600,
    }
    assert {clock.lead_department for clock in event.clocks} == {LEAD}
    rows = await sla.rows("SELECT percent, count(*) FROM timer GROUP BY percent")
    assert [tuple(row) for row in rows] == [(50, 3)]


async def test_a_second_work_order_shares_the_resolve_clock(sla: Harness) -> None:
    story = Story()
    said = await sla.hear(story.assigned(), story.assigned(work_order_id=uuid4(), department=METER))
    assert started(said) == ["accept", "accept", "first_contact", "first_contact", "resolve"]


async def test_a_higher_star_shortens_the_running_resolve_clock(sla: Harness) -> None:
    story = Story()
    said = await sla.hear(story.assigned(star=2), story.assigned(work_order_id=uuid4(), star=5))
    assert stopped(said) == {"resolve": "cancelled"}
    rows = await sla.rows("SELECT state, limit_seconds, started_at FROM clock WHERE kind = 'resolve' ORDER BY state")
    assert [(row.state, row.limit_seconds) for row in rows] == [("cancelled", 72 * 3600), ("running", 8 * 3600)]
    assert rows[0].started_at == rows[1].started_at


@pytest.mark.parametrize("age", [timedelta(0), LATE])
async def test_facts_stop_the_clocks_they_are_about(sla: Harness, age: timedelta) -> None:
    story = Story(age)
    kept = "met" if not age else "missed"
    await sla.hear(story.assigned())
    assert stopped(await sla.hear(story.accepted())) == {"accept": kept}
    assert stopped(await sla.hear(story.contacted())) == {"first_contact": kept}
    assert stopped(await sla.hear(story.answered())) == {}
    assert stopped(await sla.hear(story.settled())) == {"resolve": "met"}
    assert await sla.hear(story.closed()) == []


async def test_contact_implies_acceptance(sla: Harness) -> None:
    story = Story()
    await sla.hear(story.assigned())
    said = await sla.hear(story.contacted())
    assert stopped(said) == {"accept": "met", "first_contact": "met"}
    assert count(said) == {"ClocksStopped": 1}
    assert await sla.hear(story.accepted()) == []


async def test_an_answer_without_contact_cancels_the_first_contact(sla: Harness) -> None:
    story = Story()
    await sla.hear(story.assigned())
    assert stopped(await sla.hear(story.answered())) == {"accept": "met", "first_contact": "cancelled"}


async def test_a_closed_ticket_has_no_running_clock(sla: Harness) -> None:
    story = Story(LATE)
    await sla.hear(story.assigned())
    outcome = stopped(await sla.hear(story.closed()))
    assert outcome == {"accept": "missed", "first_contact": "missed", "resolve": "met"}
    assert await sla.rows("SELECT 1 FROM clock WHERE state = 'running'") == []


async def test_a_return_stands_the_departments_clocks_still_and_a_rejection_starts_them_again(sla: Harness) -> None:
    story = Story()
    await sla.hear(story.assigned())
    await sla.hear(story.accepted())
    said = await sla.hear(story.returned())
    assert (stopped(said), started(said)) == ({"first_contact": "cancelled"}, ["ruling"])
    said = await sla.hear(story.ruled("reject"))
    assert (stopped(said), started(said)) == ({"ruling": "met"}, ["first_contact"])
    assert stopped(await sla.hear(story.contacted())) == {"first_contact": "met"}


async def test_an_upheld_return_ends_the_work_order_and_not_the_ticket(sla: Harness) -> None:
    story = Story()
    await sla.hear(story.assigned())
    await sla.hear(story.returned())
    assert stopped(await sla.hear(story.ruled("uphold"))) == {"ruling": "met"}
    successor = story.assigned(work_order_id=uuid4(), department=METER, reassigned_from=story.work_order_id)
    assert started(await sla.hear(successor)) == ["accept", "first_contact"]


async def test_a_cancelled_work_order_has_no_clocks_and_the_ticket_keeps_its_own(sla: Harness) -> None:
    story = Story()
    await sla.hear(story.assigned())
    assert stopped(await sla.hear(story.cancelled())) == {"accept": "cancelled", "first_contact": "cancelled"}
    assert await sla.rows("SELECT kind FROM clock WHERE state = 'running'") == [("resolve",)]
    successor = story.assigned(work_order_id=uuid4(), department=METER)
    assert started(await sla.hear(successor)) == ["accept", "first_contact"]


async def test_a_return_has_a_ruling_clock_of_the_lead_department(sla: Harness) -> None:
    story = Story()
    await sla.hear(story.assigned())
    clocks = [
        each for event in await sla.hear(story.returned()) if isinstance(event, ClocksStarted) for each in event.clocks
    ]
    assert [(each.kind, each.department, each.limit_seconds, each.started_at) for each in clocks] == [
        ("ruling", LEAD, 4 * 3600, story.now)
    ]
    assert await sla.hear(story.returned()) == []


async def test_the_lead_department_is_warned_of_a_ruling_and_the_supervisor_hears_of_its_breach(sla: Harness) -> None:
    story = Story(timedelta(hours=5))
    story.now -= timedelta(hours=4, minutes=30)  # returned so long ago
    await sla.hear(story.assigned())
    await sla.hear(story.returned())
    while await timers.tick(sla.running):
        pass
    said = await sla.said()
    told = [event for event in said if isinstance(event, Escalated) and event.clock.kind == "ruling"]
    assert [(each.percent, each.level, each.to) for each in told] == [
        (50, "executing", "lead"),
        (80, "lead", "lead"),
        (100, "supervisor", "sup"),
    ]
    assert [event.clock.kind for event in said if isinstance(event, ClockBreached)].count("ruling") == 1


@pytest.mark.parametrize(("fact", "outcome"), [("cancelled", "cancelled"), ("closed", "cancelled"), ("settled", None)])
async def test_a_ruling_that_nobody_needs_any_more_has_no_clock(sla: Harness, fact: str, outcome: str | None) -> None:
    story = Story()
    await sla.hear(story.assigned(), story.returned())
    assert stopped(await sla.hear(getattr(story, fact)())).get("ruling") == outcome


async def test_a_share_that_is_moved_ends_its_clocks_and_the_new_one_begins_its_own(sla: Harness) -> None:
    story = Story()
    await sla.hear(story.assigned())
    said = await sla.hear(
        story.cancelled("reassigned"),
        story.assigned(work_order_id=uuid4(), department=METER, reassigned_from=story.work_order_id),
    )
    assert stopped(said) == {"accept": "cancelled", "first_contact": "cancelled"}
    assert started(said) == ["accept", "first_contact"]


async def test_rework_runs_all_promises_again_from_the_reopening(sla: Harness) -> None:
    story = Story(timedelta(minutes=10))
    await sla.hear(story.assigned(star=5))
    await sla.hear(story.contacted())
    await sla.hear(story.answered())
    await sla.hear(story.settled())
    said = await sla.hear(story.reopened())
    assert started(said) == ["accept", "first_contact", "resolve"]
    (event,) = said
    assert isinstance(event, ClocksStarted)
    assert {clock.started_at for clock in event.clocks} == {story.now}
    assert {clock.limit_seconds for clock in event.clocks} == {1800, 7200, 8 * 3600}
    assert await sla.hear(story.reopened()) == []
    assert stopped(await sla.hear(story.contacted())) == {"accept": "met", "first_contact": "met"}


async def test_a_merged_ticket_has_no_clocks_until_it_is_released(sla: Harness) -> None:
    story = Story(timedelta(minutes=10))
    await sla.hear(story.assigned())
    everything = dict.fromkeys(("accept", "first_contact", "resolve"), "cancelled")
    assert stopped(await sla.hear(story.merged(), story.cancelled("merged"))) == everything
    assert await sla.hear(story.merged()) == []
    said = await sla.hear(story.assigned(work_order_id=uuid4()))
    assert started(said) == ["accept", "first_contact", "resolve"]
    (event,) = said
    assert isinstance(event, ClocksStarted)
    assert [clock.started_at for clock in event.clocks if clock.kind == "resolve"] == [story.began]


async def test_a_return_of_a_merged_ticket_needs_no_ruling(sla: Harness) -> None:
    story = Story()
    await sla.hear(story.assigned(), story.returned())
    assert stopped(await sla.hear(story.merged())) == {"ruling": "cancelled", "resolve": "cancelled"}


async def test_a_member_that_is_reopened_with_its_master_starts_nothing_and_may_be_released(sla: Harness) -> None:
    story = Story()
    await sla.hear(story.assigned(), story.merged(), story.cancelled("merged"), story.settled())
    assert await sla.hear(story.reopened_with_its_master()) == []
    assert started(await sla.hear(story.assigned(work_order_id=uuid4()))) == ["accept", "first_contact", "resolve"]


async def test_the_strictest_promise_of_its_members_binds_a_master(sla: Harness) -> None:
    story = Story()
    await sla.hear(story.assigned())
    earlier = story.began - timedelta(hours=5)
    said = await sla.hear(story.joined(story.began, earlier))
    assert (stopped(said), started(said)) == ({"resolve": "cancelled"}, ["resolve"])
    assert await sla.hear(story.joined(story.began)) == []
    rows = await sla.rows("SELECT started_at, limit_seconds FROM clock WHERE kind = 'resolve' AND state = 'running'")
    assert [tuple(row) for row in rows] == [(earlier, 96 * 3600)]
    assert started(await sla.hear(story.assigned(work_order_id=uuid4(), star=4))) == [
        "accept", "first_contact", "resolve"
    ]  # fmt: skip
    assert stopped(await sla.hear(story.settled()))["resolve"] == "met"
    said = await sla.hear(story.reopened())
    assert [c.limit_seconds for e in said if isinstance(e, ClocksStarted) for c in e.clocks if c.kind == "resolve"] == [
        24 * 3600
    ]
    assert await sla.rows("SELECT 1 FROM ticket WHERE joined IS NOT NULL") == []


async def test_what_joins_before_the_master_has_a_work_order_binds_it_then(sla: Harness) -> None:
    story = Story()
    assert await sla.hear(story.joined(story.began, star=5)) == []
    said = await sla.hear(story.assigned(star=1))
    limits = {clock.kind: clock.limit_seconds for e in said if isinstance(e, ClocksStarted) for clock in e.clocks}
    assert limits == {"accept": 1800, "first_contact": 7200, "resolve": 8 * 3600}


async def test_what_joins_an_answered_master_starts_nothing(sla: Harness) -> None:
    story = Story()
    await sla.hear(story.assigned(), story.settled())
    assert await sla.hear(story.joined(story.began - LATE)) == []


async def test_a_repeat_has_stricter_clocks_and_its_rule_says_why(sla: Harness) -> None:
    await sla.hear(Story().assigned(repeats=1))
    rows = await sla.rows("SELECT kind, limit_seconds, rule FROM clock ORDER BY kind")
    assert [tuple(row) for row in rows] == [
        ("accept", 1350, "default: limits.accept, 75 % by repeated"),
        ("first_contact", 5400, "default: limits.first_contact, 75 % by repeated"),
        ("resolve", 72 * 3600, "default: limits.resolve.maintenance.1, 75 % by repeated"),
    ]


async def test_what_is_heard_before_the_assignment_still_counts(sla: Harness) -> None:
    story = Story()
    assert await sla.hear(story.accepted()) == []
    assert started(await sla.hear(story.assigned())) == ["first_contact", "resolve"]


async def test_a_late_assignment_to_a_closed_ticket_starts_nothing(sla: Harness) -> None:
    story = Story()
    assert await sla.hear(story.closed()) == []
    assert await sla.hear(story.assigned()) == []


async def test_a_repeated_fact_changes_nothing(sla: Harness) -> None:
    story = Story()
    facts: list[Callable[[], Event]] = [story.assigned, story.accepted, story.contacted, story.answered, story.settled]
    for fact in facts:
        await sla.hear(fact())
    before = await sla.rows("SELECT id, state, generation FROM clock ORDER BY id")
    for fact in facts:
        assert await sla.hear(fact()) == []
    assert await sla.rows("SELECT id, state, generation FROM clock ORDER BY id") == before


async def test_a_whole_life_in_one_batch_leaves_the_same_clocks(sla: Harness) -> None:
    stories = [Story() for _ in range(20)]
    batch: list[Event] = []
    for story in stories:
        batch += [story.assigned(), story.accepted(), story.contacted(), story.answered(), story.settled()]
    said = await sla.hear(*batch)
    assert count(said) == {"ClocksStarted": 20, "ClocksStopped": 60}
    rows = await sla.rows("SELECT state, count(*) FROM clock GROUP BY state")
    assert [tuple(row) for row in rows] == [("met", 60)]
    versions = [event.envelope.version for event in said if event.key == str(stories[0].ticket_id)]
    assert versions == [1, 2, 3, 4]
