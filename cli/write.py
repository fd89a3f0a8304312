"""`ifcurate write`: the last stage of `annotate` alone."""

from __future__ import annotations

from ifcurate.cli.declared import Given, declared_stage
from ifcurate.pipelines.run_config import RunConfig

FIELDS = {"corpus", "token_ids", "output_format", "workers"}


def write(run: str, given: Given) -> None:
    """Stage 5: write the annotated corpus; loads no model."""
    from ifcurate.pipelines.corpus_record import present_shards, relocate, require_same_shards
    from ifcurate.pipelines.run import continue_run
    from ifcurate.pipelines.write import write as run_stage

    opened, settings = continue_run(run, "write", given, anew=True)
    shards = present_shards(opened, given.get("corpus"))
    require_same_shards(opened, shards)
    if "corpus" in given:
        relocate(opened, given["corpus"])
    run_stage(opened, settings, shards)
    print(f"annotated corpus: {opened.data}")


command = declared_stage(RunConfig, FIELDS, write)
