"""The sidecars `scores/<shard>.parquet`: their columns, and scored tokens read in batches of bounded size.

A token's influence is the derivative of its own loss along the direction (label alignment): positive means that
training on the token makes the behaviour likelier. Unit: nats per unit of the direction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ifcurate.corpus.documents import ID
from ifcurate.corpus.parquet import ParquetReader, ParquetSink, Part, writing_parquet
from ifcurate.corpus.sources import reading
from ifcurate.errors import InputError
from ifcurate.influence.column_names import LOSS as LOSS
from ifcurate.influence.column_names import TOKEN_IDS as TOKEN_IDS
from ifcurate.influence.column_names import influence_column as influence_column
from ifcurate.selection.footers import DIRECTIONS as DIRECTIONS
from ifcurate.selection.footers import HISTOGRAMS as HISTOGRAMS
from ifcurate.selection.footers import ON as ON
from ifcurate.selection.footers import REMEDY, require_file
from ifcurate.selection.footers import SCORES as SCORES
from ifcurate.selection.footers import SHARD as SHARD
from ifcurate.selection.footers import DirectionFacts as DirectionFacts
from ifcurate.selection.footers import ShardFacts as ShardFacts
from ifcurate.selection.footers import SidecarMetadata as SidecarMetadata
from ifcurate.selection.footers import hash_sidecars as hash_sidecars
from ifcurate.selection.footers import read_sidecar_metadata as read_sidecar_metadata
from ifcurate.selection.footers import sidecar_metadata as sidecar_metadata
from ifcurate.selection.quantile import Bins, Histogram, Stratum, keys_in, require_finite, sort_keys
from ifcurate.selection.repetition import repeated_shares
from ifcurate.selection.screened import FIELDS, WEIGHT, by_stratum, is_screened, weights_of, with_lists
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


def sidecar_schema(
    behaviours: Sequence[str], with_loss: bool, messages: bool = False, screened: bool = False
) -> pa.Schema:
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
    return pa.schema([*fields, *FIELDS] if screened else fields)


@contextmanager
def writing_scores(path: Path, schema: pa.Schema) -> Iterator[ParquetSink]:
    """A sink for a sidecar, see `writing_parquet`.

    Influence has random bits at the end of each number and similar ones at its beginning, which compress when they are
    apart; where tokens start and end grows steadily. Smaller than dictionaries, and read faster.
    """
    encodings = dict.fromkeys((TOKEN_STARTS, TOKEN_ENDS), "DELTA_BINARY_PACKED")
    encodings |= {field.name: "BYTE_STREAM_SPLIT" for field in schema if field.type == FLOAT_LIST}
    with writing_parquet(path, schema, encodings=encodings) as sink:
        yield sink


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

    `tokens` holds their character ranges, `influence` their scores (float32 [tokens]), NaN in documents without one.
    `apart` is bool [tokens], where some were left out: those that do not follow on the one before them. `weights` is
    float64 [documents]: how many each stands for, 0 where it has no score; None where all have one. `held_back` is
    bool [documents]: those that give up nothing, whatever their scores; None where there is none.
    """

    tokens: Ranges
    influence: NDArray[np.float32]
    apart: Mask | None = None
    weights: NDArray[np.float64] | None = None
    held_back: Mask | None = None

    def above(self, tau: np.float32) -> Ints:
        """int64: the tokens whose influence is above `tau`, in documents that are not held back."""
        if self.held_back is None:
            return np.flatnonzero(self.influence > tau)
        lengths = np.diff(self.tokens.rows)
        return np.flatnonzero((self.influence > tau) & ~np.repeat(self.held_back, lengths))

    @classmethod
    def from_arrow(cls, batch: pa.RecordBatch, behaviour: str, source: str) -> ScoredTokens:
        """The scored tokens in a record batch (or slice of one) with a sidecar's columns.

        Raises:
            InputError: naming `source`: lists that are null or of unequal length, impossible ranges, NaN or infinity.
        """
        columns = [TOKEN_STARTS, TOKEN_ENDS, influence_column(behaviour)]
        batch = with_lists(batch, columns[2], columns[0], source)
        weights = weights_of(batch) if is_screened(batch) else None
        rows, starts = _flat(batch, columns[0], source)
        end_rows, ends = _flat(batch, columns[1], source)
        influence_rows, influence = _flat(batch, columns[2], source)
        if not (np.array_equal(rows, end_rows) and np.array_equal(rows, influence_rows)):
            raise InputError(f"{source}: a document's lists of {', '.join(columns)} differ in length; {REMEDY}.")
        if np.any(starts < 0) or np.any(ends < starts):
            raise InputError(f"{source}: a token ends before it starts, or before its text does; {REMEDY}.")
        require_finite(influence if weights is None else influence[np.repeat(weights > 0, np.diff(rows))], source)
        if (chosen := selectable(batch)) is None:
            return cls(Ranges(starts.astype(np.int64), ends.astype(np.int64), rows), influence, None, weights)
        if len(chosen) != len(influence):
            raise InputError(f"{source}: a document's lists of influence and {LOSS_MASK} differ in length; {REMEDY}.")
        places = np.flatnonzero(chosen)
        ranges = Ranges(
            starts[places].astype(np.int64),
            ends[places].astype(np.int64),
            np.searchsorted(places, rows).astype(np.int64),
        )
        return cls(ranges, influence[places], np.diff(places, prepend=-2) != 1, weights)

    def document(self, index: int) -> ScoredTokens:
        """Document number `index` of the batch, alone."""
        first, last = self.tokens.rows[index : index + 2]
        starts, ends = self.tokens.starts[first:last], self.tokens.ends[first:last]
        apart = None if self.apart is None else self.apart[first:last] | (np.arange(last - first) == 0)
        weights = None if self.weights is None else self.weights[index : index + 1]
        held_back = None if self.held_back is None else self.held_back[index : index + 1]
        return ScoredTokens(Ranges.of_document(starts, ends), self.influence[first:last], apart, weights, held_back)


