"""The packs that come with Zhida are complete and MECE, and a wrong pack is refused with every place named."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from services.classification import packs
from services.classification.domain import pack, sheet
from services.classification.domain.classifier import Classifier
from services.classification.domain.matrix import MatrixError
from services.classification.domain.rule import HotEventRule, RepeatRule
from services.classification.domain.text import Reading

POWER = pack.read(packs.text("power_95598"))
CITY = pack.read(packs.text("city_12345"))


POSTS = [{"name": "值班员"}]


def small() -> dict[str, Any]:
    """A pack with two situations, good as it is."""
    return {
        "name": "small",
        "version": "1",
        "title": "小矩阵",
        "supervisors": [{"code": "boss", "name": "局长"}],
        "departments": [
            {"code": "grid", "name": "电网部", "role": "lead", "posts": POSTS},
            {"code": "crew", "name": "抢修班", "role": "executing", "posts": [{"name": "抢修班长"}, {"name": "班员"}]},
        ],
        "defaults": {
            "lead": "grid",
            "executing": ["crew"],
            "supervisor": "boss",
            "sla_class": "maintenance",
            "join_policy": "all",
            "urgency": "normal",
            "business_type": "fault",
            "complaint_object": "external",
        },
        "classes": [
            {
                "code": "A",
                "name": "供电",
                "groups": [
                    {
                        "name": "停电",
                        "categories": [
                            {
                                "code": "A01",
                                "name": "故障",
                                "situations": [
                                    {"code": "A01-1", "name": "停电", "description": "没有电", "phrases": ["没电"]},
                                    {"code": "A01-2", "name": "冒火", "description": "火花", "phrases": ["冒火"]},
                                ],
                            }
                        ],
                    }
                ],
            }
        ],
        "rules": {"review": {"probability": 0.5}, "risk": {"high_from": 3}},
    }


def situations(raw: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = raw["classes"][0]["groups"][0]["categories"][0]["situations"]
    return found


def faults(raw: object) -> list[str]:
    with pytest.raises(MatrixError) as error:
        pack.read(yaml.safe_dump(raw, allow_unicode=True))
    return [str(problem) for problem in error.value.problems]


def test_power_pack_has_7_classes_54_categories_and_13_departments() -> None:
    assert len({situation.path[0] for situation in POWER.situations}) == 7
    assert len({situation.category for situation in POWER.situations}) == 54
    assert sorted(department.role for department in POWER.departments) == ["executing"] * 6 + ["lead"] * 7


def test_power_pack_speaks_of_all_eight_business_types() -> None:
    assert {situation.business_type for situation in POWER.situations} == {
        "inquiry", "opinion", "suggestion", "complaint", "report", "praise", "service_request", "fault"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("class_name", "lead"), [("供电能力", "计划发展部"), ("业扩报装", "市场营销部"), ("供电质量", "生产设备管理部")]
)
def test_named_departments_of_the_source_lead_their_class(class_name: str, lead: str) -> None:
    leads = {
        POWER.department_by_code[situation.lead].name
        for situation in POWER.situations
        if situation.path[0] == class_name and situation.lead != "discipline"
    }
    assert leads == {lead}


def test_not_dispatched_and_passing_the_buck_are_situations_of_their_own() -> None:
    names = {situation.name: situation for situation in POWER.situations}
    assert names["应派未派"].complaint_object == "internal"
    assert names["坐席推诿"].complaint_object == "internal"
    assert names["部门相互推诿"].complaint_object == "external"


def test_city_pack_has_the_seven_departments_and_each_class_is_led_by_its_own() -> None:
    names = {department.name for department in CITY.departments}
    assert names == {"城乡建设", "劳动和社会保障", "教育文体", "商贸旅游", "环境保护", "卫生计生", "交通运输"}
    assert {(situation.path[0], CITY.department_by_code[situation.lead].name) for situation in CITY.situations} == {
        (name, name) for name in names
    }


def test_telecom_pack_has_maintenance_and_construction_under_departments_of_their_own() -> None:
    telecom = packs.read("telecom_10000")
    leads = {
        kind: {s.lead for s in telecom.situations if s.sla_class == kind} for kind in ("maintenance", "construction")
    }
    assert leads["construction"] == {"construction", "enterprise"}
    assert "operations" in leads["maintenance"]
    assert {department.role for department in telecom.departments} == {"lead", "executing"}


def test_same_content_has_the_same_version_and_a_changed_cell_another() -> None:
    raw = small()
    before = pack.read(yaml.safe_dump(raw)).version
    assert before == pack.read(yaml.safe_dump(raw, indent=8)).version
    situations(raw)[0]["urgency"] = "urgent"
    assert pack.read(yaml.safe_dump(raw)).version != before


def test_rules_that_a_pack_does_not_name_have_defaults_and_leave_its_version_as_it_was() -> None:
    plain = pack.read(yaml.safe_dump(small()))
    assert (plain.rules.repeat, plain.rules.hot_event) == (RepeatRule(), HotEventRule())
    assert plain.rules.risk.repeat_points == 0
    assert pack.form(plain)["rules"].keys() & {"repeat", "hot_event"} == set()
    raw = small()
    raw["rules"] |= {"repeat": {"days": 30}, "hot_event": {"least": 5}}
    assert pack.read(yaml.safe_dump(raw)).version == plain.version, "they say what holds anyway"


def test_rules_for_repeats_and_hot_events_come_back_from_yaml_and_workbook() -> None:
    raw = small()
    raw["rules"]["risk"]["repeat_points"] = 2
    raw["rules"] |= {"repeat": {"days": 7, "area": 0.75}, "hot_event": {"least": 9, "times": 2.5, "fold_from": 0}}
    matrix = pack.read(yaml.safe_dump(raw))
    assert matrix.rules.repeat == RepeatRule(days=7, area=0.75)
    assert matrix.rules.hot_event == HotEventRule(least=9, times=2.5, fold_from=0)
    assert matrix.rules.risk.repeat_points == 2
    assert pack.read(pack.write(pack.form(matrix))) == matrix
    assert sheet.read(sheet.write(pack.form(matrix))) == matrix


@pytest.mark.parametrize(
    ("rule", "key", "value"),
    [
        ("repeat", "days", 61),
        ("repeat", "area", 1.1),
        ("hot_event", "least", 2),
        ("hot_event", "leest", 9),
        ("hot_event", "fold_from", -1),
    ],
)
def test_wrong_thresholds_are_named(rule: str, key: str, value: float) -> None:
    raw = small()
    raw["rules"][rule] = {key: value}
    assert [fault for fault in faults(raw) if fault.startswith(f"rules.{rule}.{key}")], faults(raw)


def test_nearest_level_gives_a_key() -> None:
    raw = small()
    raw["classes"][0]["defaults"] = {"urgency": "urgent"}
    situations(raw)[1]["urgency"] = "normal"
    assert [situation.urgency for situation in pack.read(yaml.safe_dump(raw)).situations] == ["urgent", "normal"]


def change(key: str, value: object, at: int = 0) -> Callable[[dict[str, Any]], None]:
    def apply(raw: dict[str, Any]) -> None:
        situations(raw)[at][key] = value

    return apply


def no_lead(raw: dict[str, Any]) -> None:
    del raw["defaults"]["lead"]


def no_situations(raw: dict[str, Any]) -> None:
    situations(raw).clear()


def idle_department(raw: dict[str, Any]) -> None:
    raw["departments"].append({"code": "idle", "name": "闲置部", "role": "lead", "posts": POSTS})


def twice_the_category(raw: dict[str, Any]) -> None:
    raw["classes"][0]["groups"][0]["categories"].append(
        {
            "code": "A01",
            "name": "另一个",
            "situations": [{"code": "A02-1", "name": "另", "description": "另", "phrases": ["另外的"]}],
        }
    )


def posts(*found: dict[str, Any], **cells: Any) -> Callable[[dict[str, Any]], None]:
    def apply(raw: dict[str, Any]) -> None:
        raw["departments"][1] = {**raw["departments"][1], "posts": list(found), **cells}

    return apply


def idle_supervisor(raw: dict[str, Any]) -> None:
    raw["supervisors"].append({"code": "idle", "name": "闲置"})


CELL = "classes[0].groups[0].categories[0]"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (change("lead", "nobody"), "situation A01-1.lead: unknown department 'nobody'"),
        (change("lead", "crew"), "situation A01-1.lead: department 'crew' may not lead: its role is executing"),
        (change("executing", ["nobody"]), "situation A01-1.executing: unknown department 'nobody'"),
        (change("executing", ["crew", "crew"]), "situation A01-1.executing: a department stands there twice"),
        (change("supervisor", "nobody"), "situation A01-1.supervisor: unknown supervisor 'nobody'"),
        (change("code", "A01-2"), "situation code 'A01-2': stands there more than once"),
        (change("name", "冒火"), "situation name '冒火': stands there more than once"),
        (change("phrases", ["电"]), "situation A01-1.phrases: '电' is too short: two characters at least"),
        (
            change("phrases", ["变压器冒火"]),
            "situation A01-1.phrases: '变压器冒火' is claimed by situation A01-2 too, with '冒火': "
            "both claim a ticket that says “变压器冒火” (line ",
        ),
        (change("phrases", ["没电", "家里没电"]), "situation A01-1.phrases: '家里没电' says no more than '没电'"),
        (change("executing", []), f"{CELL}.situations[0].executing (A01-1): Tuple should have at least 1 item"),
        (change("phrases", []), f"{CELL}.situations[0].phrases (A01-1): Tuple should have at least 1 item"),
        (change("sla_class", "quick"), f"{CELL}.situations[0].sla_class (A01-1): Input should be 'maintenance'"),
        (change("leed", "grid"), f"{CELL}.situations[0].leed (A01-1): Extra inputs are not permitted"),
        (no_lead, "situation A01-1.lead: is given at no level"),
        (no_situations, f"{CELL}.situations (A01): Tuple should have at least 1 item"),
        (idle_department, "department idle: no situation leads to it"),
        (idle_supervisor, "supervisor idle: no situation names it"),
        (posts(), "department crew.posts: has no duty post (line "),
        (
            posts({"name": "调度台", "inbox": False}),
            "department crew.posts: cannot be reached: it has no webhook, and no duty post reads the inbox (line ",
        ),
        (posts({"name": "甲"}, {"name": "甲"}), "department crew.posts: duty post '甲' stands there twice (line "),
        (posts({"name": "甲", "hours": "8-17"}), "departments[1].posts[0].hours (甲): String should match pattern"),
        (
            posts({"name": "甲 仅电话"}),
            "departments[1].posts[0].name (甲 仅电话): Value error, ends as hours or 仅电话 do",
        ),
        (posts({"name": "甲", "phone": "1"}), "departments[1].posts[0].phone (甲): Extra inputs are not permitted"),
        (twice_the_category, "category A01: stands there more than once"),
    ],
)
def test_a_matrix_that_is_not_mece_is_refused_with_the_wrong_cell_named(
    spoil: Callable[[dict[str, Any]], None], message: str
) -> None:
    raw = small()
    spoil(raw)
    assert any(fault.startswith(message) for fault in faults(raw)), faults(raw)


@pytest.mark.parametrize("name", packs.names())
def test_every_category_has_a_situation_and_every_situation_one_lead_and_an_executing_department(name: str) -> None:
    matrix = packs.read(name)
    leads = {department.code for department in matrix.departments if department.role == "lead"}
    assert all(situation.lead in leads and situation.executing for situation in matrix.situations)
    names = [situation.name for situation in matrix.situations]
    phrases = [phrase.text for situation in matrix.situations for phrase in situation.phrases]
    assert len(names) == len(set(names))
    assert len(phrases) == len(set(phrases))
    form = yaml.safe_load(packs.text(name))
    categories = [each for c in form["classes"] for group in c["groups"] for each in group["categories"]]
    assert {each["code"] for each in categories} == {situation.category for situation in matrix.situations}


@pytest.mark.parametrize(
    ("phrase", "other", "ticket"),
    [
        ("停电没有通知", "停电…通知", "停电没有通知"),
        ("小区停电…物业没有通知", "停电…通知", "小区停电，物业没有通知"),
        ("停电…通知…物业", "停电…物业", "停电，通知，物业"),
    ],
)
def test_phrases_with_a_gap_that_claim_the_same_tickets_are_named_with_one(
    phrase: str, other: str, ticket: str
) -> None:
    raw = small()
    change("phrases", [phrase])(raw)
    change("phrases", [other], at=1)(raw)
    [fault] = faults(raw)
    assert f"'{phrase}' is claimed by situation A01-2 too, with '{other}'" in fault
    assert f"“{ticket}”" in fault


def test_phrases_that_only_share_characters_are_no_overlap() -> None:
    raw = small()
    change("phrases", ["停电…通知", "没有来电"])(raw)
    change("phrases", ["通知…停电", "来电显示"], at=1)(raw)
    pack.read(yaml.safe_dump(raw))


def test_department_with_a_webhook_needs_nobody_who_reads_the_inbox() -> None:
    raw = small()
    posts({"name": "调度台", "hours": "08:00-24:00", "inbox": False}, webhook=True)(raw)
    matrix = pack.read(yaml.safe_dump(raw))
    assert matrix.departments[1].webhook
    assert pack.read(pack.write(pack.form(matrix))) == matrix
    assert sheet.read(sheet.write(pack.form(matrix))) == matrix


@pytest.mark.parametrize("name", packs.names())
def test_every_department_of_a_pack_is_manned_and_reads_its_inbox(name: str) -> None:
    for department in packs.read(name).departments:
        assert any(post.inbox and not post.hours for post in department.posts), f"{department.code} at night"


@pytest.mark.parametrize("name", packs.names())
def test_every_situation_of_a_pack_is_reached_by_each_of_its_own_phrases(name: str) -> None:
    matrix = packs.read(name)
    classifier = Classifier(matrix)
    for situation in matrix.situations:
        for phrase in situation.phrases:
            best = classifier.judge(Reading.of("", phrase.example)).best
            assert matrix.situations[best].code == situation.code, phrase.text


def test_everything_wrong_is_said_at_once() -> None:
    raw = small()
    change("lead", "nobody")(raw)
    change("supervisor", "nobody", at=1)(raw)
    assert len(faults(raw)) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: b: c", "line 1, column 5: is not YAML"),
        ("- a", "file: Input should be a valid dictionary"),
        ("", "file: Input should be a valid dictionary"),
        (b"\xff\xfe\x00", "file: is not YAML"),
        ("!!python/object/apply:os.system ['true']", "line 1, column 1: is not YAML"),
    ],
)
def test_what_is_no_pack_is_refused_with_the_place(text: str | bytes, message: str) -> None:
    with pytest.raises(MatrixError) as error:
        pack.read(text)
    assert str(error.value).startswith(message)


def test_missing_file_is_refused_with_the_names_of_the_packs() -> None:
    with pytest.raises(packs.PackError, match="power_95598"):
        packs.read("no_such_pack")


@pytest.mark.parametrize(
    ("label", "covered"),
    [
        ("A01-1", {"A01-1"}),
        ("规划变电站选址争议", {"A01-1"}),
        ("A01", {"A01-1", "A01-2"}),
        ("变电站布点", {"A01-1", "A01-2"}),
        ("电网规划布局", {s.code for s in POWER.situations if s.path[1] == "电网规划布局"}),
        ("计划发展部", {s.code for s in POWER.situations if s.lead == "planning"}),
        ("planning", {s.code for s in POWER.situations if s.lead == "planning"}),
    ],
)
def test_label_may_be_of_any_level(label: str, covered: set[str]) -> None:
    assert {POWER.situations[index].code for index in POWER.labels[label]} == covered


def test_pack_without_limits_of_reviews_has_the_usual_ones_and_keeps_them() -> None:
    text = packs.text("power_95598")
    begin, end = text.index("    minutes: 240"), text.index("  # Business type and situation")
    bare = pack.read(text[:begin] + text[end:])
    assert (bare.rules.review.minutes, bare.rules.review.channel_minutes, bare.rules.review.star_minutes) == (
        240,
        (),
        (),
    )
    assert pack.read(pack.write(pack.form(bare))) == bare
    assert sheet.read(sheet.write(pack.form(bare))) == bare


@pytest.mark.parametrize(
    "line", ["minutes: 0", "channel_minutes: {post: 5}", "star_minutes: {6: 5}", "star_minutes: {5: x}"]
)
def test_wrong_limit_of_reviews_is_named(line: str) -> None:
    key = line.split(":", maxsplit=1)[0]
    text = re.sub(rf"(?m)^    {key}: .*$", f"    {line}", packs.text("power_95598"), count=1)
    with pytest.raises(MatrixError, match=f"rules.review.{key}"):
        pack.read(text)
