"""Recipe of the last stage: the annotated corpus, without any model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ifcurate.annotation.changed import ChangedShardError
from ifcurate.annotation.provenance import PROVENANCE_FILE, provenance_of, write_provenance
from ifcurate.checksums import CHECKSUM
from ifcurate.corpus.formats import FORMATS
from ifcurate.corpus.parquet import metadata_of
from ifcurate.corpus.shards import Shard, list_shards, open_shard
from ifcurate.corpus.sources import reading
from ifcurate.errors import InputError
from ifcurate.machine import cores
from ifcurate.pipelines.corpus_record import distrust
from ifcurate.pipelines.executor import run_tasks
from ifcurate.pipelines.heartbeat import read_beats, watching
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.select import damaged_file, is_current, selection_origin
from ifcurate.pipelines.stage_times import timed
from ifcurate.pipelines.steps.write_annotations import WriteAnnotations
from ifcurate.progress import track
from ifcurate.report.card import write_card
from ifcurate.report.html import write_report
from ifcurate.report.source import ReportSource
from ifcurate.selection.scores import DIRECTIONS, HISTOGRAMS, SCORES, SHARD, read_sidecar_metadata, sidecar_metadata
from ifcurate.selection.settings import SelectionOptions
from ifcurate.selection.summation import CHECKPOINTS
from ifcurate.selection.table import Selection, summary_path
from ifcurate.version import __version__


def write(run: Run, config: RunConfig, shards: Sequence[Shard]) -> None:
    """Write the annotated shards that are missing or belong to an earlier selection, then report and dataset card.

    Raises:
        ChangedShardError: a shard changed since it was scored.
        InputError: a behaviour has no selection, or one of other scores.
    """
    selections = [Selection.load(run.selection, behaviour) for behaviour in run.behaviours or [config.behaviour]]
    metadata = {selection.behaviour: _metadata(run, config, selection, shards) for selection in selections}
    lines = _prepare_lines(run, config, shards, metadata)
    pending = [shard for shard in shards if not _is_written(shard.annotated(run.data, config.output_format), metadata)]
    for shard in pending:
        _remove_other_formats(run, config, shard)
    if pending:
        beats = run.logs / "write" / "progress"
        shutil.rmtree(beats, ignore_errors=True)
        with timed(run.logs, "write", lambda: {"tokens": read_beats(beats)[1]}):
            try:
                _write_pending(run, config, pending, metadata, beats)
            except ChangedShardError:
                distrust(run)
                raise
    _check_all_written(run, shards, lines, selections[0], config.output_format)
    source = ReportSource(
        data={shard.name: shard.annotated(run.data, config.output_format) for shard in shards},
        metadata=metadata,
        selection=run.selection,
        corpus=config.corpus,
        model=_scored_with(metadata) or config.model,
        text_column=config.text_column,
        token_ids=config.token_ids,
        with_loss=config.with_loss,
    )
    write_report(source, selections, run.root)
    write_card(source, selections, run.root)


def _scored_with(metadata: dict[str, Any]) -> str:
    """The models of a sum over checkpoints."""
    said = next(iter(metadata.values()))
    return " + ".join(str(checkpoint["model"]) for checkpoint in said.get(CHECKPOINTS, []))


def _write_pending(
    run: Run, config: RunConfig, pending: Sequence[Shard], metadata: dict[str, Any], beats: Path
) -> None:
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
        config.output_format,
        config.text_column,
    )
    with watching(beats, track("write", sum(shard.size for shard in pending))):
        run_tasks([step], len(pending), config.workers or cores(), threads=1, logs=run.logs / "write", results=run.data)


def _metadata(run: Run, config: RunConfig, selection: Selection, shards: Sequence[Shard]) -> dict[str, Any]:
    """How the columns were made: what the sidecars say of the scores, and what the selection was."""
    if (damaged := damaged_file(run, selection.behaviour)) is not None:
        raise InputError(
            f"{damaged}: is not what was written, it was damaged since; run `ifcurate select {run.root}` first."
        )
    origin = selection_origin(run, config.of(selection.behaviour), shards)
    if not is_current(run, config.of(selection.behaviour), origin):
        raise InputError(
            f"{summary_path(run.selection, selection.behaviour)}: was made of other scores or settings; "
            f"run `ifcurate select {run.root}` first."
        )
    sidecar = shards[0].output(run.scores)
    with reading(str(sidecar), "scores"):
        scored = read_sidecar_metadata(pq.read_metadata(sidecar), sidecar)
    if selection.behaviour not in scored.directions:
        raise InputError(f"{sidecar}: has no scores of {selection.behaviour!r}; delete it and score its shard again.")
    of_scores = scored.model_dump(exclude={HISTOGRAMS, DIRECTIONS, SHARD, SCORES, CHECKSUM, "tokens"})
    of_selection = {name: getattr(selection, name) for name in ("tau", "budget_tokens", *SelectionOptions.model_fields)}
    of_direction = scored.directions[selection.behaviour].model_dump()
    return {
        **of_scores,
        **of_direction,
        **of_selection,
        "selection_hash": sha256(origin.encode()).hexdigest(),
        "skipped_rows": skipped_rows(run, shards),
        **({"limit": config.limit} if config.limit is not None else {}),
        "token_ids": config.token_ids,
        "with_loss": config.with_loss,
        "version": __version__,
    }


def _prepare_lines(run: Run, config: RunConfig, shards: Sequence[Shard], metadata: dict[str, Any]) -> list[Shard]:
    """The shards that are written as JSON Lines; those of another selection are deleted, and how it is now is said.

    Lines cannot say themselves how they were made: `PROVENANCE_FILE` says it for all, before the first is written.
    What it says of behaviours that the corpus was annotated for before is kept.
    """
    annotated = {shard: shard.annotated(run.data, config.output_format) for shard in shards}
    lines = [shard for shard, file in annotated.items() if not _describes_itself(file)]
    if not lines:
        return []
    before = provenance_of(lines[0], open_shard(lines[0]).readable)
    wanted = json.loads(json.dumps({**before, **metadata}))
    if _said(run.data / PROVENANCE_FILE) != wanted:
        for shard in lines:
            shard.annotated(run.data, config.output_format).unlink(missing_ok=True)
        write_provenance(run.data, wanted)
    return lines


def _said(file: Path) -> Any:
    """What `PROVENANCE_FILE` says; None where it is missing or damaged, and is written anew."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def _remove_other_formats(run: Run, config: RunConfig, shard: Shard) -> None:
    """Delete what an earlier --output-format made of `shard`: two files of one name are no corpus."""
    wanted = shard.annotated(run.data, config.output_format)
    for output_format in ("same", "parquet", "jsonl"):
        if (other := shard.annotated(run.data, output_format)) != wanted:
            other.unlink(missing_ok=True)


