"""Annotated shards to token ids and marks, in the tokenization of the model that is to be trained.

Where a shard was scored with the same tokenizer, its own tokens and mask are read. Everywhere else the text is
tokenized again, and a token is marked if it overlaps a marked character range: so the mask of a small proxy serves a
model of any other family.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from ifcurate.annotation.batches import AnnotatedBatch
from ifcurate.annotation.provenance import provenance_of
from ifcurate.annotation.schema import mask_column, spans_column
from ifcurate.corpus.shards import Shard, list_shards, open_shard
from ifcurate.errors import InputError
from ifcurate.model.checkpoints import check_token_ids
from ifcurate.model.hashes import hash_tokenizer
from ifcurate.model.windows import encode_documents
from ifcurate.selection.scores import TOKEN_IDS
from ifcurate.selection.spans import Ranges, spans_to_mask

RUN_FILE = "run.yaml"
"""What makes a folder a run; its annotated shards lie in `data/` beside it."""

MOST_BEHAVIOURS = 8
"""Marks are the bits of one byte."""

BATCH_ROWS = 256
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class MarkedDocument:
    """Tokens `int32[tokens]` without special tokens, and their marks `uint8[tokens]`: bit b is behaviour b's mask."""

    token_ids: NDArray[np.int32]
    marks: NDArray[np.uint8]


@dataclass
class MarkCount:
    """Tokens, and how many of them one behaviour marks: as annotated, and for the model that is trained."""

    annotated: int = 0
    annotated_marked: int = 0
    trained: int = 0
    trained_marked: int = 0

    def sentence(self, behaviour: str) -> str:
        """Both shares of marked tokens in one line."""
        before = "unknown (no mask column)"
        if self.annotated:
            before = f"{self.annotated_marked / self.annotated:.2%} of {self.annotated:,} tokens"
        after = f"{self.trained_marked / max(self.trained, 1):.2%} of {self.trained:,} tokens"
        return f"{behaviour}: marked {before} as annotated, {after} for this model"


