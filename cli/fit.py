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
    """Stage 1: start a run and fit the model's curvature on a sample of the corpus."""
    from ifcurate.corpus.places import list_place
    from ifcurate.corpus.shards import known
    from ifcurate.pipelines.fit import check_model
    from ifcurate.pipelines.fit import fit as run_stage
    from ifcurate.pipelines.run import create_run

    shards = [known(shard) for shard in list_place(settings.corpus, settings.part).shards]
    check_model(settings)
    started = create_run(settings, shards)
    run_stage(started, settings, shards)
    print(f"factors: {started.factors}")


command = declared(RunConfig, fit, arguments=["corpus"], presets=PRESETS, only=FIELDS)
