"""Annotated shards to token ids and marks, in the tokenization of the model that is to be trained.

Where a shard was scored with the same tokenizer, its own tokens and mask are read. Everywhere else the text is
tokenized again, and a token is marked if it overlaps a marked character range: so the mask of a small proxy serves a
model of any other family.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ifcurate.annotation.batches import BATCH_ROWS, AnnotatedBatch, require_columns
from ifcurate.annotation.messages import marked_messages
from ifcurate.annotation.provenance import annotations_of, provenance_of
from ifcurate.annotation.run_folder import annotated_folder
from ifcurate.annotation.schema import mask_column, spans_column
from ifcurate.annotation.strengths import StrengthColumns
from ifcurate.corpus.messages import is_messages
from ifcurate.corpus.settings import On
from ifcurate.corpus.shards import Shard, list_shards, open_shard
from ifcurate.errors import InputError
from ifcurate.model.checkpoints import check_token_ids
from ifcurate.model.hashes import hash_tokenizer
from ifcurate.model.windows import encode_documents
from ifcurate.selection.scores import LOSS, LOSS_MASK, ON, TOKEN_IDS, influence_column
from ifcurate.selection.spans import Ranges, spans_to_mask

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MOST_BEHAVIOURS = 8
"""Marks are the bits of one byte."""


ReadBatch = Callable[[AnnotatedBatch], Iterator["MarkedDocument"]]


@dataclass(frozen=True)
class MarkedDocument:
    """The tokens of a document, without special tokens.

    Attributes:
        token_ids: int32 [tokens].
        marks: uint8 [tokens]: bit b is behaviour b's mask.
        losses: float32 [tokens]: under the annotating model; None unless asked for.
        strengths: float32 [behaviours, tokens], see `strengths`; None unless asked for.
        learned: bool [tokens]: which carry a loss; None where all do, as in documents that are texts.
    """

    token_ids: NDArray[np.int32]
    marks: NDArray[np.uint8]
    losses: NDArray[np.float32] | None = None
    strengths: NDArray[np.float32] | None = None
    learned: NDArray[np.bool_] | None = None


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
        with_losses: read each token's stored loss; only the tokenizer that was annotated with has one.
        with_strengths: read how strongly each marked token was selected; the same.
        counts: filled while `documents` runs, one a behaviour.
    """

    source: str
    behaviours: Sequence[str]
    tokenizer: PreTrainedTokenizerFast
    text_column: str = "text"
    embeddings: int | None = None
    with_losses: bool = False
    with_strengths: bool = False
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
                the model has no embedding for a token; or losses or strengths are of another tokenizer's tokens.
        """
        reader = open_shard(shard)
        names = reader.readable.names
        masks = [mask_column(behaviour) for behaviour in self.behaviours]
        if self._reads_own_tokens(shard, reader.readable):
            influence = [influence_column(behaviour) for behaviour in self.behaviours] if self.with_strengths else []
            beside = [*influence, LOSS] if self.with_losses else influence
            require_columns(shard, names, beside)
            said = provenance_of(shard, reader.readable)
            strong = StrengthColumns.said_by(said, self.behaviours, shard.path) if self.with_strengths else None
            read: ReadBatch = partial(self._as_annotated, strong=strong)
            columns = [TOKEN_IDS, *masks, *beside, *(name for name in (LOSS_MASK,) if name in names)]
        else:
            if self.with_losses or self.with_strengths:
                raise InputError(self._of_other_tokens(shard))
            spans = [spans_column(behaviour) for behaviour in self.behaviours]
            require_columns(shard, names, [self.text_column, *spans])
            read = partial(self._projected, on=self._on(shard, reader.readable))
            columns = [self.text_column, *spans, *(name for name in masks if name in names)]
        row = 0
        for batch in reader.batches(columns, BATCH_ROWS):
            yield from read(AnnotatedBatch(shard, row, batch))
            row += batch.num_rows

    def lacking_losses(self) -> str | None:
        """Why the stored losses cannot be read, in one sentence; None where every shard has them."""
        for shard in self.shards():
            schema = open_shard(shard).readable
            if not self._reads_own_tokens(shard, schema):
                return self._of_other_tokens(shard)
            ours = any(entry.get("with_loss") for entry in annotations_of(shard, schema))
            if LOSS not in schema.names or not ours:
                return f"{shard.path}: holds no losses; annotate the corpus --with-loss."
        return None

    def _reads_own_tokens(self, shard: Shard, schema: pa.Schema) -> bool:
        """Whether the shard has tokens and masks, and all its annotations are of the tokenizer that is read for."""
        made = [entry.get("tokenizer_hash") for entry in annotations_of(shard, schema)]
        own = bool(made) and all(tokenizer == self._tokenizer_hash for tokenizer in made)
        needed = [TOKEN_IDS, *(mask_column(behaviour) for behaviour in self.behaviours)]
        if any(entry.get(ON) is not None for entry in annotations_of(shard, schema)):
            needed.append(LOSS_MASK)
        return own and all(name in schema.names for name in needed)

    def _on(self, shard: Shard, schema: pa.Schema) -> On | None:
        """Whose messages carry a loss, as the shard was annotated or by default; None where documents are texts."""
        if not is_messages(schema.field(self.text_column).type):
            return None
        said = next((entry[ON] for entry in annotations_of(shard, schema) if entry.get(ON) is not None), "replies")
        return "all" if said == "all" else "replies"

    def _of_other_tokens(self, shard: Shard) -> str:
        return (
            f"{shard.path}: has no tokens of {self.tokenizer.name_or_path}, and the spans of another tokenizer's carry "
            "neither losses nor influence; train with the annotating tokenizer (and the column token_ids), or leave "
            "out --penalty-weights influence and --penalty-reference stored."
        )

    def _as_annotated(self, batch: AnnotatedBatch, strong: StrengthColumns | None) -> Iterator[MarkedDocument]:
        rows, token_ids = batch.token_ids(TOKEN_IDS)
        masks = [batch.mask(mask_column(behaviour), rows) for behaviour in self.behaviours]
        for behaviour, mask in zip(self.behaviours, masks, strict=True):
            self.counts[behaviour].annotated += len(mask)
            self.counts[behaviour].annotated_marked += int(mask.sum())
        losses = batch.numbers(LOSS, rows) if self.with_losses else None
        strengths = None if strong is None else strong.read(batch, rows, masks)
        learned = batch.mask(LOSS_MASK, rows) if LOSS_MASK in batch.arrow.schema.names else None
        for document, (first, last) in zip(self._cut(batch, rows, token_ids, masks), pairwise(rows), strict=True):
            yield replace(
                document,
                losses=None if losses is None else losses[first:last],
                strengths=None if strengths is None else strengths[:, first:last],
                learned=None if learned is None else learned[first:last],
            )

    def _projected(self, batch: AnnotatedBatch, on: On | None) -> Iterator[MarkedDocument]:
        if on is None:
            encodings = encode_documents(self.tokenizer, batch.texts(self.text_column))
            tokens = Ranges.of_documents([(encoding.starts, encoding.ends) for encoding in encodings])
            masks = [spans_to_mask(batch.spans(spans_column(behaviour)), tokens) for behaviour in self.behaviours]
        else:
            encodings, masks = marked_messages(batch, self.text_column, self.behaviours, self.tokenizer, on)
        for behaviour in self.behaviours:
            if mask_column(behaviour) in batch.arrow.schema.names:
                annotated = batch.mask(mask_column(behaviour))
                self.counts[behaviour].annotated += len(annotated)
                self.counts[behaviour].annotated_marked += int(annotated.sum())
        token_ids = np.concatenate([np.zeros(0, np.int32), *(encoding.token_ids for encoding in encodings)])
        rows = np.cumsum([0, *map(len, encodings)], dtype=np.int64)
        for document, encoding in zip(self._cut(batch, rows, token_ids, masks), encodings, strict=True):
            yield replace(document, learned=encoding.scored)

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