def skipped_rows(run: Run, shards: Sequence[Shard]) -> int:
    """Rows of the corpus that have no text and were skipped.

    Raises:
        InputError: a score file is missing or cannot be read.
    """
    skipped = 0
    for sidecar in (shard.output(run.scores) for shard in shards):
        facts = sidecar_metadata(sidecar).shard
        skipped += 0 if facts is None else facts.skipped
    return skipped


def _describes_itself(file: Path) -> bool:
    return any(file.name.endswith(suffix) for suffix, kind in FORMATS.items() if kind.describes_itself)


def _is_written(file: Path, metadata: dict[str, Any]) -> bool:
    if not file.is_file() or not _describes_itself(file):
        return file.is_file()
    try:
        schema = open_shard(list_shards(str(file))[0]).schema
    except InputError:
        return False
    wanted = json.loads(json.dumps(metadata))
    stored = metadata_of(schema, file)
    return {behaviour: stored.get(behaviour) for behaviour in wanted} == wanted


def _check_all_written(
    run: Run, shards: Sequence[Shard], lines: Sequence[Shard], selection: Selection, output_format: str
) -> None:
    """Every document of the corpus is in the output, once; lines were counted when they were written."""
    counted = {shard: shard.output(run.scores) for shard in lines}
    documents = 0
    for shard in shards:
        file = counted.get(shard, shard.annotated(run.data, output_format))
        documents += open_shard(list_shards(str(file))[0]).num_rows
    if documents != selection.documents:
        raise InputError(
            f"{run.data}: holds {documents:,} documents where {selection.documents:,} were selected from; "
            "delete it and run `ifcurate write` again."
        )
