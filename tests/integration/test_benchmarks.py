"""A benchmark from its start to its table, small: its counts must be right; how fast it was is not asked."""

import json
from pathlib import Path

from rich.console import Console

from benchmarks import __main__ as frame
from benchmarks.place import Options
from deploy.local.place import Place


async def test_hop_carries_every_event_once_every_way_and_tells_so(own_place: Place, tmp_path: Path) -> None:
    console = Console(record=True, width=120)
    options = Options(0.05, {"rounds": "1"})
    measures = await frame.run("hop", options, own_place.folder / "bench", tmp_path, console)
    [wrong] = [each for each in measures if each.measure == "lost or doubled, any hop"]
    assert (wrong.value, wrong.met) == (0, True)
    found = json.loads((tmp_path / "hop.json").read_text())
    assert found["details"]["events"] == 750
    assert "fsync on, synchronous_commit on" in found["machine"]["durability"]
    assert {each["measure"]: each["goal"] for each in found["measures"]}["one hop"] == "≥ 0.8"
    assert (tmp_path / "hop.png").stat().st_size > 1000
    assert "one hop" in console.export_text()
