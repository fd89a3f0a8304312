"""Influence of several checkpoints added up: from their score files of one shard, one of its own.

Training went through all of them, so a token's influence on a behaviour is the sum over checkpoints (TracIn, NeurIPS
2020), here with equal weights; noise in which they disagree cancels out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ifcurate.checksums import CHECKSUM, checked
from ifcurate.corpus.documents import ID
from ifcurate.corpus.parquet import ParquetReader
from ifcurate.errors import InputError
from ifcurate.selection.quantile import Histogram
from ifcurate.selection.scores import (
    DIRECTIONS,
    FLOAT_LIST,
    HISTOGRAMS,
    SCORES,
    SHARD,
    TOKEN_ENDS,
    TOKEN_IDS,
    TOKEN_STARTS,
    ScoredTokens,
    SidecarMetadata,
    influence_column,
    selectable,
    sidecar_metadata,
    sidecar_schema,
    writing_scores,
)

CHECKPOINTS = "checkpoints"
"""Key of a direction's facts: what each checkpoint's scores say of themselves, in the order they were added."""
TOKENS = (TOKEN_IDS, TOKEN_STARTS, TOKEN_ENDS)
ALIKE = {
    "tokenizer_hash": "with another tokenizer than",
    "context": "in windows of another length (--context) than",
    "overlap": "with another --overlap than",
    "on": "on others of the messages (--on) than",
    "alignment": "with another --alignment than",
}
"""What scores must have in common to be added token by token, and what is said where they have not."""
_OF_CHECKPOINT = ("model", "revision", "engine", "dtype")
_SHARED = (*ALIKE, "sign", "unit", "tokens")


def checkpoints_of(path: Path, behaviour: str) -> list[dict[str, Any]]:
    """The checkpoints whose influence is in a score file, each by model, direction and how it was scored.

    Raises:
        InputError: the file is missing or damaged, or has no scores of `behaviour`.
    """
    return _checkpoints(sidecar_metadata(path), path, behaviour)


def sum_sidecars(sidecars: Sequence[Path], behaviour: str, out: Path) -> int:
    """Write the sums over `sidecars`, the score files of one shard, to `out`; returns the number of tokens.

    Sums are taken in float64, in the order of the files. The footer says what the files have in common, and under
    `CHECKPOINTS` what each says of itself; a direction's hash is that of all of theirs, its error the largest.

    Raises:
        InputError: a file is missing or damaged, they are of other texts, tokens or windows, or a sum is infinite.
    """
    said = require_alike(sidecars)
    metadata = _combined(sidecars, said, behaviour)
    schema = sidecar_schema([behaviour], with_loss=False, messages=said[0].on is not None)
    histogram, scores = Histogram(), sha256()
    with writing_scores(out, schema) as sink:
        for batches in _same_rows([ParquetReader(str(path)).batches(schema.names) for path in sidecars]):
            total, rows = _sum(batches, behaviour, sidecars)
            chosen = selectable(batches[0])
            histogram.add(total if chosen is None else total[chosen], str(out))
            scores.update(total.tobytes())
            first = {name: batches[0].column(name) for name in schema.names if name != influence_column(behaviour)}
            summed = pa.ListArray.from_arrays(pa.array(rows, pa.int32()), pa.array(total), type=FLOAT_LIST)
            sink.write(pa.RecordBatch.from_pydict({**first, influence_column(behaviour): summed}, schema=schema))
        found = {SCORES: scores.hexdigest(), HISTOGRAMS: {behaviour: histogram.to_text()}}
        kept = {name: value for name, value in metadata.items() if name != CHECKSUM}
        sink.describe(checked({**kept, **found}))
    return histogram.total


def _sum(
    batches: Sequence[pa.RecordBatch], behaviour: str, sidecars: Sequence[Path]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Sums (float32 [tokens]) of batches of the same rows, and where each row begins in them (int64 [rows + 1])."""
    scored = []
    for batch, path in zip(batches, sidecars, strict=True):
        tokens = [name for name in batch.schema.names if name not in (ID, influence_column(behaviour))]
        if any(not batch.column(name).equals(batches[0].column(name)) for name in tokens):
            raise InputError(f"{path}: has other tokens than {sidecars[0]}; delete both and score their shard again.")
        every = batch.select([*TOKENS, influence_column(behaviour)])  # those without a loss too
        scored.append(ScoredTokens.from_arrow(every, behaviour, str(path)))
    total = np.zeros(len(scored[0].influence))
    for of_one in scored:
        total += of_one.influence
    with np.errstate(over="ignore"):  # infinity is refused when it is counted
        return total.astype(np.float32), scored[0].tokens.rows


