"""`ifcurate annotate`: a folder of shards in, the same shards with influence, masks, spans and ranks out."""

from __future__ import annotations

from ifcurate.cli.declared import declared
from ifcurate.pipelines.run_config import PRESETS, RunConfig


def annotate(settings: RunConfig) -> None:
    """Find and mark the tokens of a corpus that teach a behaviour."""
    from ifcurate.cli.tables import print_submission, print_summary
    from ifcurate.pipelines.annotate import annotate as run
    from ifcurate.pipelines.annotate import annotate_on_ray, submit

    if settings.executor == "slurm" and (submission := submit(settings)) is not None:
        print_submission(submission)
    else:
        print_summary(annotate_on_ray(settings) if settings.executor == "ray" else run(settings))


command = declared(RunConfig, annotate, arguments=["corpus"], presets=PRESETS)
