"""What a student learns from: the windows of scored documents, and those of some that are held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ifcurate.corpus.documents import read_documents
from ifcurate.corpus.parquet import ParquetReader
from ifcurate.corpus.settings import BadRows
from ifcurate.corpus.shards import Shard
from ifcurate.corpus.text_hash import hash_texts
from ifcurate.errors import InputError
from ifcurate.model.windows import Encoding, Window, split_into_windows
from ifcurate.screening.threshold import draw_of
from ifcurate.selection.quantile import require_finite
from ifcurate.selection.scores import LOSS_MASK, TOKEN_IDS, influence_column, sidecar_metadata
from ifcurate.selection.spans import Mask

TOKENS, INFLUENCE = np.dtype(np.int32), np.dtype(np.float32)


@dataclass(frozen=True)
class ScoredWindows:
    """Windows of documents, their tokens in a file, and the influence of each token in another.

    Attributes:
        windows: their numbers of documents count from 0.
        offsets: int64 [documents + 1]: where each document's tokens begin.
        influence: float32 [tokens of all documents]; of tokens without a loss it means nothing.
    """

    windows: list[Window]
    offsets: NDArray[np.int64]
    influence: NDArray[np.float32]

    @property
    def documents(self) -> int:
        """How many there are, empty ones too."""
        return len(self.offsets) - 1

    @property
    def tokens(self) -> int:
        """Tokens that carry a loss."""
        return sum(window.losses for window in self.windows)

    def of(self, window: Window) -> NDArray[np.float32]:
        """Influence of a window's tokens that carry a loss."""
        return self.influence[self.offsets[window.document] + window.places]

    def scored(self) -> NDArray[np.float32]:
        """Influence of all tokens that carry a loss, window by window."""
        return np.concatenate([np.zeros(0, np.float32), *map(self.of, self.windows)])


@dataclass(frozen=True)
class ScoredShards:
    """Shards and their sidecars, scored alike.

    Args:
        shards: of a corpus.
        sidecars: one a shard.
        behaviour: whose influence.
        context: tokens a window.
        overlap: of it that later windows read again.
        text_column: the documents'.
        bad_rows: as the shards were scored.
    """

    shards: Sequence[Shard]
    sidecars: Sequence[Path]
    behaviour: str
    context: int
    overlap: int = 0
    text_column: str = "text"
    bad_rows: BadRows = "refuse"

    def read(self, folder: Path, held_out: float, seed: int) -> tuple[ScoredWindows, ScoredWindows]:
        """Documents to learn from, and a share `held_out` of them, drawn by a hash of their texts and `seed`.

        Args:
            folder: empty; tokens and influence lie there, so that they need not fit into memory.
            held_out: from 0 to 1.
            seed: of the draw.

        Raises:
            InputError: a shard or its scores cannot be read, a text has changed since, or a score is NaN.
        """
        parts = _Part(folder / "learnt"), _Part(folder / "held_out")
        for shard, path in zip(self.shards, self.sidecars, strict=True):
            said = sidecar_metadata(path)
            if said.shard is None or said.shard.texts != hash_texts(shard, self.text_column):
                raise InputError(f"{shard.path}: has changed since it was scored; score it again.")
            drawn = self._drawn(shard, held_out, seed)
            for row, (ids, influence, scored) in enumerate(self._rows(path)):
                parts[int(drawn[row])].add(ids, influence, scored)
        return parts[0].windows(self.context, self.overlap), parts[1].windows(self.context, self.overlap)

    def _drawn(self, shard: Shard, held_out: float, seed: int) -> Mask:
        texts = (
            text for batch in read_documents(shard, self.text_column, bad_rows=self.bad_rows) for text in batch.texts
        )
        return np.array([draw_of(text, seed) < held_out for text in texts], np.bool_)

    def _rows(self, path: Path) -> Iterator[tuple[NDArray[np.int32], NDArray[np.float32], Mask | None]]:
        """Token ids, influence, and which tokens carry a loss, of every document."""
        reader = ParquetReader(str(path))
        wanted = [TOKEN_IDS, influence_column(self.behaviour)]
        if LOSS_MASK in reader.schema.names:
            wanted.append(LOSS_MASK)
        for batch in reader.batches(wanted):
            ids, influence = _flat(batch.column(0)), _flat(batch.column(1))
            require_finite(influence, str(path))
            scored = _flat(batch.column(2)) if len(wanted) > 2 else None
            ends = np.cumsum(batch.column(0).value_lengths().to_numpy())
            for first, last in zip([0, *ends[:-1]], ends, strict=True):
                yield ids[first:last], influence[first:last], None if scored is None else scored[first:last]


def _flat(column: pa.ListArray) -> NDArray[Any]:
    values: NDArray[Any] = column.flatten().to_numpy(zero_copy_only=False)
    return values


@dataclass
class _Part:
    """Documents on disk, one behind the other."""

    place: Path
    lengths: list[int] = field(default_factory=list)
    masks: dict[int, Mask] = field(default_factory=dict)

    def add(self, ids: NDArray[np.int32], influence: NDArray[np.float32], scored: Mask | None) -> None:
        for suffix, kind, values in ((".ids", TOKENS, ids), (".influence", INFLUENCE, influence)):
            with self.place.with_suffix(suffix).open("ab") as stream:
                stream.write(values.astype(kind, copy=False).tobytes())
        if scored is not None:
            self.masks[len(self.lengths)] = scored.astype(np.bool_)
        self.lengths.append(len(ids))

    def windows(self, context: int, overlap: int) -> ScoredWindows:
        offsets = np.cumsum([0, *self.lengths], dtype=np.int64)
        ids, influence = self._mapped(".ids", TOKENS, offsets), self._mapped(".influence", INFLUENCE, offsets)
        windows = []
        for document, (first, last) in enumerate(pairwise(offsets)):
            own = ids[first:last]
            encoding = Encoding(own, own, own, self.masks.get(document))
            for window in split_into_windows([encoding], context, overlap):
                windows.append(Window(document, window.first, window.token_ids, window.scored))
        return ScoredWindows(windows, offsets, influence)

    def _mapped(self, suffix: str, kind: np.dtype[Any], offsets: NDArray[np.int64]) -> NDArray[Any]:
        if not offsets[-1]:
            return np.zeros(0, kind)
        return np.memmap(self.place.with_suffix(suffix), kind, "r")
