"""Recipe of the fourth stage: selection, without any model."""

from __future__ import annotations

from collections.abc import Sequence

from ifcurate.corpus.shards import Shard
from ifcurate.errors import InputError
from ifcurate.files import write_text
from ifcurate.pipelines.executor import run_tasks
from ifcurate.pipelines.found_engine import read_engine
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.stage_times import timed
from ifcurate.pipelines.steps.select_tokens import SelectTokens
from ifcurate.selection.settings import SelectionOptions, SelectionSettings
from ifcurate.selection.table import Selection


def select(run: Run, config: RunConfig, shards: Sequence[Shard]) -> Selection:
    """Select, unless the selection that is there was made with the same settings.

    Raises:
        InputError: a shard is not scored yet, or the corpus holds no token.
    """
    settings = selection_settings(run, config)
    made_with = run.selection / f"{config.behaviour}.settings.json"
    if made_with.is_file() and made_with.read_text(encoding="utf-8") == settings.model_dump_json():
        return Selection.load(run.selection, config.behaviour)
    made_with.unlink(missing_ok=True)
    with timed(run.logs, "select") as stage:
        sidecars = [(shard.name, shard.output(run.scores)) for shard in shards]
        step = SelectTokens(sidecars, settings, run.selection)
        run_tasks([step], tasks=1, workers=1, threads=1, logs=run.logs / "select", results=run.selection)
        selection = Selection.load(run.selection, config.behaviour)
        stage.add(tokens=selection.tokens)
    write_text(made_with, settings.model_dump_json())
    return selection


def selection_settings(run: Run, config: RunConfig) -> SelectionSettings:
    """What of a run's settings decides the selection.

    Raises:
        InputError: nothing is scored yet, or `engine.json` is damaged.
    """
    if not run.engine.is_file():
        raise InputError(f"{run.root}: is not scored yet; run `ifcurate score {run.root}` first.")
    options = {name: getattr(config, name) for name in SelectionOptions.model_fields}
    return SelectionSettings(behaviour=config.behaviour, context=read_engine(run).context, **options)
