"""`zhida classification …` against a real database: packs, training, models in force, evaluation."""

import asyncio
import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from libs.operate.cli import zhida
from libs.shared.contracts.classification import TicketClassified
from libs.shared.events import uuid7
from services.classification import packs
from services.classification.current import current
from services.classification.domain import pack
from tests.integration.classification.conftest import received
from tests.running import Harness

TOPICS = {
    "环境保护": ["油烟", "噪音", "废水", "粉尘", "焚烧", "臭气", "污染", "养猪场"],
    "交通运输": ["公交车", "出租车", "高铁", "公路", "驾校", "堵车", "客运站", "司机"],
    "教育文体": ["黑板", "粉笔", "操场", "班主任", "作文", "校服", "铃声", "课桌"],  # no word of the matrix
}
PLACES = ["东门", "西街", "南湖", "北桥", "中山路", "新村", "老城", "河边", "山上", "广场"]


def labelled(path: Path, rows: int = 150, seed: int = 0, noise: float = 0.0) -> Path:
    """A file of labelled messages, some with a wrong label."""
    chance = random.Random(seed)
    lines = ["title,text,department"]
    for number in range(rows):
        label = list(TOPICS)[number % 3]
        cut = chance.sample(TOPICS[label], 4) + chance.sample(PLACES, 3)
        chance.shuffle(cut)
        said = chance.choice(list(TOPICS)) if chance.random() < noise else label
        lines.append(f"{cut[0]},{''.join(cut)},{said}")
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


async def command(h: Harness | None, *arguments: str | Path) -> Result:
    """Run the command line in another thread, as its own process would."""
    environment = {"ZHIDA_LOG_LEVEL": "error"}
    if h:
        environment["DATABASE_URL"] = h.running.settings.database_url.get_secret_value()
    line = ["classification", *map(str, arguments)]
    return await asyncio.to_thread(CliRunner().invoke, zhida, line, None, environment)


async def good(h: Harness | None, *arguments: str | Path) -> str:
    result = await command(h, *arguments)
    assert result.exit_code == 0, result.output + str(result.exception)
    return result.stdout


async def test_matrix_is_loaded_shown_and_put_in_force_again(classification: Harness, tmp_path: Path) -> None:
    await current(classification.running).refresh()
    power = (await good(classification, "matrix", "list")).split()[0]
    assert "in force: city_12345-" in await good(classification, "matrix", "load", "city_12345", "--by", "owner")
    outline = await good(classification, "matrix", "show", "--full")
    assert "7 classes" in outline
    assert "环境保护 → 环境保护" in outline
    assert power in await good(classification, "matrix", "activate", power, "--reason", "back")
    history = await good(classification, "matrix", "list")
    assert "by owner" in history
    assert "back" in history
    assert (await current(classification.running).refresh()).matrix.name == "power_95598"


async def test_exported_matrix_comes_back_as_it_was(classification: Harness, tmp_path: Path) -> None:
    await current(classification.running).refresh()
    version = (await good(classification, "matrix", "list")).split()[0]
    for name in ("matrix.xlsx", "matrix.yaml"):
        assert version in await good(classification, "matrix", "export", tmp_path / name)
        assert version in await good(None, "matrix", "validate", tmp_path / name)
        assert f"in force: {version}" in await good(classification, "matrix", "load", tmp_path / name)
    assert len(await classification.rows("SELECT 1 FROM activation")) == 1


async def test_new_pack_says_what_is_still_to_be_done(tmp_path: Path) -> None:
    names = ("--name", "new", "--title", "新", "--lead", "归口部", "--executing", "责任部", "--supervisor", "督办人")
    listed = tmp_path / "list.csv"
    listed.write_text("一级,二级,三级\n供电,停电,停电\n供电,停电,计划停电\n", encoding="utf-8")
    made = await good(None, "matrix", "new", listed, tmp_path / "new.xlsx", *names)
    claimed = "'计划停电' is claimed by situation C1-01-1 too, with '停电': both claim a ticket that says “计划停电”"
    assert f"{claimed} (sheet 矩阵, cell I3)" in made
    again = await command(None, "matrix", "new", listed, tmp_path / "new.xlsx", *names)
    assert "exists already" in again.output
    listed.write_text("一级,二级,三级\n供电,,停电\n", encoding="utf-8")
    bad = await command(None, "matrix", "new", listed, tmp_path / "other.yaml", *names)
    assert "line 2: level 2 is empty" in bad.output
    assert not (tmp_path / "other.yaml").exists()


