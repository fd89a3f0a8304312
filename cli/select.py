"""`ifcurate select`: the fourth stage of `annotate` alone."""

from __future__ import annotations

from ifcurate.cli.declared import Given, declared_stage
from ifcurate.pipelines.run_config import SELECTION_SETTINGS, RunConfig


def select(run: str, given: Given) -> None:
    """Stage 4: choose the tokens to suppress; loads no model."""
    from ifcurate.cli.tables import print_selection
    from ifcurate.pipelines.corpus_record import recorded_shards
    from ifcurate.pipelines.run import continue_run
    from ifcurate.pipelines.select import select as run_stage

    opened, settings = continue_run(run, "select", given, anew=True)
    shards = recorded_shards(opened)
    for behaviour in opened.behaviours or [settings.behaviour]:
        print_selection(run_stage(opened, settings.for_behaviour(behaviour), shards), settings.value)
    print(f"selection: {opened.selection}; now run: ifcurate write {run}")


command = declared_stage(RunConfig, SELECTION_SETTINGS, select)
