"""`ifcurate write`: the last stage of `annotate` alone."""

from __future__ import annotations

from ifcurate.cli import options as o


def write(run: o.RunFolder, token_ids: o.TokenIds = None, workers: o.Workers = None) -> None:
    """Stage 5: write the annotated corpus; loads no model."""
    given = {name: value for name, value in locals().items() if name != "run"}
    from ifcurate.pipelines.run import continue_run, corpus_of
    from ifcurate.pipelines.write import write as run_stage

    opened, settings = continue_run(run, "write", given, anew=True)
    run_stage(opened, settings, corpus_of(opened, settings))
    print(f"annotated corpus: {opened.data}")
