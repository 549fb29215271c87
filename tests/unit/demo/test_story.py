"""A ticket's timeline holds what every source knows of it, in order of time."""

from dataclasses import replace

from demo.story import interesting, story
from tests.unit.demo.run_of_one_ticket import TICKET, facts


def test_the_story_holds_every_source_in_order() -> None:
    lines = story(facts(), str(TICKET))
    assert [line.at for line in lines] == sorted(line.at for line in lines)
    assert {"platform", "intake", "classification", "dispatch", "sla_timer", "a", "b", "agent A1"} <= {
        line.who for line in lines
    }
    told = "\n".join(line.what for line in lines)
    for part in ("received: 停电", "甲 returns it", "lead rules: uphold, to 乙", "乙 asks: 几楼？", "clock at 50 %"):
        assert part in told


def test_the_most_eventful_ticket_is_shown() -> None:
    assert interesting(facts()) == str(TICKET)


def test_without_any_turn_some_ticket_is_shown_and_of_no_ticket_none() -> None:
    run = facts()
    assert interesting(replace(run, said=())) == str(TICKET)
    assert interesting(replace(run, said=(), received=())) is None
