"""`ifcurate annotate`: a folder of shards in, the same shards with influence, masks, spans and ranks out."""

from __future__ import annotations

from ifcurate.cli import options as o


def annotate(
    corpus: o.Corpus = None,
    out: o.Out = None,
    model: o.Model = None,
    toxic_queries: o.ToxicQueries = None,
    safe_queries: o.SafeQueries = None,
    config: o.ConfigFile = None,
    preset: o.Preset = None,
    revision: o.Revision = None,
    text_column: o.TextColumn = None,
    id_column: o.IdColumn = None,
    context: o.Context = None,
    behaviour: o.Behaviour = None,
    max_queries: o.MaxQueries = None,
    direction: o.DirectionFiles = None,
    fit_tokens: o.FitTokens = None,
    damping: o.Damping = None,
    engine: o.Engine = None,
    alignment: o.Alignment = None,
    token_ids: o.TokenIds = None,
    with_loss: o.WithLoss = None,
    quantile: o.Quantile = None,
    window: o.Window = None,
    budget: o.Budget = None,
    record: o.Record = None,
    length_exponent: o.LengthExponent = None,
    device: o.Device = None,
    dtype: o.Dtype = None,
    batch_tokens: o.BatchTokens = None,
    threads: o.Threads = None,
    workers: o.Workers = None,
    seed: o.Seed = None,
) -> None:
    """Find and mark the tokens of a corpus that teach a behaviour."""
    given = {name: value for name, value in locals().items() if name != "config"}
    from ifcurate.cli.quiet import quieten
    from ifcurate.cli.summary import print_summary
    from ifcurate.config import build
    from ifcurate.pipelines.annotate import annotate as run_annotate
    from ifcurate.pipelines.run_config import PRESETS, RunConfig

    quieten()
    print_summary(run_annotate(build(RunConfig, given, config, PRESETS)))
