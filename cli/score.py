"""`ifcurate score`: the third stage of `annotate` alone."""

from __future__ import annotations

from ifcurate.cli.declared import Given, declared_stage
from ifcurate.influence.settings import ScoringSettings
from ifcurate.model.settings import ComputeSettings, TrustSettings
from ifcurate.pipelines.run_config import RunConfig

SETTINGS = (ScoringSettings, ComputeSettings, TrustSettings)
FIELDS = {
    *(name for settings in SETTINGS for name in settings.model_fields),
    "threads",
    "workers",
    "bad_rows",
    "corpus",
}


def score(run: str, given: Given) -> None:
    """Stage 3: score every token of the corpus."""
    from ifcurate.pipelines.corpus_record import present_shards, read_record, reconcile
    from ifcurate.pipelines.run import continue_run
    from ifcurate.pipelines.score import score as run_stage
    from ifcurate.pipelines.tracked import say_tracked

    opened, settings = continue_run(run, "score", given)
    place = given.get("corpus") or read_record(opened).place
    shards = present_shards(opened, place)
    reconcile(opened, settings, place, shards)
    say_tracked(opened, settings)
    run_stage(opened, settings, shards)
    print(f"scores: {opened.scores}")


command = declared_stage(RunConfig, FIELDS, score)