@dataclass
class AnnotatedCorpus:
    """Shards with masks, read for one tokenizer.

    Attributes:
        source: run folder, folder, glob or URL of shards.
        behaviours: whose masks to read, at most eight; none for plain text.
        embeddings: token ids that the model knows, where one is to read them.
        counts: filled while `documents` runs, one a behaviour.
    """

    source: str
    behaviours: Sequence[str]
    tokenizer: PreTrainedTokenizerFast
    text_column: str = "text"
    embeddings: int | None = None
    counts: dict[str, MarkCount] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.behaviours) > MOST_BEHAVIOURS:
            raise InputError(f"{len(self.behaviours)} behaviours are more than {MOST_BEHAVIOURS}; name fewer.")
        self.counts = {behaviour: MarkCount() for behaviour in self.behaviours}
        self._tokenizer_hash = hash_tokenizer(self.tokenizer)

    def shards(self) -> list[Shard]:
        """The shards, in the order of their names."""
        return list_shards(annotated_folder(self.source))

    def documents(self) -> Iterator[MarkedDocument]:
        """Every document of every shard, in order."""
        for shard in self.shards():
            yield from self.documents_of(shard)

    def documents_of(self, shard: Shard) -> Iterator[MarkedDocument]:
        """The documents of one shard, in order; documents without a token too.

        Raises:
            InputError: a column is missing or of the wrong type, lengths disagree, or the tokens' origin is unknown;
                or the model has no embedding for a token.
        """
        reader = open_shard(shard)
        names = reader.readable.names
        masks = [mask_column(behaviour) for behaviour in self.behaviours]
        if self._made_with_own_tokenizer(shard, reader.readable) and all(name in names for name in (TOKEN_IDS, *masks)):
            read, columns = self._as_annotated, [TOKEN_IDS, *masks]
        else:
            spans = [spans_column(behaviour) for behaviour in self.behaviours]
            _require(shard, names, [self.text_column, *spans])
            read, columns = self._projected, [self.text_column, *spans, *(name for name in masks if name in names)]
        row = 0
        for batch in reader.batches(columns, BATCH_ROWS):
            yield from read(AnnotatedBatch(shard, row, batch))
            row += batch.num_rows

    def _made_with_own_tokenizer(self, shard: Shard, schema: pa.Schema) -> bool:
        """Whether every annotation of the shard says that it is of the tokenizer that is read for."""
        annotations = [entry for entry in provenance_of(shard, schema).values() if isinstance(entry, dict)]
        made = [entry.get("tokenizer_hash") for entry in annotations]
        return bool(made) and all(tokenizer == self._tokenizer_hash for tokenizer in made)

    def _as_annotated(self, batch: AnnotatedBatch) -> Iterator[MarkedDocument]:
        rows, token_ids = batch.token_ids(TOKEN_IDS)
        masks = [batch.mask(mask_column(behaviour), rows) for behaviour in self.behaviours]
        for behaviour, mask in zip(self.behaviours, masks, strict=True):
            self.counts[behaviour].annotated += len(mask)
            self.counts[behaviour].annotated_marked += int(mask.sum())
        return self._cut(batch, rows, token_ids, masks)

    def _projected(self, batch: AnnotatedBatch) -> Iterator[MarkedDocument]:
        encodings = encode_documents(self.tokenizer, batch.texts(self.text_column))
        rows = np.cumsum([0, *(len(encoding) for encoding in encodings)])
        tokens = Ranges(
            np.concatenate([np.zeros(0, np.int64), *(encoding.starts for encoding in encodings)]),
            np.concatenate([np.zeros(0, np.int64), *(encoding.ends for encoding in encodings)]),
            rows,
        )
        masks = []
        for behaviour in self.behaviours:
            masks.append(spans_to_mask(batch.spans(spans_column(behaviour)), tokens))
            if mask_column(behaviour) in batch.arrow.schema.names:
                annotated = batch.mask(mask_column(behaviour))
                self.counts[behaviour].annotated += len(annotated)
                self.counts[behaviour].annotated_marked += int(annotated.sum())
        token_ids = np.concatenate([np.zeros(0, np.int32), *(encoding.token_ids for encoding in encodings)])
        return self._cut(batch, rows, token_ids, masks)

    def _cut(
        self,
        batch: AnnotatedBatch,
        rows: NDArray[np.int64],
        token_ids: NDArray[np.int32],
        masks: Sequence[NDArray[np.bool_]],
    ) -> Iterator[MarkedDocument]:
        marks = np.zeros(len(token_ids), dtype=np.uint8)
        for bit, (behaviour, mask) in enumerate(zip(self.behaviours, masks, strict=True)):
            marks |= mask.astype(np.uint8) << bit
            self.counts[behaviour].trained += len(mask)
            self.counts[behaviour].trained_marked += int(mask.sum())
        for row, (first, last) in enumerate(pairwise(rows)):
            if self.embeddings is not None:
                where = f"{batch.shard.path}, row {batch.first_row + row} (counted from 0)"
                check_token_ids(token_ids[first:last], self.embeddings, where)
            yield MarkedDocument(token_ids[first:last], marks[first:last])

    def require_marks(self) -> None:
        """To be called after the last document.

        Raises:
            InputError: a behaviour marks no token.
        """
        for behaviour, count in self.counts.items():
            if not count.trained_marked:
                raise InputError(
                    f"{self.source}: {behaviour!r} marks no token of {count.trained:,}, so a penalty would change "
                    "nothing; select with a larger budget, or train without --penalty."
                )


def annotated_folder(source: str) -> str:
    """`RUN/data` where `source` is a run folder, a Hub data set's URL where it is an id, `source` itself otherwise."""
    path = Path(source)
    if (path / RUN_FILE).is_file():
        return str(path / "data")
    if not path.exists() and HUB_ID.fullmatch(source):
        return f"hf://datasets/{source}"
    return source


def _require(shard: Shard, names: Sequence[str], wanted: Sequence[str]) -> None:
    absent = [name for name in wanted if name not in names]
    if absent:
        raise InputError(
            f"{shard.path}: has no column {absent[0]!r} (it has {', '.join(names)}), which is needed to mark the "
            "tokens of this tokenizer; annotate the corpus first, or correct --behaviour or --text-column."
        )
