"""`ifcurate direct`: the second stage of `annotate` alone."""

from __future__ import annotations

from ifcurate.cli.declared import Given, declared_stage
from ifcurate.influence.settings import RefinementSettings
from ifcurate.model.settings import TrustSettings
from ifcurate.pipelines.run_config import RunConfig

FIELDS = {
    "queries",
    "contrast",
    "max_queries",
    "query_mean",
    "damping",
    "direction",
    *RefinementSettings.model_fields,
    *TrustSettings.model_fields,
}


def direct(run: str, given: Given) -> None:
    """Stage 2: make the direction that queries and curvature point to."""
    from ifcurate.pipelines.direct import direct as run_stage
    from ifcurate.pipelines.run import continue_run
    from ifcurate.pipelines.tracked import say_tracked

    opened, settings = continue_run(run, "direct", given)
    run_stage(opened, settings)
    say_tracked(opened, settings)
    for behaviour in opened.behaviours:
        print(f"direction: {opened.direction(behaviour)}")


command = declared_stage(RunConfig, FIELDS, direct)
