"""`ifcurate write`: the last stage of `annotate` alone."""

from __future__ import annotations

from ifcurate.cli.declared import Given, declared_stage
from ifcurate.pipelines.run_config import RunConfig

FIELDS = {"token_ids", "output_format", "workers"}


def write(run: str, given: Given) -> None:
    """Stage 5: write the annotated corpus; loads no model."""
    from ifcurate.pipelines.run import continue_run, corpus_of
    from ifcurate.pipelines.write import write as run_stage

    opened, settings = continue_run(run, "write", given, anew=True)
    run_stage(opened, settings, corpus_of(opened, settings))
    print(f"annotated corpus: {opened.data}")


command = declared_stage(RunConfig, FIELDS, write)
