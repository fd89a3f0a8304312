"""`ifcurate select`: the fourth stage of `annotate` alone."""

from __future__ import annotations

from ifcurate.cli import options as o


def select(
    run: o.RunFolder,
    quantile: o.Quantile = None,
    window: o.Window = None,
    budget: o.Budget = None,
    record: o.Record = None,
    length_exponent: o.LengthExponent = None,
) -> None:
    """Stage 4: choose the tokens to suppress; loads no model."""
    given = {name: value for name, value in locals().items() if name != "run"}
    from ifcurate.cli.summary import print_selection
    from ifcurate.pipelines.run import continue_run, corpus_of
    from ifcurate.pipelines.select import select as run_stage

    opened, settings = continue_run(run, "select", given, anew=True)
    shards = corpus_of(opened, settings)
    for behaviour in opened.behaviours or [settings.behaviour]:
        print_selection(run_stage(opened, settings.of(behaviour), shards))
    print(f"selection: {opened.selection}; now run: ifcurate write {run}")
