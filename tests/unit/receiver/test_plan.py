"""What a simulation is told to play and what it draws from its seed; its texts; its log after a crash."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from zhida_receiver import new_secret
from zhida_receiver.simulation.course import course, fault
from zhida_receiver.simulation.log import Log
from zhida_receiver.simulation.plan import Behaviour, Delay, Plan, PlanUnreadable, Role, read
from zhida_receiver.simulation.speech import speech

SECRET = new_secret()
ROLE = {"code": "power", "api_key": "k.s", "keys": [SECRET]}


def test_same_seed_draws_the_same_course_and_shares_come_true() -> None:
    behaviour = Behaviour(returns=0.1, never_accepts=0.05, asks=0.2)
    ways = [course(behaviour, 7, "power", f"工单{number}") for number in range(4000)]
    again = [course(behaviour, 7, "power", f"工单{number}") for number in range(4000)]
    assert [(way.ending, way.asks, way.answer_after) for way in ways] == [
        (way.ending, way.asks, way.answer_after) for way in again
    ]
    endings = Counter(way.ending for way in ways)
    assert endings["return"] / 4000 == pytest.approx(0.1, abs=0.02)
    assert endings["never"] / 4000 == pytest.approx(0.05, abs=0.02)
    assert sum(way.asks for way in ways) / 4000 == pytest.approx(0.2, abs=0.03)
    other = [course(behaviour, 8, "power", f"工单{number}").ending for number in range(4000)]
    assert other != [way.ending for way in ways]


def test_delay_is_spread_around_its_median_and_cut() -> None:
    behaviour = Behaviour(answer_after=Delay(2.0, 0.5, longest=5.0))
    times = sorted(course(behaviour, 1, "power", str(number)).answer_after for number in range(2001))
    assert times[1000] == pytest.approx(2.0, rel=0.1)
    assert times[-1] == 5.0


def test_fault_is_drawn_for_each_attempt() -> None:
    behaviour = Behaviour(fails=0.3, hangs=0.1, throttles=0.1)
    found = Counter(fault(behaviour, 1, "power", "停电", attempt) for attempt in range(1, 3001))
    assert {name: round(count / 3000, 1) for name, count in found.items()} == {
        "none": 0.5,
        "fail": 0.3,
        "hang": 0.1,
        "throttle": 0.1,
    }


@pytest.mark.parametrize(
    ("about", "word"),
    [("小区停电抢修", "供电"), ("电费账单多收", "退"), ("表扬抢修师傅", "表扬"), ("举报邻居窃电", "用电")],
)
def test_answer_speaks_of_what_was_asked(about: str, word: str) -> None:
    texts = {speech().answer(about, course(Behaviour(), 1, "power", str(n)).choice)[0] for n in range(30)}
    assert any(word in text for text in texts)
    assert len(texts) > 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dispatch": None}, "dispatch: expected a text"),
        ({"sead": 1}, "sead: unknown field"),
        ({"seed": "one"}, "seed: expected a whole number"),
        ({"seed": True}, "seed: expected a whole number"),
        ({"poll": -1}, "poll: expected a number of 0 or more"),
        ({"departments": []}, "departments: at least one"),
        ({"departments": {}}, "departments: expected a list"),
        ({"departments": [{"code": "a"}]}, "departments[0]: give either keys or keys_file"),
        ({"departments": [{"code": "a", "keys": [SECRET]}]}, "departments[0]: give either api_key or api_key_file"),
        ({"departments": [ROLE, ROLE]}, "departments[0].code: power is played twice"),
        ({"behaviour": {"returns": 2}}, "departments[0].behaviour.returns: expected a share"),
        ({"behaviour": {"fails": 0.6, "hangs": 0.6}}, "fails, hangs and throttles together exceed 1"),
        ({"behaviour": {"answer_after": {"mean": 1}}}, "behaviour.answer_after.mean: unknown field"),
        ({"behaviour": {"answer_after": {}}}, "behaviour.answer_after.median: missing"),
    ],
)
def test_wrong_plan_is_refused_with_its_field(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    plan = {"dispatch": "http://x", "departments": [ROLE], "log": "l", "receipts": "r"} | change
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(PlanUnreadable) as caught:
        read(tmp_path / "plan.json")
    assert said in str(caught.value)


def test_plan_reads_shared_behaviour_and_paths_beside_itself(tmp_path: Path) -> None:
    plan = {
        "dispatch": "http://x",
        "departments": [{**ROLE, "behaviour": {"asks": 0.5, "answer_after": 3}}],
        "behaviour": {"asks": 0.1, "returns": 0.2},
        "log": "logs/l",
        "receipts": "/elsewhere/r",
    }
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    expected = Behaviour(asks=0.5, returns=0.2, answer_after=Delay(3.0))
    found = read(tmp_path / "plan.json")
    assert found.departments == (Role("power", "k.s", None, (SECRET,), None, 0, "/webhooks", expected),)
    assert isinstance(found, Plan)
    assert (found.log, found.receipts) == (tmp_path / "logs/l", Path("/elsewhere/r"))


async def test_half_a_line_left_by_a_killed_process_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a":1}\n{"half":' + b"x" * 100_000)
    async with Log(path) as log:
        await log.write({"b": 2})
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"a": 1}, {"b": 2}]
