"""`ifcurate fit`: the first stage of `annotate` alone."""

from __future__ import annotations

from ifcurate.cli.declared import declared
from ifcurate.corpus.settings import CorpusSettings
from ifcurate.model.settings import ModelSettings
from ifcurate.pipelines.run_config import PRESETS, RunConfig

FIELDS = {
    *CorpusSettings.model_fields,
    *ModelSettings.model_fields,
    "out",
    "overwrite",
    "preset",
    "behaviour",
    "fit_tokens",
    "fit_with",
    "device",
    "batch_tokens",
    "seed",
}


def fit(settings: RunConfig) -> None:
    """Stage 1: start a run and fit the curvature on a sample of the corpus; under torchrun in several processes."""
    from ifcurate.corpus.places import list_place
    from ifcurate.corpus.shards import known
    from ifcurate.model.ranks import find_ranks
    from ifcurate.pipelines.fit import check_model
    from ifcurate.pipelines.fit import fit as run_stage
    from ifcurate.pipelines.run import Run, create_run, open_run

    shards = [known(shard) for shard in list_place(settings.corpus, settings.part).shards]

    def begin() -> Run:
        check_model(settings)
        return create_run(settings, shards)

    ranks = find_ranks(settings.device)
    started = ranks.lead(begin, lambda: open_run(settings.out)[0])
    run_stage(started, settings, shards, ranks)
    if ranks.first:
        print(f"factors: {started.factors}")


command = declared(RunConfig, fit, arguments=["corpus"], presets=PRESETS, only=FIELDS)
