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
    "device_map",
    *RefinementSettings.model_fields,
    *TrustSettings.model_fields,
}


def direct(run: str, given: Given) -> None:
    """Stage 2: make the direction that queries and curvature point to; under torchrun, in several processes."""
    from ifcurate.model.ranks import find_ranks
    from ifcurate.pipelines.direct import direct as run_stage
    from ifcurate.pipelines.run import continue_run, open_run
    from ifcurate.pipelines.tracked import say_tracked

    ranks = find_ranks(open_run(run)[1].device)
    opened, settings = ranks.lead(lambda: continue_run(run, "direct", given), lambda: open_run(run))
    run_stage(opened, settings, ranks)
    if ranks.first:
        say_tracked(opened, settings)
        for behaviour in opened.behaviours:
            print(f"direction: {opened.direction(behaviour)}")


command = declared_stage(RunConfig, FIELDS, direct)
