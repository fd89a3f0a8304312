"""`ifcurate annotate`: a folder of shards in, the same shards with influence, masks, spans and ranks out."""

from __future__ import annotations

from ifcurate.cli.declared import declared
from ifcurate.pipelines.run_config import PRESETS, RunConfig


def annotate(settings: RunConfig) -> None:
    """Find and mark the tokens of a corpus that teach a behaviour."""
    if settings.dry_run:
        _print_plan(settings)
        return
    from ifcurate.cli.tables import print_submission, print_summary
    from ifcurate.pipelines.annotate import annotate as run
    from ifcurate.pipelines.annotate import annotate_on_ray, submit

    if settings.executor == "slurm" and (submission := submit(settings)) is not None:
        print_submission(submission)
    else:
        print_summary(annotate_on_ray(settings) if settings.executor == "ray" else run(settings))


def _print_plan(settings: RunConfig) -> None:
    """That of `ifcurate plan` with the same settings."""
    from ifcurate.cli.plan_tables import print_plan
    from ifcurate.pipelines.plan import plan
    from ifcurate.pipelines.plan_config import PlanConfig
    from ifcurate.pipelines.run_config import AnnotationSettings

    given = {name: getattr(settings, name) for name in AnnotationSettings.model_fields}
    print_plan(plan(PlanConfig(**given)), as_json=False)


command = declared(RunConfig, annotate, arguments=["corpus"], presets=PRESETS)