def _same_rows(streams: Sequence[Iterator[pa.RecordBatch]]) -> Iterator[list[pa.RecordBatch]]:
    """Batches of the same rows of all streams, which may be cut into batches in different ways."""
    held = [next(stream, None) for stream in streams]
    while not any(batch is None for batch in held):
        batches = [batch for batch in held if batch is not None]
        rows = min(batch.num_rows for batch in batches)
        yield [batch.slice(0, rows) for batch in batches]
        held = [
            batch.slice(rows) if batch.num_rows > rows else next(stream, None)
            for batch, stream in zip(batches, streams, strict=True)
        ]


def require_alike(sidecars: Sequence[Path]) -> list[SidecarMetadata]:
    """What the score files of one shard say of themselves.

    Raises:
        InputError: a file is missing or damaged, or they are of other texts, another tokenizer or other windows.
    """
    first, *others = said = [sidecar_metadata(path) for path in sidecars]
    for path, metadata in zip(sidecars, said, strict=True):
        if metadata.method is not None:
            raise InputError(f"{path}: has each token's {metadata.method}, no influence; give scored runs to add up.")
        if any(direction.is_approximate for direction in metadata.directions.values()):
            raise InputError(f"{path}: was scored by a student, approximately; give runs with exact scores to add up.")
        if metadata.screened is not None:
            raise InputError(
                f"{path}: has scores of a part of its documents, which a screen chose, and cannot be added up; give "
                "runs without --screen."
            )
    for path, metadata in zip(sidecars[1:], others, strict=True):
        for name, problem in ALIKE.items():
            here, there = _said(metadata, name), _said(first, name)
            if here != there:
                raise InputError(
                    f"{path}: was scored {problem} {sidecars[0]} ({here!r}, not {there!r}); their scores cannot be "
                    "added token by token, give runs that agree."
                )
        if metadata.shard is None or first.shard is None or metadata.shard.texts != first.shard.texts:
            raise InputError(f"{path}: is of other texts than {sidecars[0]}; score the shard again in both runs.")
    return said


def _said(metadata: SidecarMetadata, name: str) -> Any:
    return getattr(metadata, name, None)


def _checkpoints(metadata: SidecarMetadata, path: Path, behaviour: str) -> list[dict[str, Any]]:
    if behaviour not in metadata.directions:
        found = ", ".join(metadata.directions) or "none"
        raise InputError(f"{path}: has no scores of {behaviour!r}, only of {found}; name another --behaviour.")
    direction = metadata.directions[behaviour].model_dump()
    alone = {name: _said(metadata, name) for name in _OF_CHECKPOINT} | direction
    return list(direction.get(CHECKPOINTS, [alone]))


def _combined(sidecars: Sequence[Path], said: Sequence[SidecarMetadata], behaviour: str) -> dict[str, Any]:
    every = [
        checkpoint
        for path, metadata in zip(sidecars, said, strict=True)
        for checkpoint in _checkpoints(metadata, path, behaviour)
    ]
    errors = [checkpoint["relative_error"] for checkpoint in every if checkpoint["relative_error"] is not None]
    direction = {
        "direction_hash": sha256("".join(checkpoint["direction_hash"] for checkpoint in every).encode()).hexdigest(),
        "relative_error": max(errors, default=None),
        CHECKPOINTS: every,
    }
    facts = said[0].shard.model_dump() if said[0].shard is not None else None
    return {name: _said(said[0], name) for name in _SHARED} | {DIRECTIONS: {behaviour: direction}, SHARD: facts}
