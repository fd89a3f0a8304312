"""What share of its model a run is over: said by every command that makes or follows its directions."""

from __future__ import annotations

from ifcurate.influence.direction import coverage_of
from ifcurate.model.checkpoints import load_causal_lm
from ifcurate.model.layers import Coverage, coverage, say_coverage
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.run_config import RunConfig


def say_tracked(run: Run, config: RunConfig, said: Coverage | None = None) -> None:
    """Log how much of the model the directions of `run` are over, but for what was `said` before.

    Raises:
        InputError: a direction cannot be read, or does not say it and the model cannot be loaded.
    """
    told = [] if said is None else [said]
    for behaviour in run.behaviours if config.has_directions else ():
        found = coverage_of(run.direction(behaviour)) or said or _of_model(config)
        if found not in told:
            say_coverage(found)
            told.append(found)


def _of_model(config: RunConfig) -> Coverage:
    return coverage(load_causal_lm(config.model, config.revision, trust=config.trust, stored=config.stored))
