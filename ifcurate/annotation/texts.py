"""Annotated shards as texts with marked characters, for those who tokenize for themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ifcurate.annotation.batches import BATCH_ROWS, AnnotatedBatch, require_columns
from ifcurate.annotation.provenance import annotations_of
from ifcurate.annotation.run_folder import annotated_folder
from ifcurate.annotation.schema import spans_column
from ifcurate.corpus.documents import is_text
from ifcurate.corpus.shards import Shard, list_shards, open_shard
from ifcurate.errors import InputError
from ifcurate.model.hashes import hash_tokenizer
from ifcurate.model.windows import encode_documents
from ifcurate.selection.scores import influence_column
from ifcurate.selection.spans import Ranges, highest, union

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class MarkedSpans:
    """The marked characters of a document: starts and ends int64 [spans], sorted, apart from each other.

    `scores`, float32 [spans], is the highest influence among the tokens of each; None unless asked for.
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    scores: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class MarkedText:
    """A document: its id (empty unless asked for), its text, and behaviour -> what is marked of it."""

    id: str
    text: str
    spans: dict[str, MarkedSpans]


@dataclass(frozen=True)
class AnnotatedTexts:
    """Shards with spans, read without regard to tokens.

    Attributes:
        source: run folder, folder, glob or URL of shards.
        behaviours: whose spans to read.
        id_column: column of ids; None where nobody asks for them.
        tokenizer: that which was annotated with, to score spans by their tokens' influence; None without scores.
    """

    source: str
    behaviours: Sequence[str]
    text_column: str = "text"
    id_column: str | None = None
    tokenizer: PreTrainedTokenizerFast | None = None

    def shards(self) -> list[Shard]:
        """The shards, in the order of their names."""
        return list_shards(annotated_folder(self.source))

    def documents_of(self, shard: Shard) -> Iterator[MarkedText]:
        """The documents of one shard, in order.

        Raises:
            InputError: a column is missing or cannot be read, an id is null, a span is no characters of its text; or,
                with a tokenizer, the influence is of another's tokens, or none of them is in a span.
        """
        reader = open_shard(shard)
        columns = [self.text_column, *map(spans_column, self.behaviours)]
        if self.id_column is not None:
            columns.append(self.id_column)
        if self.tokenizer is not None:
            columns += map(influence_column, self.behaviours)
        require_columns(shard, reader.readable.names, columns)
        if self.tokenizer is not None:
            _require_tokenizer(shard, reader.readable, self.tokenizer)
        row = 0
        for batch in reader.batches(list(dict.fromkeys(columns)), BATCH_ROWS):
            yield from self._texts(AnnotatedBatch(shard, row, batch))
            row += batch.num_rows

    def _texts(self, batch: AnnotatedBatch) -> Iterator[MarkedText]:
        texts = batch.texts(self.text_column)
        ids = [""] * len(texts) if self.id_column is None else _ids(batch, self.id_column)
        found = {name: union([batch.spans(spans_column(name))]) for name in self.behaviours}
        lengths = np.array([len(text) for text in texts], dtype=np.int64)
        for name, spans in found.items():
            _require_within(batch, spans_column(name), spans, lengths)
        scores = self._scores(batch, texts, found)
        rows = {name: list(pairwise(spans.rows)) for name, spans in found.items()}
        for index, (name, text) in enumerate(zip(ids, texts, strict=True)):
            marked = {}
            for behaviour, spans in found.items():
                part = slice(*rows[behaviour][index])
                own = scores[behaviour][part] if scores is not None else None
                marked[behaviour] = MarkedSpans(spans.starts[part], spans.ends[part], own)
            yield MarkedText(name, text, marked)

    def _scores(
        self, batch: AnnotatedBatch, texts: Sequence[str], found: dict[str, Ranges]
    ) -> dict[str, NDArray[np.float32]] | None:
        if self.tokenizer is None:
            return None
        encodings = encode_documents(self.tokenizer, texts)
        tokens = Ranges.of_documents([(encoding.starts, encoding.ends) for encoding in encodings])
        scores = {}
        for name, spans in found.items():
            scores[name] = highest(spans, tokens, batch.numbers_or_nan(influence_column(name), tokens.rows))
            without = np.flatnonzero(np.isneginf(scores[name]))
            if len(without):
                row = batch.first_row + int(spans.document_of[without[0]])
                raise InputError(f"{batch.shard.path}: row {row}: a span of {name!r} holds no token; write it again.")
        return scores


def _ids(batch: AnnotatedBatch, name: str) -> list[str]:
    column = batch.arrow.column(name)
    if not (is_text(column.type) or pa.types.is_integer(column.type)):
        raise InputError(f"{batch.shard.path}: column {name!r} holds {column.type}, no ids; give --id-column.")
    values = column.to_pylist()
    if None in values:
        row = batch.first_row + values.index(None)
        raise InputError(f"{batch.shard.path}: row {row}: {name!r} is null; give every document an id.")
    return [str(value) for value in values]


def _require_within(batch: AnnotatedBatch, name: str, spans: Ranges, lengths: NDArray[np.int64]) -> None:
    beyond = np.flatnonzero(spans.ends > lengths[spans.document_of])
    if len(beyond):
        first = int(beyond[0])
        document = int(spans.document_of[first])
        raise InputError(
            f"{batch.shard.path}: row {batch.first_row + document}: column {name!r} marks characters up to "
            f"{spans.ends[first]} of a text of {lengths[document]}; it is of another text: annotate the corpus again."
        )


def _require_tokenizer(shard: Shard, schema: pa.Schema, tokenizer: PreTrainedTokenizerFast) -> None:
    """Influence is one number a token of the tokenizer that was annotated with."""
    made = [entry.get("tokenizer_hash") for entry in annotations_of(shard, schema)]
    if not made or any(own != hash_tokenizer(tokenizer) for own in made):
        raise InputError(
            f"{shard.path}: was annotated with another tokenizer than {tokenizer.name_or_path}, so its influence is of "
            "other tokens; give --tokenizer that one."
        )
