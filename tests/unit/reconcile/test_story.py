"""A ticket's timeline holds what every source knows of it, in order of time."""

from reconcile.story import story
from tests.unit.reconcile.run_of_one_ticket import TICKET, a_run


def test_the_story_holds_every_source_in_order() -> None:
    run = a_run()
    book = run.book()
    bodies = {(each.topic, 0, each.offset): each.data for each in run.said}
    lines = story(book, str(TICKET), bodies)
    book.close()
    assert [line.at for line in lines] == sorted(line.at for line in lines)
    assert {"platform", "intake", "classification", "dispatch", "sla_timer", "a", "b", "agent A1"} <= {
        line.who for line in lines
    }
    told = "\n".join(line.what for line in lines)
    for part in ("received: 停电", "甲 returns it", "lead rules: uphold, to 乙", "乙 asks: 几楼？", "clock at 50 %"):
        assert part in told


def test_without_the_events_own_words_the_story_names_them() -> None:
    run = a_run()
    run.tables["grave"] = [{"service": 3, "topic": 1, "partition": 0, "place": 2, "key": str(TICKET), "error": "no"}]
    book = run.book()
    told = [line.what for line in story(book, str(TICKET), {})]
    book.close()
    assert "WorkOrderReturned" in told
    assert told[-1] == "has zhida.tickets.v1/0@2 buried: no"
