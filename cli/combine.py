"""`ifcurate combine`: the influence of several checkpoints added up."""

from __future__ import annotations

from ifcurate.cli.declared import declared
from ifcurate.pipelines.combine_config import CombineConfig


def combine(settings: CombineConfig) -> None:
    """Add up the scores of runs with several checkpoints of a model, as a run to select from."""
    from ifcurate.pipelines.combine import combine as run_recipe

    run = run_recipe(settings)
    print(f"scores: {run.scores}; now run: ifcurate select {run.root}")


command = declared(CombineConfig, combine, arguments=["runs"])
