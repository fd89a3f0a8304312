"""Parts of a plan that need no model: windows that stand for a corpus, a screen's share, peaks of a GPU."""

from __future__ import annotations

import numpy as np
import pytest

from ifcurate.model.windows import Encoding
from ifcurate.pipelines.planned_model import scored_windows
from ifcurate.pipelines.planned_screen import with_screen
from ifcurate.planning.durations import Took
from ifcurate.planning.estimates import Interval
from ifcurate.planning.gpus import GPUS, REACHED
from ifcurate.planning.tokens import CorpusSample, Drawn
from ifcurate.planning.work import StageWork


def sample_of(lengths_and_weights: list[tuple[int, float]]) -> CorpusSample:
    none = Interval(0, 0, 0)
    drawn = [Drawn(Encoding(*[np.zeros(length, np.int32)] * 3), weight) for length, weight in lengths_and_weights]
    return CorpusSample(none, none, none, 0, 1, 1, drawn, Took(), None)


def test_windows_are_of_documents_as_often_as_these_are_there() -> None:
    """Nine documents of ten are short; 900 of the 1,900 tokens of ten are theirs."""
    windows = scored_windows(sample_of([(100, 90.0), (1000, 10.0)]), 250, 0, wanted=19_000)
    lengths = [len(window) for window in windows]
    assert lengths.count(100) == pytest.approx(90, abs=1)
    assert lengths.count(250) == pytest.approx(40, abs=4)


def test_a_screen_leaves_its_share_and_the_audit_of_the_rest() -> None:
    fit = StageWork("fit", 100, Took(1, 1), Took(1, 1), 1, "measured here")
    score = StageWork("score", 1000, Took(3, 3), Took(2, 2), 2, "measured here", Took(1, 1))
    found = with_screen([fit, score], share=0.1, audit=0.01, rate=500)
    assert [stage.name for stage in found] == ["fit", "screen", "score"]
    assert found[0] == fit
    assert (found[1].seconds, found[1].basis) == (1000 / 500 / 2, "measured elsewhere")
    assert found[2].seconds == pytest.approx(3 + 1000 * (2 * 0.109 + 1) / 2)


@pytest.mark.parametrize("name", GPUS)
def test_a_gpu_takes_what_its_data_sheet_and_the_assumed_share_say(name: str) -> None:
    gpu = GPUS[name]
    assert gpu.seconds(gpu.bfloat16 / 2, "bfloat16") == pytest.approx(1 / REACHED["bfloat16"])
    assert gpu.bfloat16 > gpu.float32 > gpu.float64
    assert 20e9 < gpu.memory < 200e9
