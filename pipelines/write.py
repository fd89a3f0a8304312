"""Recipe of the last stage: the annotated corpus, without any model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ifcurate.corpus.parquet import metadata_of
from ifcurate.corpus.shards import Shard
from ifcurate.corpus.sources import reading
from ifcurate.errors import InputError
from ifcurate.machine import cores
from ifcurate.pipelines.executor import run_tasks
from ifcurate.pipelines.heartbeat import watching
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.stage_times import timed
from ifcurate.pipelines.steps.write_annotations import WriteAnnotations
from ifcurate.progress import track
from ifcurate.report.html import ReportSource, write_report
from ifcurate.selection.scores import DIRECTIONS, HISTOGRAMS, read_sidecar_metadata
from ifcurate.selection.settings import SelectionOptions
from ifcurate.selection.table import Selection
from ifcurate.version import __version__


def write(run: Run, config: RunConfig, shards: Sequence[Shard]) -> None:
    """Write the annotated shards that are missing or belong to an earlier selection, then report and dataset card.

    Raises:
        InputError: a behaviour has no selection, or a shard changed since it was scored.
    """
    selections = [Selection.load(run.selection, behaviour) for behaviour in run.behaviours or [config.behaviour]]
    metadata = {selection.behaviour: _metadata(run, config, selection, shards) for selection in selections}
    pending = [shard for shard in shards if not _is_written(run, shard, metadata)]
    if pending:
        with timed(run.logs, "write") as stage:
            _write_pending(run, config, pending, metadata)
            stage.add(tokens=selections[0].tokens)
    _check_all_written(run, shards, selections[0])
    source = ReportSource(
        data=[shard.output(run.data) for shard in shards],
        folder=run.data,
        selection=run.selection,
        corpus=config.corpus,
        model=config.model,
        text_column=config.text_column,
        token_ids=config.token_ids,
    )
    write_report(source, selections, run.root)


def _write_pending(run: Run, config: RunConfig, pending: Sequence[Shard], metadata: dict[str, Any]) -> None:
    beats = run.logs / "write" / "progress"
    shutil.rmtree(beats, ignore_errors=True)
    step = WriteAnnotations(
        pending,
        run.scores,
        run.selection,
        run.data,
        list(metadata),
        metadata,
        config.token_ids,
        config.with_loss,
        beats,
    )
    with watching(beats, track("write", sum(shard.size for shard in pending))):
        run_tasks([step], len(pending), config.workers or cores(), threads=1, logs=run.logs / "write", results=run.data)


def _metadata(run: Run, config: RunConfig, selection: Selection, shards: Sequence[Shard]) -> dict[str, Any]:
    """How the columns were made: what the sidecars say of the scores, and what the selection was."""
    sidecar = shards[0].output(run.scores)
    with reading(str(sidecar), "scores"):
        scored = read_sidecar_metadata(pq.read_metadata(sidecar), sidecar)
    if selection.behaviour not in scored.directions:
        raise InputError(f"{sidecar}: has no scores of {selection.behaviour!r}; delete it and score its shard again.")
    of_scores = scored.model_dump(exclude={HISTOGRAMS, DIRECTIONS, "tokens"})
    of_selection = {name: getattr(selection, name) for name in ("tau", "budget_tokens", *SelectionOptions.model_fields)}
    of_direction = scored.directions[selection.behaviour].model_dump()
    return {
        **of_scores,
        **of_direction,
        **of_selection,
        "token_ids": config.token_ids,
        "with_loss": config.with_loss,
        "version": __version__,
    }


def _is_written(run: Run, shard: Shard, metadata: dict[str, Any]) -> bool:
    file = shard.output(run.data)
    if not file.is_file():
        return False
    try:
        schema = pq.read_schema(file)
    except (pa.ArrowException, OSError):
        return False
    wanted = json.loads(json.dumps(metadata))
    stored = metadata_of(schema, file)
    return {behaviour: stored.get(behaviour) for behaviour in wanted} == wanted


def _check_all_written(run: Run, shards: Sequence[Shard], selection: Selection) -> None:
    """Every document of the corpus is in the output, once."""
    documents = sum(pq.read_metadata(shard.output(run.data)).num_rows for shard in shards)
    if documents != selection.documents:
        raise InputError(
            f"{run.data}: holds {documents:,} documents where {selection.documents:,} were selected from; "
            "delete it and run `ifcurate write` again."
        )
