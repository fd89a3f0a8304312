"""The sidecars `scores/<shard>.parquet`: their columns, and scored tokens read in batches of bounded size.

A token's influence is the derivative of its own loss along the direction (label alignment): positive means that
training on the token makes the behaviour likelier. Unit: nats per unit of the direction.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field

from ifcurate.artifacts import BehaviourName, OpenArtifact, Sha256, read_artifact
from ifcurate.checksums import CHECKSUM, is_whole
from ifcurate.corpus.documents import ID
from ifcurate.corpus.parquet import ParquetReader, metadata_of_file
from ifcurate.corpus.settings import On
from ifcurate.corpus.sources import reading
from ifcurate.errors import InputError
from ifcurate.influence.column_names import LOSS as LOSS
from ifcurate.influence.column_names import TOKEN_IDS as TOKEN_IDS
from ifcurate.influence.column_names import influence_column as influence_column
from ifcurate.selection.quantile import Histogram, require_finite
from ifcurate.selection.spans import Ints, Mask, Ranges

TOKEN_STARTS = "token_starts"
TOKEN_ENDS = "token_ends"
LOSS_MASK = "loss_mask"
"""Which tokens carry a loss: only where documents are messages."""
MESSAGE_STARTS = "message_starts"
"""Where each message's content begins in the transcript, in whose characters tokens have their ranges; likewise."""

INT_LIST = pa.list_(pa.int32())
FLOAT_LIST = pa.list_(pa.float32())
MASK_LIST = pa.list_(pa.bool_())

HISTOGRAMS = "histograms"
"""Key of a sidecar's metadata: behaviour name -> `Histogram.to_text()`."""
DIRECTIONS = "directions"
"""Key of a sidecar's metadata: behaviour name -> hash of its direction, and the error measured for its step."""
SHARD = "shard"
"""Key of a sidecar's metadata: `ShardFacts`."""
ON = "on"
"""Key of a sidecar's metadata: whose messages carry a loss; null where documents are texts."""
SCORES = "scores"
"""Key of a sidecar's metadata: hash of every influence in it."""

_REMEDY = "delete this file and score its shard again"


def sidecar_schema(behaviours: Sequence[str], with_loss: bool, messages: bool = False) -> pa.Schema:
    """Schema of `scores/<shard>.parquet`: one row a document, in the order of the input shard."""
    fields = [
        pa.field(ID, pa.string()),
        pa.field(TOKEN_IDS, INT_LIST),
        pa.field(TOKEN_STARTS, INT_LIST),
        pa.field(TOKEN_ENDS, INT_LIST),
        *(pa.field(influence_column(behaviour), FLOAT_LIST) for behaviour in behaviours),
    ]
    if with_loss:
        fields.append(pa.field(LOSS, FLOAT_LIST))
    if messages:
        fields += [pa.field(LOSS_MASK, MASK_LIST), pa.field(MESSAGE_STARTS, INT_LIST)]
    return pa.schema(fields)


class DirectionFacts(OpenArtifact):
    """Which direction one behaviour's scores are along, and the error measured for its step."""

    direction_hash: Sha256
    relative_error: float | None


class ShardFacts(OpenArtifact):
    """The shard that was scored: bytes, rows, hash of its texts (`TextHash`), and rows without a text, skipped."""

    size: int
    rows: int
    texts: Sha256
    skipped: int


class SidecarMetadata(OpenArtifact):
    """What a sidecar says of itself, under the keys `HISTOGRAMS`, `DIRECTIONS` and `SHARD` and further ones."""

    shard: ShardFacts | None = None
    scores: Sha256 | None = None
    on: On | None = None
    overlap: int = 0

    histograms: dict[BehaviourName, str] = Field(default_factory=dict)
    directions: dict[BehaviourName, DirectionFacts] = Field(default_factory=dict)


