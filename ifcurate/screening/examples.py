"""What a screen learns from: documents of scored shards, and how much of each was selected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ifcurate.corpus.documents import read_documents
from ifcurate.corpus.settings import BadRows
from ifcurate.corpus.shards import Shard
from ifcurate.errors import InputError
from ifcurate.selection.spans import Ints
from ifcurate.selection.table import ShardRecords


@dataclass(frozen=True)
class ExampleBatch:
    """Consecutive documents of one shard.

    Attributes:
        texts: one a document.
        tokens: int64 [documents], tokens of each.
        selected: int64 [documents], how many of them were selected.
    """

    texts: list[str]
    tokens: Ints
    selected: Ints

    @property
    def targets(self) -> NDArray[np.float64]:
        """float64 [documents]: root of the share that was selected, so that few tokens in a long text count too."""
        return np.sqrt(self.selected / np.maximum(self.tokens, 1))


@dataclass(frozen=True)
class Examples:
    """The documents of scored and selected shards.

    Args:
        shards: the corpus, or a part of it.
        selection: folder of the selection.
        behaviour: whose selection.
        text_column: column that holds the documents.
        bad_rows: as the shards were scored.
    """

    shards: Sequence[Shard]
    selection: Path
    behaviour: str
    text_column: str = "text"
    bad_rows: BadRows = "refuse"

    def batches(self) -> Iterator[ExampleBatch]:
        """Every document in order.

        Raises:
            InputError: a shard cannot be read, or the selection has other documents.
        """
        for shard in self.shards:
            tokens, selected = self._counts(shard)
            row = 0
            for batch in read_documents(shard, self.text_column, bad_rows=self.bad_rows):
                end = row + len(batch)
                if end > len(tokens):
                    raise self._changed(shard, len(tokens))
                yield ExampleBatch(batch.texts, tokens[row:end], selected[row:end])
                row = end
            if row != len(tokens):
                raise self._changed(shard, len(tokens))

    def _counts(self, shard: Shard) -> tuple[Ints, Ints]:
        """Tokens of every document of a shard, and how many were selected."""
        records = ShardRecords.load(self.selection, self.behaviour, shard.name)
        documents = int(records.rows[-1]) + 1 if len(records.rows) else 0
        tokens, selected = (
            np.bincount(records.rows, weights=records.table[name].to_numpy(), minlength=documents).astype(np.int64)
            for name in ("tokens", "selected")
        )
        return tokens, selected

    def _changed(self, shard: Shard, expected: int) -> InputError:
        return InputError(
            f"{shard.path}: has other than the {expected:,} documents that were selected from; score and select it "
            "again, and then make the screen."
        )