@dataclass(frozen=True)
class Sidecar:
    """One shard's scores for one behaviour: a file, opened only while it is read.

    Documents of which more than `max_repetition` repeats itself (`repeated_shares`) are held back; None: none is.

    Every method raises InputError, naming the file, when it is missing, truncated, corrupt or without a column.
    """

    name: str
    path: Path
    behaviour: str
    max_repetition: float | None = None

    def metadata(self) -> SidecarMetadata:
        """What the file says of itself."""
        return sidecar_metadata(self.path)

    def histogram(self) -> Histogram:
        """Counts of the influence of all tokens that have a score, from the file's footer.

        Raises:
            InputError: there are none for this behaviour.
        """
        said = self.metadata().histograms
        if self.behaviour not in said:
            raise InputError(f"{self.path}: holds no histogram of {self.behaviour!r}; {REMEDY}.")
        return self._read(said[self.behaviour])

    def strata(self) -> tuple[list[Stratum], int]:
        """Weights and counts of influence, those that stand for themselves first; and all tokens, scored or not."""
        counted, screened = self.histogram(), self.metadata().screened
        if screened is None:
            return [(1.0, counted)], counted.total
        if self.behaviour not in screened.audited:
            raise InputError(f"{self.path}: holds no histogram of the audit of {self.behaviour!r}; {REMEDY}.")
        audited = self._read(screened.audited[self.behaviour])
        return [(1.0, Histogram(counted.counts - audited.counts)), (screened.weight, audited)], screened.tokens

    def parts(self) -> list[Part]:
        """What threads may share out."""
        return self._reader().parts()

    def influence(self, part: Part | None = None) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """The influence of every token that has one, of the whole file or of a part.

        Yields:
            The number of a stratum, and float32 [tokens], finite.

        Raises:
            InputError: NaN or infinity.
        """
        for batch in self._batches([influence_column(self.behaviour)], [TOKEN_STARTS, TOKEN_ENDS, LOSS_MASK], part):
            for stratum, rows in by_stratum(batch):
                _, values = _flat(rows, influence_column(self.behaviour), str(self.path))
                if (chosen := selectable(rows)) is not None:
                    values = values[chosen]
                require_finite(values, str(self.path))
                yield stratum, values

    def keys(self, bins: Bins, part: Part) -> tuple[list[NDArray[np.uint32]], list[Histogram]]:
        """The sort keys (uint32) of the influence that is in some bins, and the counts of all; of either stratum."""
        found: list[list[NDArray[np.uint32]]] = [[], []]
        counted = [Histogram(), Histogram()]
        for stratum, values in self.influence(part):
            keys = sort_keys(values)
            counted[stratum].add_keys(keys)
            found[stratum].append(keys_in(bins, keys))
        return [np.concatenate([*pieces, bins[:0]]) for pieces in found], counted

    def check(self) -> None:
        """Refuse scores that are not those that the histograms in the footer counted."""
        counted = [Histogram(), Histogram()]
        for stratum, values in self.influence():
            counted[stratum].add(values)
        strata, _ = self.strata()
        if counted[: len(strata)] != [histogram for _, histogram in strata]:
            raise InputError(f"{self.path}: the scores are not those that its histogram counted; {REMEDY}.")

    def batches(self, part: Part | None = None) -> Iterator[ScoredTokens]:
        """The documents in order, of the whole file or of a part, some megabytes at a time."""
        columns = [TOKEN_STARTS, TOKEN_ENDS, influence_column(self.behaviour)]
        if self.max_repetition is None:
            for batch in self._batches(columns, [LOSS_MASK], part):
                yield ScoredTokens.from_arrow(batch, self.behaviour, str(self.path))
            return
        for batch in self._batches([TOKEN_IDS, *columns], [LOSS_MASK], part):
            scored = ScoredTokens.from_arrow(batch, self.behaviour, str(self.path))
            yield replace(scored, held_back=repeated_shares(batch.column(TOKEN_IDS)) > self.max_repetition)

    def document(self, row: int) -> ScoredTokens:
        """Document number `row` alone."""
        first = 0
        for scored in self.batches():
            if row < first + scored.tokens.documents:
                return scored.document(row - first)
            first += scored.tokens.documents
        raise IndexError(f"{self.path}: has no row {row}")

    def _read(self, text: str) -> Histogram:
        with reading(str(self.path), "scores"):
            return Histogram.from_text(text)

    def _reader(self) -> ParquetReader:
        require_file(self.path)
        return ParquetReader(str(self.path))

    def _batches(
        self, columns: list[str], of_messages: list[str], part: Part | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Some `columns`, further ones where documents are messages, and weights where they were screened."""
        reader = self._reader()
        absent = [name for name in columns if name not in reader.schema.names]
        if absent:
            raise InputError(f"{self.path}: has no column {absent[0]!r}; {REMEDY}.")
        weights = [WEIGHT] if WEIGHT in reader.schema.names else []
        chosen = columns + (of_messages if LOSS_MASK in reader.schema.names else []) + weights
        return reader.batches(chosen, part=part)


def _flat(batch: pa.RecordBatch, name: str, source: str) -> tuple[Ints, NDArray[Any]]:
    """A list column as row offsets (int64 [rows + 1], from 0) and values, without nulls at either level."""
    column = batch.column(name)
    expected = FLOAT_LIST if name not in (TOKEN_STARTS, TOKEN_ENDS) else INT_LIST
    if column.type != expected:
        raise InputError(f"{source}: column {name!r} is {column.type}, not {expected}; {REMEDY}.")
    values = column.flatten()
    if column.null_count or values.null_count:
        raise InputError(f"{source}: column {name!r} has nulls; {REMEDY}.")
    offsets = column.offsets.to_numpy().astype(np.int64)
    return offsets - offsets[0], values.to_numpy()