def read_sidecar_metadata(footer: pq.FileMetaData, path: Path) -> SidecarMetadata:
    """The metadata in a sidecar's footer.

    Raises:
        InputError: it is damaged.
    """
    said = metadata_of_file(footer, path)
    if (CHECKSUM in said or SHARD in said) and not is_whole(said):
        raise InputError(f"{path}: is not what was written, it was damaged since; {_REMEDY}.")
    return read_artifact(SidecarMetadata, said, path, _REMEDY)


def sidecar_metadata(path: Path) -> SidecarMetadata:
    """What the sidecar at `path` says of itself.

    Raises:
        InputError: it is missing, cannot be read or is damaged.
    """
    _require_file(path)
    with reading(str(path), "scores"):
        footer = pq.read_metadata(path)
    return read_sidecar_metadata(footer, path)


def hash_sidecars(sidecars: Sequence[tuple[str, Path]]) -> str:
    """Hex SHA-256 of what all sidecars of a corpus say of themselves: scores, texts and how they were made.

    Raises:
        InputError: one is missing or cannot be read.
    """
    digest = sha256()
    for name, path in sorted(sidecars):
        _require_file(path)
        with reading(str(path), "scores"):
            footer = pq.read_metadata(path)
        read_sidecar_metadata(footer, path)
        said = json.dumps([name, footer.num_rows, metadata_of_file(footer, path)], sort_keys=True)
        digest.update(said.encode() + b"\n")
    return digest.hexdigest()


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path}: this score file is missing; score its shard again.")


def selectable(batch: pa.RecordBatch) -> Mask | None:
    """bool [tokens]: those of a sidecar's rows that can be selected; None where all can.

    Of messages these are the tokens that carry a loss and have characters of a content: no span could name what the
    chat template adds.
    """
    if LOSS_MASK not in batch.schema.names:
        return None
    starts, ends, carries = (
        batch.column(name).flatten().to_numpy(zero_copy_only=False) for name in (TOKEN_STARTS, TOKEN_ENDS, LOSS_MASK)
    )
    chosen: Mask = carries.astype(np.bool_) & (ends > starts)
    return chosen


@dataclass(frozen=True)
class ScoredTokens:
    """The tokens of consecutive documents of one shard, as far as they can be selected.

    `tokens` holds their character ranges, `influence` their scores (float32 [tokens]). `apart` is bool [tokens], where
    some were left out: those that do not follow on the one before them.
    """

    tokens: Ranges
    influence: NDArray[np.float32]
    apart: Mask | None = None

    @classmethod
    def from_arrow(cls, batch: pa.RecordBatch, behaviour: str, source: str) -> ScoredTokens:
        """The scored tokens in a record batch (or slice of one) with a sidecar's columns.

        Raises:
            InputError: naming `source`: lists that are null or of unequal length, impossible ranges, NaN or infinity.
        """
        columns = [TOKEN_STARTS, TOKEN_ENDS, influence_column(behaviour)]
        rows, starts = _flat(batch, columns[0], source)
        end_rows, ends = _flat(batch, columns[1], source)
        influence_rows, influence = _flat(batch, columns[2], source)
        if not (np.array_equal(rows, end_rows) and np.array_equal(rows, influence_rows)):
            raise InputError(f"{source}: a document's lists of {', '.join(columns)} differ in length; {_REMEDY}.")
        if np.any(starts < 0) or np.any(ends < starts):
            raise InputError(f"{source}: a token ends before it starts, or before its text does; {_REMEDY}.")
        require_finite(influence, source)
        if (chosen := selectable(batch)) is None:
            return cls(Ranges(starts.astype(np.int64), ends.astype(np.int64), rows), influence)
        if len(chosen) != len(influence):
            raise InputError(f"{source}: a document's lists of influence and {LOSS_MASK} differ in length; {_REMEDY}.")
        places = np.flatnonzero(chosen)
        ranges = Ranges(
            starts[places].astype(np.int64),
            ends[places].astype(np.int64),
            np.searchsorted(places, rows).astype(np.int64),
        )
        return cls(ranges, influence[places], np.diff(places, prepend=-2) != 1)

    def document(self, index: int) -> ScoredTokens:
        """Document number `index` of the batch, alone."""
        first, last = self.tokens.rows[index : index + 2]
        starts, ends = self.tokens.starts[first:last], self.tokens.ends[first:last]
        apart = None if self.apart is None else self.apart[first:last] | (np.arange(last - first) == 0)
        return ScoredTokens(Ranges.of_document(starts, ends), self.influence[first:last], apart)


