"""`ifcurate fit`: the first stage of `annotate` alone."""

from __future__ import annotations

from ifcurate.cli import options as o


def fit(
    corpus: o.Corpus = None,
    out: o.Out = None,
    model: o.Model = None,
    config: o.ConfigFile = None,
    preset: o.Preset = None,
    revision: o.Revision = None,
    text_column: o.TextColumn = None,
    id_column: o.IdColumn = None,
    context: o.Context = None,
    behaviour: o.Behaviour = None,
    fit_tokens: o.FitTokens = None,
    device: o.Device = None,
    batch_tokens: o.BatchTokens = None,
    seed: o.Seed = None,
) -> None:
    """Stage 1: start a run and fit the model's curvature on a sample of the corpus."""
    given = {name: value for name, value in locals().items() if name != "config"}
    from ifcurate.cli.quiet import quieten
    from ifcurate.config import build
    from ifcurate.corpus.shards import list_shards
    from ifcurate.pipelines.fit import fit as run_stage
    from ifcurate.pipelines.run import create_run
    from ifcurate.pipelines.run_config import PRESETS, RunConfig

    quieten()
    settings = build(RunConfig, given, config, PRESETS)
    shards = list_shards(settings.corpus)
    started = create_run(settings, shards)
    run_stage(started, settings, shards)
    print(f"factors: {started.factors}")
