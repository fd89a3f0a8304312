"""What the annotated shards of a run say of themselves, and whether they are there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ifcurate.checksums import CHECKSUM
from ifcurate.corpus.formats import FORMATS
from ifcurate.corpus.parquet import metadata_of
from ifcurate.corpus.shards import Shard, list_shards, open_shard
from ifcurate.corpus.sources import reading
from ifcurate.errors import InputError
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.select import damaged_file, is_current, selection_origin
from ifcurate.report.source import ReportSource
from ifcurate.selection.scores import DIRECTIONS, HISTOGRAMS, ON, SCORES, SHARD, read_sidecar_metadata, sidecar_metadata
from ifcurate.selection.screened import SCREENED
from ifcurate.selection.settings import SelectionOptions
from ifcurate.selection.summation import CHECKPOINTS
from ifcurate.selection.table import Selection, summary_path
from ifcurate.version import __version__


def columns_metadata(run: Run, config: RunConfig, selection: Selection, shards: Sequence[Shard]) -> dict[str, Any]:
    """How the columns were made: what the sidecars say of the scores, and what the selection was."""
    if (damaged := damaged_file(run, selection.behaviour)) is not None:
        raise InputError(
            f"{damaged}: is not what was written, it was damaged since; run `ifcurate select {run.root}` first."
        )
    origin = selection_origin(run, config.for_behaviour(selection.behaviour), shards)
    if not is_current(run, config.for_behaviour(selection.behaviour), origin):
        raise InputError(
            f"{summary_path(run.selection, selection.behaviour)}: was made of other scores or settings; "
            f"run `ifcurate select {run.root}` first."
        )
    sidecar = shards[0].output(run.scores)
    with reading(str(sidecar), "scores"):
        scored = read_sidecar_metadata(pq.read_metadata(sidecar), sidecar)
    if selection.behaviour not in scored.directions:
        raise InputError(f"{sidecar}: has no scores of {selection.behaviour!r}; delete it and score its shard again.")
    of_scores = scored.model_dump(exclude={HISTOGRAMS, DIRECTIONS, SHARD, SCORES, SCREENED, CHECKSUM, "tokens"})
    of_selection = {name: getattr(selection, name) for name in ("tau", "budget_tokens", *SelectionOptions.model_fields)}
    of_direction = scored.directions[selection.behaviour].model_dump()
    return {
        **of_scores,
        **of_direction,
        **of_selection,
        "selection_hash": sha256(origin.encode()).hexdigest(),
        "skipped_rows": skipped_rows(run, shards),
        **({"limit": config.limit} if config.limit is not None else {}),
        **({SCREENED: asdict(selection.screened)} if selection.screened is not None else {}),
        "token_ids": config.token_ids,
        "with_loss": config.with_loss,
        "version": __version__,
    }


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


def describes_itself(file: Path) -> bool:
    """Whether files of its format say how their columns were made."""
    return any(file.name.endswith(suffix) for suffix, kind in FORMATS.items() if kind.describes_itself)


def is_written(file: Path, metadata: dict[str, Any]) -> bool:
    """Whether an annotated shard is there, and says `metadata` of its columns; lines say nothing."""
    if not file.is_file() or not describes_itself(file):
        return file.is_file()
    try:
        schema = open_shard(list_shards(str(file))[0]).schema
    except InputError:
        return False
    wanted = json.loads(json.dumps(metadata))
    stored = metadata_of(schema, file)
    return {behaviour: stored.get(behaviour) for behaviour in wanted} == wanted


def report_source(run: Run, config: RunConfig, shards: Sequence[Shard], metadata: dict[str, Any]) -> ReportSource:
    """The annotated shards of a run, for its report and its card."""
    return ReportSource(
        data={shard.name: shard.annotated(run.data, config.output_format) for shard in shards},
        metadata=metadata,
        selection=run.selection,
        corpus=config.corpus,
        model=_scored_with(metadata),
        text_column=config.text_column,
        id_column=config.id_column,
        token_ids=config.token_ids,
        with_loss=config.with_loss,
        messages=are_messages(metadata),
    )


def are_messages(metadata: dict[str, Any]) -> bool:
    """Whether the documents that were scored are messages."""
    return next(iter(metadata.values()))[ON] is not None


def _scored_with(metadata: dict[str, Any]) -> str:
    """The model whose influence the scores are, or those of a sum over checkpoints."""
    said = next(iter(metadata.values()))
    return " + ".join(str(checkpoint["model"]) for checkpoint in said.get(CHECKPOINTS, [said]))
