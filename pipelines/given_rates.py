"""Rates that somebody has measured elsewhere, as options give them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ifcurate.config import read_yaml
from ifcurate.pipelines.run_config import STAGES


def parsed(given: Sequence[str]) -> dict[str, float]:
    """Stage -> tokens a second; of a stage that is there twice, the last.

    Args:
        given: `STAGE=N`, or files of YAML that say `STAGE: N`.

    Raises:
        ValueError: one is neither, or names no stage.
        InputError: a file cannot be read.
    """
    found: dict[str, float] = {}
    for each in given:
        stage, equals, rate = each.partition("=")
        pairs: dict[str, Any] = {stage: rate} if equals else read_yaml(Path(each))
        for name, value in pairs.items():
            if name not in STAGES:
                raise ValueError(f"{name!r} is no stage; give STAGE=N with one of {', '.join(STAGES)}")
            found[name] = _positive(name, value)
    return found


def _positive(stage: str, value: Any) -> float:
    try:
        rate = float(value)
    except (TypeError, ValueError):
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise ValueError(f"{stage}={value} is no rate; give tokens a second, such as {stage}=3000")
    return rate
