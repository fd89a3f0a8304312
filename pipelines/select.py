"""Recipe of the fourth stage: selection, without any model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ifcurate.corpus.shards import Shard
from ifcurate.errors import InputError
from ifcurate.files import write_text
from ifcurate.pipelines.executor import run_tasks
from ifcurate.pipelines.found_engine import read_engine
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.stage_times import timed
from ifcurate.pipelines.steps.select_tokens import SelectTokens
from ifcurate.progress import log
from ifcurate.selection.scores import hash_sidecars
from ifcurate.selection.settings import SelectionOptions, SelectionSettings
from ifcurate.selection.table import Selection


def select(run: Run, config: RunConfig, shards: Sequence[Shard]) -> Selection:
    """Select, unless the selection that is there was made with the same settings of the same scores.

    Only the names of the shards are used.

    Raises:
        InputError: a shard is not scored yet, or the corpus holds no token.
    """
    settings = selection_settings(run, config)
    origin = selection_origin(run, config, shards)
    made_from = _origin_file(run, config)
    if is_current(run, config, origin):
        return Selection.load(run.selection, config.behaviour)
    if made_from.is_file():
        log.info(f"selecting {config.behaviour} anew: the selection there was made of other scores or settings")
    made_from.unlink(missing_ok=True)
    with timed(run.logs, "select") as stage:
        sidecars = [(shard.name, shard.output(run.scores)) for shard in shards]
        step = SelectTokens(sidecars, settings, run.selection)
        run_tasks([step], tasks=1, workers=1, threads=1, logs=run.logs / "select", results=run.selection)
        selection = Selection.load(run.selection, config.behaviour)
        stage.add(tokens=selection.tokens)
    write_text(made_from, origin)
    return selection


def selection_origin(run: Run, config: RunConfig, shards: Sequence[Shard]) -> str:
    """What decides a selection, as JSON: its settings, and the hash of the scores it is made of.

    Raises:
        InputError: a shard is not scored yet.
    """
    sidecars = [(shard.name, shard.output(run.scores)) for shard in shards]
    origin = {"settings": selection_settings(run, config).model_dump(), "scores": hash_sidecars(sidecars)}
    return json.dumps(origin, indent=2) + "\n"


def is_current(run: Run, config: RunConfig, origin: str) -> bool:
    """Whether the selection that is there was made of `origin`, see `selection_origin`."""
    file = _origin_file(run, config)
    return file.is_file() and file.read_text(encoding="utf-8") == origin


def _origin_file(run: Run, config: RunConfig) -> Path:
    return run.selection / f"{config.behaviour}.settings.json"


def selection_settings(run: Run, config: RunConfig) -> SelectionSettings:
    """What of a run's settings decides the selection.

    Raises:
        InputError: nothing is scored yet, or `engine.json` is damaged.
    """
    if not run.engine.is_file():
        raise InputError(f"{run.root}: is not scored yet; run `ifcurate score {run.root}` first.")
    options = {name: getattr(config, name) for name in SelectionOptions.model_fields}
    return SelectionSettings(behaviour=config.behaviour, context=read_engine(run).context, **options)
