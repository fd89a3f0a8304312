"""Recipe of the last stage: the annotated corpus, without any model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ifcurate.annotation.changed import ChangedShardError
from ifcurate.annotation.provenance import PROVENANCE_FILE, provenance_of, write_provenance
from ifcurate.corpus.shards import Shard, list_shards, open_shard
from ifcurate.errors import InputError
from ifcurate.machine import cores
from ifcurate.pipelines.corpus_record import distrust
from ifcurate.pipelines.executor import Tasks, run_tasks
from ifcurate.pipelines.heartbeat import read_beats, watching
from ifcurate.pipelines.report import REPORT_FILE, write_run_report
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
    metadata = prepare_writing(run, config, shards)
    pending = _unwritten(run, config, shards, metadata)
    if pending:
        beats = _beats(run)
        shutil.rmtree(beats, ignore_errors=True)
        with timed(run.logs, "write", lambda: {"tokens": read_beats(beats)[1]}), _distrusting(run):
            _write_pending(run, config, pending, metadata, beats)
    finish_writing(run, config, shards)


def prepare_writing(run: Run, config: RunConfig, shards: Sequence[Shard]) -> dict[str, Any]:
    """Delete what other selections or formats left; returns what the columns say of themselves.

    Raises:
        InputError: a behaviour has no selection, or one of other scores.
    """
    metadata = _metadata(run, config, shards)
    _prepare_lines(run, config, shards, metadata)
    for shard in _unwritten(run, config, shards, metadata):
        _remove_other_formats(run, config, shard)
        (run.root / REPORT_FILE).unlink(missing_ok=True)
    return metadata


def write_share(run: Run, config: RunConfig, shards: Sequence[Shard], rank: int, world_size: int) -> None:
    """Write the missing ones of shards `rank`, `rank + world_size`, ... in this process, after `prepare_writing`.

    Raises:
        ChangedShardError: a shard changed since it was scored.
    """
    metadata = _metadata(run, config, shards)
    pending = _unwritten(run, config, shards[rank::world_size], metadata)
    if pending:
        with timed(run.logs, "write"), _distrusting(run):
            Tasks([_step(run, config, pending, metadata, _beats(run))], 1, 1).run_task(0)


def finish_writing(run: Run, config: RunConfig, shards: Sequence[Shard]) -> None:
    """Count what was written, then write report and dataset card.

    Raises:
        InputError: a document is missing.
    """
    selections, metadata = _selections(run, config), _metadata(run, config, shards)
    _check_all_written(run, shards, _lines(run, config, shards), selections[0], config.output_format)
    source = report_source(run, config, shards, metadata)
    write_card(source, selections, run.root)
    write_run_report(run, config, source)


def unwritten(run: Run, config: RunConfig, shards: Sequence[Shard]) -> list[Shard]:
    """The shards that are left to be written: all, where the scores that are there are yet to be selected from."""
    try:
        metadata = _metadata(run, config, shards)
    except (InputError, OSError):  # no selection, or one of other scores
        return list(shards)
    stale = _stale_lines(run, config, shards, metadata)
    return [shard for shard in shards if shard in stale or shard in _unwritten(run, config, [shard], metadata)]


def _selections(run: Run, config: RunConfig) -> list[Selection]:
    return [Selection.load(run.selection, behaviour) for behaviour in run.behaviours or [config.behaviour]]


def _metadata(run: Run, config: RunConfig, shards: Sequence[Shard]) -> dict[str, Any]:
    return {each.behaviour: columns_metadata(run, config, each, shards) for each in _selections(run, config)}


def _unwritten(run: Run, config: RunConfig, shards: Sequence[Shard], metadata: dict[str, Any]) -> list[Shard]:
    return [shard for shard in shards if not is_written(shard.annotated(run.data, config.output_format), metadata)]


def _beats(run: Run) -> Path:
    return run.logs / "write" / "progress"


@contextmanager
def _distrusting(run: Run) -> Iterator[None]:
    """A shard that changed under its old size and stamp has all of them looked at the next time."""
    try:
        yield
    except ChangedShardError:
        distrust(run)
        raise


def _write_pending(
    run: Run, config: RunConfig, pending: Sequence[Shard], metadata: dict[str, Any], beats: Path
) -> None:
    step = _step(run, config, pending, metadata, beats)
    with watching(beats, track("write", sum(shard.size for shard in pending))):
        run_tasks([step], len(pending), config.workers or cores(), threads=1, logs=run.logs / "write", results=run.data)


def _step(
    run: Run, config: RunConfig, pending: Sequence[Shard], metadata: dict[str, Any], beats: Path
) -> WriteAnnotations:
    return WriteAnnotations(
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


def _prepare_lines(run: Run, config: RunConfig, shards: Sequence[Shard], metadata: dict[str, Any]) -> None:
    """Have shards that are written as JSON Lines say how they were made; those of another selection are deleted."""
    if stale := _stale_lines(run, config, shards, metadata):
        for shard in stale:
            shard.annotated(run.data, config.output_format).unlink(missing_ok=True)
        write_provenance(run.data, _to_say(stale, metadata))


def _lines(run: Run, config: RunConfig, shards: Sequence[Shard]) -> list[Shard]:
    """Those that are written as JSON Lines, which cannot say themselves how they were made."""
    return [shard for shard in shards if not describes_itself(shard.annotated(run.data, config.output_format))]


def _stale_lines(run: Run, config: RunConfig, shards: Sequence[Shard], metadata: dict[str, Any]) -> list[Shard]:
    """All of `_lines`, unless `PROVENANCE_FILE`, which says it for all, says what it is to say."""
    lines = _lines(run, config, shards)
    return lines if lines and _said(run.data / PROVENANCE_FILE) != _to_say(lines, metadata) else []


def _to_say(lines: Sequence[Shard], metadata: dict[str, Any]) -> dict[str, Any]:
    """How the columns were made, those of behaviours too that the corpus was annotated for before."""
    before = provenance_of(lines[0], open_shard(lines[0]).readable)
    return dict(json.loads(json.dumps({**before, **metadata})))


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
