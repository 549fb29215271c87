"""What a benchmark finds: ratio and goal, the table, the JSON, the plot."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import measure
from benchmarks.measure import measured
from benchmarks.place import Options

MACHINE = {"cpu": "A CPU", "cores": 2, "commit": "abc"}


@pytest.mark.parametrize(
    ("baseline", "least", "most", "value", "ratio", "met"),
    [
        (100.0, 0.8, None, 80.0, 0.8, True),
        (100.0, 0.8, None, 79.0, 0.79, False),
        (100.0, None, 1.2, 120.0, 1.2, True),
        (100.0, None, 1.2, 121.0, 1.21, False),
        (None, 800.0, None, 800.0, None, True),
        (None, None, 500.0, 501.0, None, False),
        (None, None, 0.0, 0.0, None, True),
        (None, None, 0.0, 1.0, None, False),
        (100.0, None, None, 50.0, 0.5, None),
    ],
)
def test_goal_is_one_of_the_ratio_where_there_is_a_baseline_else_of_the_value(
    *,
    baseline: float | None,
    least: float | None,
    most: float | None,
    value: float,
    ratio: float | None,
    met: bool | None,
) -> None:
    found = measured("hop", value, "events/s", baseline=baseline, least=least, most=most)
    assert (found.ratio, found.met) == (ratio, met)
    if found.score is not None:
        assert (found.score >= 1) == met


def test_table_names_value_baseline_ratio_goal_and_machine() -> None:
    console = Console(record=True, width=120)
    measures = [
        measured("hop [x]", 8123.4, "events/s", baseline=10_000, least=0.8, note="each 10 s"),
        measured("p99", 0.0123, "s", most=0.01),
    ]
    measure.show(console, "One hop", measures, MACHINE)
    text = console.export_text()
    for word in ("hop [x]", "8,123 events/s", "10,000", "0.812", "≥ 0.8", "met", "each 10 s", "0.0123 s", "missed"):
        assert word in text
    assert "cpu A CPU, cores 2, commit abc" in text


def test_json_has_the_measures_the_machine_and_no_infinity(tmp_path: Path) -> None:
    measures = [measured("doubled", 1, "", baseline=0, most=1), measured("rate", 10, "1/s", baseline=8, least=1)]
    measure.save(tmp_path, "hop", "One hop", measures=measures, machine=MACHINE, details={"cpu_ms": {"kafka": 0.1}})
    found = json.loads((tmp_path / "hop.json").read_text())
    assert found["machine"] == MACHINE
    assert found["details"] == {"cpu_ms": {"kafka": 0.1}}
    assert found["measures"] == [
        {"measure": "doubled", "value": 1, "unit": "", "baseline": 0, "ratio": None, "goal": "≤ 1", "met": False,
         "note": ""},
        {"measure": "rate", "value": 10, "unit": "1/s", "baseline": 8, "ratio": 1.25, "goal": "≥ 1", "met": True,
         "note": ""},
    ]  # fmt: skip


def test_plot_is_a_picture(tmp_path: Path) -> None:
    measures = [measured("doubled", 1, "", baseline=0, most=1), measured("rate", 10, "1/s", baseline=8, least=1)]
    measure.plot(tmp_path, "hop", "One hop", MACHINE, lambda axes: measure.bars(axes, measures))
    assert (tmp_path / "hop.png").read_bytes().startswith(b"\x89PNG")


def test_options_of_a_benchmark_are_whole_numbers() -> None:
    options = Options(None, {"stored": "1_000"})
    assert (options.length(5), options.number("stored", 1), options.number("other", 7)) == (5, 1000, 7)
    with pytest.raises(SystemExit, match="stored=many: not a whole number"):
        Options(own={"stored": "many"}).number("stored", 1)
