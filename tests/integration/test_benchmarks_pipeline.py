"""The pipeline benchmark in small: everything offered arrives at its departments, once. Counts, no times."""

from pathlib import Path

import pytest

from benchmarks import place
from benchmarks.pipeline import course


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_everything_offered_to_either_pipeline_arrives_once(tmp_path: Path) -> None:
    async with place.opened(tmp_path, lambda _: None) as where:
        for pipeline in (course.zhida(where), course.bare(where, model=False)):
            async with pipeline as running:
                part = await running.open(2.0, 50)
                found = await running.reckon()
            assert (part.first, part.last, found.offered) == (0, 100, 100)
            assert (found.lost, found.doubled, found.copies, found.strange) == (0, 0, 0, 0)
            assert len(found.seconds) == 100
            assert all(seconds > 0 for seconds in found.seconds.values())