async def test_what_if_says_who_would_get_the_tickets_of_the_last_days(classification: Harness, tmp_path: Path) -> None:
    await current(classification.running).refresh()
    now = datetime.now(UTC)
    text = "高压线走向不合理，线路路径从居民楼上方通过，高压走廊太近。"
    events = [received(text, ticket_id=uuid7(now - timedelta(days=age))) for age in (1, 2, 40)]
    await classification.hear(*events)
    form = pack.form(packs.read("power_95598"))
    [line] = [row for row in form["classes"][0]["groups"][0]["categories"][1]["situations"] if row["code"] == "A02-1"]
    line["executing"] = ["repair_centre"]
    draft = tmp_path / "draft.yaml"
    draft.write_text(pack.write(form), encoding="utf-8")
    found = json.loads(await good(classification, "matrix", "what-if", draft, "--json"))
    assert (found["tickets"], found["elsewhere"], found["other_clocks"]) == (2, 2, 0)
    assert found["table"] == [["transmission_station", "repair_centre", 2]]
    assert set(found["examples"]["A02-1 → A02-1"]) == {str(event.ticket_id) for event in events[:2]}
    shown = await good(classification, "matrix", "what-if", draft, "--days", "100")
    assert "3 100.0%  would go to other executing departments" in shown
    assert len(await classification.rows("SELECT 1 FROM activation")) == 1


async def test_what_if_of_a_file_needs_no_database(tmp_path: Path) -> None:
    tickets = tmp_path / "tickets.csv"
    tickets.write_text("title,text\n公交车,公交车司机甩客\n,\n出租车,出租车拒载\n", encoding="utf-8")
    line = ("matrix", "what-if", "city_12345", "--against", "city_12345", "--tickets", tickets)
    result = await command(None, *line)
    assert result.exit_code == 0, result.output
    assert "2 tickets" in result.stdout
    assert "1 rows without text left out (lines 3)" in result.output
    alone = await command(None, *line[:-2])
    assert "--against needs --tickets" in alone.output
    both = tmp_path / "both.csv"
    both.write_text("text\n公交车司机甩客，还有油烟扰民\n", encoding="utf-8")
    checked = await good(None, "matrix", "validate", "city_12345", "--tickets", both)
    assert "pairs of situations with different routes claim the same of 1 tickets" in checked
    assert "such as #1" in checked
    assert "situations in none: U01-1," in checked


async def test_department_without_a_duty_post_is_named_by_its_line_or_cell(tmp_path: Path) -> None:
    form = pack.form(packs.read("power_95598"))
    form["departments"][1]["posts"] = []
    form["departments"][2]["posts"] = [{"name": "调度台", "inbox": False}]
    for name in ("bad.yaml", "bad.xlsx"):
        packs.write(tmp_path / name, form)
        said = (await command(None, "matrix", "validate", tmp_path / name)).output
        place = "(sheet 部门, cell D3)" if name.endswith("xlsx") else "(line "
        assert f"department marketing.posts: has no duty post {place}" in said
        assert "department production.posts: cannot be reached" in said


async def test_bad_pack_changes_nothing_and_says_everything(classification: Harness, tmp_path: Path) -> None:
    await current(classification.running).refresh()
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: x\nclasses: []\n", encoding="utf-8")
    for arguments in (("matrix", "load", bad), ("matrix", "validate", bad), ("matrix", "check", bad)):
        result = await command(classification, *arguments)
        assert result.exit_code == 1
        assert "classes: Tuple should have at least 1 item" in result.output
        assert "departments: Field required" in result.output
    assert len(await classification.rows("SELECT 1 FROM activation")) == 1
    missing = await command(classification, "matrix", "activate", "no-such-version")
    assert "there is no matrix version no-such-version" in missing.output


async def test_trained_model_is_in_force_in_every_process_within_seconds(
    classification: Harness, tmp_path: Path
) -> None:
    await good(classification, "matrix", "load", "city_12345")
    out = await good(classification, "train", labelled(tmp_path / "rows.csv"))
    assert "macro-F1" in out
    assert "in force: model" in out
    now = await current(classification.running).refresh()
    assert str(now.model_version) in out
    await classification.said()
    [said] = await classification.hear(received("中山路堵车，公交车和出租车司机都过不去"))
    assert isinstance(said, TicketClassified)
    assert said.lead_department.name == "交通运输"
    assert (said.decided_by, said.model_version) == ("model", now.model_version)
    assert set(said.words) & {"堵车", "公交车", "出租车", "司机"}


async def test_worse_model_is_kept_but_not_put_in_force_unless_forced(classification: Harness, tmp_path: Path) -> None:
    await good(classification, "matrix", "load", "city_12345")
    await good(classification, "train", labelled(tmp_path / "good.csv"))
    first = (await current(classification.running).refresh()).model_version
    bad = labelled(tmp_path / "bad.csv", seed=1, noise=0.6)
    refused = await command(classification, "train", bad)
    assert refused.exit_code == 3
    assert "worse than the model in force" in refused.output
    assert "that neither had seen" in refused.output
    assert (await current(classification.running).refresh()).model_version == first
    assert "in force: model" in await good(classification, "train", bad, "--force")
    assert (await current(classification.running).refresh()).model_version != first
    assert str(first) in await good(classification, "model", "rollback")
    listed = await good(classification, "model", "list")
    assert listed.count("macro-F1") == 3
    assert f"* {first}" in listed
    assert "none" in await good(classification, "model", "activate", "none")
    assert (await current(classification.running).refresh()).model_version is None


