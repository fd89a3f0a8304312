"""Recipe: how far annotations of one corpus mark the same text, whichever tokenizers they were made with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np

from ifcurate.annotation.batches import BATCH_ROWS, AnnotatedBatch, require_columns
from ifcurate.annotation.run_folder import annotated_folder
from ifcurate.annotation.schema import spans_column
from ifcurate.corpus.shards import Shard, list_shards, open_shard
from ifcurate.errors import InputError
from ifcurate.evaluation.overlap import Counts, Overlap, count_marked, overlap
from ifcurate.pipelines.overlap_config import OverlapConfig
from ifcurate.progress import track
from ifcurate.storage.filesystems import write_text_at


@dataclass(frozen=True)
class Pair:
    """Two annotations, by where they are, and what they share."""

    first: str
    second: str
    overlap: Overlap


def overlaps(config: OverlapConfig) -> list[Pair]:
    """What each two of the annotations share; written to `out` where that is given.

    Raises:
        InputError: the annotations are not of the same texts in the same order, or a shard cannot be read.
    """
    beside = _shards_beside_each_other(config.runs)
    counted: list[Counts] = []
    with track("overlap", len(beside), "shards") as tracker:
        for done, shards in enumerate(beside, start=1):
            counted += _counted(shards, config)
            tracker.update(done, done)
    if not counted:
        raise InputError(f"{config.runs[0]}: holds no document.")
    counts = np.concatenate(counted)
    numbers = combinations(range(len(config.runs)), 2)
    found = [Pair(config.runs[i], config.runs[j], overlap(counts, i, j, config.seed)) for i, j in numbers]
    if config.out is not None:
        write_text_at(config.out, json.dumps([asdict(pair) for pair in found], indent=2) + "\n")
    return found


def _shards_beside_each_other(runs: Sequence[str]) -> list[tuple[Shard, ...]]:
    """The shards of every annotation, name by name."""
    listed = [list_shards(annotated_folder(run)) for run in runs]
    first = [shard.name for shard in listed[0]]
    for run, shards in zip(runs[1:], listed[1:], strict=True):
        if (other := [shard.name for shard in shards]) != first:
            alone = min(set(first) ^ set(other), default="")
            raise InputError(
                f"{run}: has not the shards of {runs[0]} ({alone!r} is in one of them); compare one corpus."
            )
    return list(zip(*listed, strict=True))


def _counted(shards: Sequence[Shard], config: OverlapConfig) -> Iterator[Counts]:
    """See `count_marked`, of the rows of one shard as every annotation has it."""
    spans = spans_column(config.behaviour)
    readers = [open_shard(shard) for shard in shards]
    for shard, reader in zip(shards, readers, strict=True):
        require_columns(shard, reader.readable.names, [config.text_column, spans])
        if reader.num_rows != readers[0].num_rows:
            raise _other_corpus(shard, shards[0], f"{reader.num_rows:,} rows instead of {readers[0].num_rows:,}")
    row = 0
    for read in zip(*(reader.batches([config.text_column, spans], BATCH_ROWS) for reader in readers), strict=True):
        batches = [AnnotatedBatch(shard, row, batch) for shard, batch in zip(shards, read, strict=True)]
        texts = batches[0].texts(config.text_column)
        for batch in batches[1:]:
            if (others := batch.texts(config.text_column)) != texts:
                differing = next(number for number, text in enumerate(texts) if others[number] != text)
                raise _other_corpus(batch.shard, shards[0], f"another text in row {row + differing}")
        try:
            yield count_marked(texts, [batch.spans(spans) for batch in batches])
        except ValueError as error:
            names = ", ".join(shard.path for shard in shards)
            raise InputError(
                f"{names}: in rows from {row:,} on, {error}; write the shards again with `ifcurate write`."
            ) from error
        row += len(texts)


def _other_corpus(shard: Shard, first: Shard, problem: str) -> InputError:
    return InputError(f"{shard.path}: has {problem}, unlike {first.path}; compare annotations of one corpus.")