@dataclass(frozen=True)
class Sidecar:
    """One shard's scores for one behaviour: a file, opened only while it is read.

    Every method raises InputError, naming the file, when it is missing, truncated, corrupt or without a column.
    """

    name: str
    path: Path
    behaviour: str

    def histogram(self) -> Histogram:
        """Counts of the shard's influence, from the file's footer.

        Raises:
            InputError: there are none for this behaviour.
        """
        _require_file(self.path)
        with reading(str(self.path), "scores"):
            stored = read_sidecar_metadata(pq.read_metadata(self.path), self.path).histograms
            if self.behaviour in stored:
                return Histogram.from_text(stored[self.behaviour])
        raise InputError(f"{self.path}: holds no histogram of {self.behaviour!r}; {_REMEDY}.")

    def influence(self) -> Iterator[NDArray[np.float32]]:
        """Every token's influence, float32, checked against the histogram once the last one was given.

        Raises:
            InputError: NaN or infinity, or other values than the histogram counted.
        """
        column = influence_column(self.behaviour)
        counted = Histogram()
        for batch in self._batches([column], [TOKEN_STARTS, TOKEN_ENDS, LOSS_MASK]):
            _, values = _flat(batch, column, str(self.path))
            if (chosen := selectable(batch)) is not None:
                values = values[chosen]
            counted.add(values, str(self.path))
            yield values
        if counted != self.histogram():
            raise InputError(f"{self.path}: the scores are not those that its histogram counted; {_REMEDY}.")

    def batches(self) -> Iterator[ScoredTokens]:
        """The documents in order, some megabytes at a time."""
        columns = [TOKEN_STARTS, TOKEN_ENDS, influence_column(self.behaviour)]
        for batch in self._batches(columns, [LOSS_MASK]):
            yield ScoredTokens.from_arrow(batch, self.behaviour, str(self.path))

    def document(self, row: int) -> ScoredTokens:
        """Document number `row` alone."""
        first = 0
        for scored in self.batches():
            if row < first + scored.tokens.documents:
                return scored.document(row - first)
            first += scored.tokens.documents
        raise IndexError(f"{self.path}: has no row {row}")

    def _batches(self, columns: list[str], of_messages: list[str]) -> Iterator[pa.RecordBatch]:
        """Some `columns`, and further ones where documents are messages."""
        _require_file(self.path)
        reader = ParquetReader(str(self.path))
        absent = [name for name in columns if name not in reader.schema.names]
        if absent:
            raise InputError(f"{self.path}: has no column {absent[0]!r}; {_REMEDY}.")
        return reader.batches(columns + (of_messages if LOSS_MASK in reader.schema.names else []))


def _flat(batch: pa.RecordBatch, name: str, source: str) -> tuple[Ints, NDArray[Any]]:
    """A list column as row offsets (int64 [rows + 1], from 0) and values, without nulls at either level."""
    column = batch.column(name)
    expected = FLOAT_LIST if name not in (TOKEN_STARTS, TOKEN_ENDS) else INT_LIST
    if column.type != expected:
        raise InputError(f"{source}: column {name!r} is {column.type}, not {expected}; {_REMEDY}.")
    values = column.flatten()
    if column.null_count or values.null_count:
        raise InputError(f"{source}: column {name!r} has nulls; {_REMEDY}.")
    offsets = column.offsets.to_numpy().astype(np.int64)
    return offsets - offsets[0], values.to_numpy()