async def test_decisions_of_reviewers_are_learned_from(classification: Harness, tmp_path: Path) -> None:
    await good(classification, "matrix", "load", "city_12345")
    await current(classification.running).refresh()
    ids = []
    for number in range(3):
        heard = received(f"麒麟阁那边的事{number}")
        await classification.hear(heard)
        ids.append(heard.ticket_id)
    async with classification.client("li", "review") as http:
        for ticket_id in ids:
            headers = {"Idempotency-Key": str(ticket_id)}
            body = {"situation": "T03-2"}
            assert (await http.post(f"/v1/reviews/{ticket_id}/decide", json=body, headers=headers)).status_code == 200
    result = await command(classification, "train", labelled(tmp_path / "rows.csv"), "--no-activate")
    assert result.exit_code == 0
    assert "153 rows" in result.output


async def test_labels_of_another_pack_are_refused_by_name(classification: Harness, tmp_path: Path) -> None:
    await current(classification.running).refresh()
    result = await command(classification, "train", labelled(tmp_path / "rows.csv"))
    assert result.exit_code == 1
    assert "环境保护" in result.output
    assert "matrix load" in result.output
    assert "no model was ever in force" in (await command(classification, "model", "rollback")).output
    assert "there is no model version x" in (await command(classification, "model", "activate", "x")).output


async def test_model_that_does_not_fit_a_new_matrix_is_left_aside(classification: Harness, tmp_path: Path) -> None:
    await good(classification, "matrix", "load", "city_12345")
    await good(classification, "train", labelled(tmp_path / "rows.csv"))
    await good(classification, "matrix", "load", "power_95598")
    now = await current(classification.running).refresh()
    assert (now.matrix.name, now.model_version) == ("power_95598", None)
    version = (await good(classification, "model", "list")).split()[1]
    assert "does not fit the matrix in force" in (await command(classification, "model", "activate", version)).output


async def test_altered_model_bytes_are_not_loaded(classification: Harness, tmp_path: Path) -> None:
    await good(classification, "matrix", "load", "city_12345")
    await good(classification, "train", labelled(tmp_path / "rows.csv"))
    await classification.rows("UPDATE model SET bytes = bytes || '\\x00'::bytea RETURNING 1")
    with pytest.raises(OSError, match="SHA-256"):
        await current(classification.running).refresh()


async def test_train_and_evaluate_work_without_a_database(tmp_path: Path) -> None:
    out = tmp_path / "model.npz"
    rows = labelled(tmp_path / "rows.csv")
    assert "wrote" in await good(None, "train", rows, "--out", out, "--pack", "city_12345")
    unseen = labelled(tmp_path / "unseen.csv", seed=9)
    plots = tmp_path / "plots"
    printed = await good(None, "evaluate", unseen, "--model-file", out, "--pack", "city_12345", "--plots", plots)
    for part in ("accuracy", "macro-F1", "precision", "coverage", "calibration", "without a person", "ms of processor"):
        assert part in printed
    assert {path.name for path in plots.iterdir()} == {"coverage.png", "calibration.png", "confusion.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in plots.iterdir())
    found = json.loads(await good(None, "evaluate", unseen, "--model-file", out, "--pack", "city_12345", "--json"))
    assert found["report"]["macro_f1"] > 0.9
    assert found["matrix"].startswith("city_12345-")
    cold = json.loads(await good(None, "evaluate", unseen, "--pack", "city_12345", "--json"))
    assert cold["report"]["rows"] == 150


async def test_evaluation_takes_the_model_in_force_or_none(classification: Harness, tmp_path: Path) -> None:
    await good(classification, "matrix", "load", "city_12345")
    await good(classification, "train", labelled(tmp_path / "rows.csv"))
    unseen = labelled(tmp_path / "unseen.csv", seed=9)
    learned = json.loads(await good(classification, "evaluate", unseen, "--json"))
    cold = json.loads(await good(classification, "evaluate", unseen, "--json", "--model", "none"))
    assert learned["report"]["macro_f1"] > cold["report"]["macro_f1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "nowhere.csv", "--out", "m"), "nowhere.csv: No such file"),
        (("evaluate", "nowhere.csv", "--pack", "city_12345"), "nowhere.csv: No such file"),
        (("evaluate",), "Missing argument"),
        (("matrix", "check", "nowhere"), "neither a file nor one of the packs city_12345, power_95598"),
    ],
)
async def test_bad_arguments_are_named(arguments: tuple[str, ...], message: str) -> None:
    result = await command(None, *arguments)
    assert result.exit_code != 0
    assert message in result.output


async def test_broken_model_file_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "model.npz"
    broken.write_bytes(b"nothing")
    rows = labelled(tmp_path / "rows.csv")
    result = await command(None, "evaluate", rows, "--model-file", broken, "--pack", "city_12345")
    assert (result.exit_code, "not a model" in result.output) == (1, True)
