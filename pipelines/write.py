"""Recipe of the last stage: the annotated corpus, without any model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ifcurate.annotation.changed import ChangedShardError
from ifcurate.annotation.provenance import PROVENANCE_FILE, provenance_of, write_provenance
from ifcurate.corpus.shards import Shard, list_shards, open_shard
from ifcurate.errors import InputError
from ifcurate.machine import cores
from ifcurate.pipelines.corpus_record import distrust
from ifcurate.pipelines.executor import run_tasks
from ifcurate.pipelines.heartbeat import read_beats, watching
from ifcurate.pipelines.report import write_run_report
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.stage_times import timed
from ifcurate.pipelines.steps.write_annotations import WriteAnnotations
from ifcurate.pipelines.written import are_messages, columns_metadata, describes_itself, is_written, report_source
from ifcurate.progress import track
from ifcurate.report.card import write_card
from ifcurate.selection.table import Selection


def write(run: Run, config: RunConfig, shards: Sequence[Shard]) -> None:
    """Write the annotated shards that are missing or belong to an earlier selection, then report and dataset card.

    Raises:
        ChangedShardError: a shard changed since it was scored.
        InputError: a behaviour has no selection, or one of other scores.
    """
    selections = [Selection.load(run.selection, behaviour) for behaviour in run.behaviours or [config.behaviour]]
    metadata = {each.behaviour: columns_metadata(run, config, each, shards) for each in selections}
    lines = _prepare_lines(run, config, shards, metadata)
    pending = [shard for shard in shards if not is_written(shard.annotated(run.data, config.output_format), metadata)]
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
    source = report_source(run, config, shards, metadata)
    write_card(source, selections, run.root)
    write_run_report(run, config, source)


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
        are_messages(metadata),
    )
    with watching(beats, track("write", sum(shard.size for shard in pending))):
        run_tasks([step], len(pending), config.workers or cores(), threads=1, logs=run.logs / "write", results=run.data)


def _prepare_lines(run: Run, config: RunConfig, shards: Sequence[Shard], metadata: dict[str, Any]) -> list[Shard]:
    """The shards that are written as JSON Lines; those of another selection are deleted, and how it is now is said.

    Lines cannot say themselves how they were made: `PROVENANCE_FILE` says it for all, before the first is written.
    What it says of behaviours that the corpus was annotated for before is kept.
    """
    annotated = {shard: shard.annotated(run.data, config.output_format) for shard in shards}
    lines = [shard for shard, file in annotated.items() if not describes_itself(file)]
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
