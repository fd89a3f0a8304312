"""`ifcurate score`: the third stage of `annotate` alone."""

from __future__ import annotations

from ifcurate.cli import options as o


def score(
    run: o.RunFolder,
    engine: o.Engine = None,
    alignment: o.Alignment = None,
    with_loss: o.WithLoss = None,
    device: o.Device = None,
    dtype: o.Dtype = None,
    batch_tokens: o.BatchTokens = None,
    threads: o.Threads = None,
    workers: o.Workers = None,
) -> None:
    """Stage 3: score every token of the corpus."""
    given = {name: value for name, value in locals().items() if name != "run"}
    from ifcurate.cli.quiet import quieten
    from ifcurate.pipelines.run import continue_run, corpus_of
    from ifcurate.pipelines.score import score as run_stage

    quieten()
    opened, settings = continue_run(run, "score", given)
    run_stage(opened, settings, corpus_of(opened, settings))
    print(f"scores: {opened.scores}")
