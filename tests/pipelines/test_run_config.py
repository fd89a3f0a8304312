import pytest

from ifcurate.config import build
from ifcurate.pipelines.run_config import PRESETS, RunConfig


@pytest.mark.parametrize(
    ("preset", "alignment", "budget_ends"), [("paper", "label", "token"), ("paper-code", "position", "neighbourhood")]
)
def test_the_published_settings(preset: str, alignment: str, budget_ends: str) -> None:
    """As the paper is written, and as its code computes."""
    config = build(RunConfig, {"corpus": "c", "out": "o", "model": "m", "preset": preset}, presets=PRESETS)
    assert (config.alignment, config.budget_ends) == (alignment, budget_ends)
    assert (config.query_mean, config.damping, config.quantile, config.budget) == ("query", 1e-8, 0.99, "2%")
    assert (config.rank_by, config.length_exponent, config.neighbours) == ("window", 0, 1)


def test_what_is_given_wins_over_a_preset() -> None:
    given = {"corpus": "c", "out": "o", "model": "m", "preset": "paper-code", "alignment": "label"}
    assert build(RunConfig, given, presets=PRESETS).alignment == "label"
