"""Recipe of the fourth stage: selection, without any model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ifcurate.checksums import checked, is_whole
from ifcurate.corpus.shards import Shard
from ifcurate.errors import InputError
from ifcurate.files import sha256_of, write_text
from ifcurate.pipelines.executor import run_tasks
from ifcurate.pipelines.found_engine import read_engine
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.stage_times import timed
from ifcurate.pipelines.steps.select_tokens import SelectTokens
from ifcurate.progress import log
from ifcurate.selection.scores import hash_sidecars
from ifcurate.selection.settings import SelectionOptions, SelectionSettings
from ifcurate.selection.table import Selection, records_path, summary_path

ORIGIN = ("settings", "scores")
FILES = "files"
"""Keys of `<behaviour>.settings.json`: what a selection was made of, and the hashes of its files."""


def select(run: Run, config: RunConfig, shards: Sequence[Shard]) -> Selection:
    """Select, unless the selection that is there was made with the same settings of the same scores.

    Only the names of the shards are used.

    Raises:
        InputError: a shard is not scored yet, or the corpus holds no token.
    """
    settings = selection_settings(run, config)
    origin = selection_origin(run, config, shards)
    made_from = _origin_file(run, config.behaviour)
    if (damaged := damaged_file(run, config.behaviour)) is not None:
        log.warning(f"{damaged}: is not what was written, it was damaged since; {config.behaviour} is selected anew.")
    elif is_current(run, config, origin):
        return Selection.load(run.selection, config.behaviour)
    elif made_from.is_file():
        log.info(f"selecting {config.behaviour} anew: the selection there was made of other scores or settings")
    made_from.unlink(missing_ok=True)
    with timed(run.logs, "select") as stage:
        sidecars = [(shard.name, shard.output(run.scores)) for shard in shards]
        step = SelectTokens(sidecars, settings, run.selection)
        run_tasks([step], tasks=1, workers=1, threads=1, logs=run.logs / "select", results=run.selection)
        selection = Selection.load(run.selection, config.behaviour)
        stage.add(tokens=selection.tokens)
    sums = {file.name: sha256_of(file) for file in _files(run, config.behaviour)}
    write_text(made_from, json.dumps(checked({**json.loads(origin), FILES: sums}), indent=2) + "\n")
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
    said = _said(run, config.behaviour)
    return said is not None and {name: said.get(name) for name in ORIGIN} == json.loads(origin)


def damaged_file(run: Run, behaviour: str) -> Path | None:
    """The first file of a finished selection that is not what was written; None where all are, or nothing is there."""
    file = _origin_file(run, behaviour)
    if not file.is_file():
        return None
    said = _said(run, behaviour)
    if said is None:
        return file
    return next((file for file in _files(run, behaviour) if not _is_as_written(file, said[FILES])), None)


def _is_as_written(file: Path, sums: dict[str, str]) -> bool:
    return file.is_file() and sha256_of(file) == sums.get(file.name)


def _said(run: Run, behaviour: str) -> dict[str, Any] | None:
    """What the selection that is there says of itself; None where there is none, or it is damaged."""
    try:
        said = json.loads(_origin_file(run, behaviour).read_bytes())
        return dict(said) if is_whole(said) else None
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return None


def _files(run: Run, behaviour: str) -> tuple[Path, Path]:
    return summary_path(run.selection, behaviour), records_path(run.selection, behaviour)


def _origin_file(run: Run, behaviour: str) -> Path:
    return run.selection / f"{behaviour}.settings.json"


def selection_settings(run: Run, config: RunConfig) -> SelectionSettings:
    """What of a run's settings decides the selection.

    Raises:
        InputError: nothing is scored yet, or `engine.json` is damaged.
    """
    if not run.engine.is_file():
        raise InputError(f"{run.root}: is not scored yet; run `ifcurate score {run.root}` first.")
    options = {name: getattr(config, name) for name in SelectionOptions.model_fields}
    return SelectionSettings(behaviour=config.behaviour, context=read_engine(run).context, **options)
