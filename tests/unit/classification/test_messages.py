"""`zhida classification hot-events`: a file of messages in, the hottest matters and repeats out."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from libs.operate.cli import zhida

HEADER = "message_id,user_id,title,body,created_at,likes\n"
NOISE = (
    "1,u{n},{place}附近工地夜里施工,{place}旁边的工地每天夜里施工到两点，噪音很大睡不着，请管一管,"
    "2026-07-{day:02} 22:10:00,{likes}\n"
)
OTHERS = (
    "9,u50,咨询落户要带什么材料,想把户口迁过来，需要哪些证件,2026/7/3 9:05,0\n"
    "9,u51,路灯不亮,人民路到解放路的路灯坏了一个星期,2026-07-04T08:00:00,900\n"
    "9,u52,建议增开公交线路,新城到火车站没有直达公交,2026-07-05,1\n"
    "9,u52,再次建议增开公交线路,新城到火车站还是没有直达公交,2026-07-06,1\n"
)


def file(tmp_path: Path, text: str, header: str = HEADER) -> Path:
    path = tmp_path / "messages.csv"
    path.write_text(header + text, encoding="utf-8")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(zhida, ["classification", "hot-events", *map(str, arguments)])


def test_many_messages_and_much_liked_ones_are_the_hottest_and_repeats_are_found(tmp_path: Path) -> None:
    noise = "".join(NOISE.format(n=n, place="梧桐里小区", day=n + 1, likes=n % 2) for n in range(20))
    result = run(file(tmp_path, noise + OTHERS), "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    first, second, *_ = found["hottest"]
    assert (second["messages"], second["people"], second["likes"]) == (list(range(2, 22)), 20, 10)
    assert (first["messages"], first["likes"]) == ([23], 900), "one message that many like"
    assert "工地" in second["title"]
    assert found["repeats"] == [[25, 24]]
    shown = run(file(tmp_path, noise + OTHERS), "--most", 2).stdout.splitlines()
    assert shown[0].startswith("  1. ")
    assert "and 15 more" in "\n".join(shown)
    assert "1 messages repeat an earlier one of the same customer, in 1 chains" in "\n".join(shown)


def test_columns_are_found_by_their_names_or_named(tmp_path: Path) -> None:
    path = file(tmp_path, "小区停电了,3,2026-07-01\n小区又停电了,4,2026-07-02\n", "said,loved,day\n")
    missing = run(path)
    assert missing.exit_code == 1
    assert "no column of text found by its name; it has: said, loved, day" in missing.output
    named = run(path, "--text-columns", "said", "--likes-column", "loved", "--time-column", "day")
    assert named.exit_code == 0
    assert "7 likes  2026-07-01 to 2026-07-02" in named.stdout


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1,u,t,b,yesterday,0\n", "line 2"),
        ("1,u,t,b,2026-07-01,many\n", "invalid literal"),
        ("1,u,,,2026-07-01,1\n", "no row has a text"),
    ],
)
def test_wrong_cells_are_named_by_line(tmp_path: Path, row: str, reason: str) -> None:
    result = run(file(tmp_path, row))
    assert result.exit_code == 1
    assert reason in result.output


def test_long_numbers_are_masked_in_what_is_shown(tmp_path: Path) -> None:
    result = run(file(tmp_path, "1,u,请回电13800000000,家里停电,2026-07-01,1\n"))
    assert "13800000000" not in result.stdout
    assert "请回电*" in result.stdout
