"""What models are trained on to verify a mask: documents drawn at random, marked as annotated and marked at random."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ifcurate.annotation.reader import AnnotatedCorpus, MarkedDocument
from ifcurate.annotation.schema import mask_column
from ifcurate.corpus.parquet import attach
from ifcurate.errors import InputError
from ifcurate.files import finishing
from ifcurate.selection.scores import INT_LIST, MASK_LIST, TOKEN_IDS

MARKED, RANDOM = "marked", "random"
"""Names of the two masks in the files that `write_rows` makes."""

MOST_SHARDS = 64
"""Shards that documents are drawn from: enough to be representative, few enough to read."""


@dataclass(frozen=True)
class Drawn:
    """Documents to train on, and others of the same corpus to measure on.

    Attributes:
        trained: fill the rows; the last one is cut where they end.
        held_out: no document among them has the tokens of one that is trained on.
        repeated: documents drawn to be held out that have, and are left out.
    """

    trained: list[MarkedDocument]
    held_out: list[MarkedDocument]
    repeated: int

    @property
    def tokens(self) -> int:
        """Tokens of the documents that are trained on."""
        return sum(len(document.token_ids) for document in self.trained)

    @property
    def marked(self) -> int:
        """Those of them that are marked."""
        return sum(int(np.count_nonzero(document.marks)) for document in self.trained)

    def hash(self) -> str:
        """Hex SHA-256 of tokens and marks, in order."""
        digest = hashlib.sha256()
        for document in (*self.trained, *self.held_out):
            digest.update(len(document.token_ids).to_bytes(8, "little") + document.token_ids.astype("<i4").tobytes())
            digest.update(document.marks.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class RowShape:
    """`rows` rows of `context` tokens, in which every document has `delimiters` tokens around it."""

    rows: int
    context: int
    delimiters: int

    @property
    def stream(self) -> int:
        """Tokens that fill the rows, delimiters included: rows overlap by one."""
        return self.rows * (self.context - 1) + 1

    def rows_of(self, stream: int) -> int:
        """Rows that `stream` tokens fill."""
        return max(stream - 1, 0) // (self.context - 1)


def draw(corpus: AnnotatedCorpus, shape: RowShape, held_out_tokens: int, seed: int) -> Drawn:
    """Documents of `corpus` that fill the rows, and then others of at least `held_out_tokens` tokens, if there are.

    Every document of up to `MOST_SHARDS` random shards is equally likely; those without a token are none.

    Raises:
        InputError: the corpus does not fill the rows, no drawn token is marked, or none is left to be held out.
    """
    wanted = shape.stream + (held_out_tokens + shape.context if held_out_tokens else 0)
    documents = iter(_random_documents(corpus, wanted, shape.delimiters, seed))
    trained: list[MarkedDocument] = []
    filled = 0
    for document in documents:
        room = min(shape.stream - filled - shape.delimiters, len(document.token_ids))
        trained.append(MarkedDocument(document.token_ids[:room], document.marks[:room]))
        filled += room + shape.delimiters
        if shape.stream - filled <= shape.delimiters:
            break
    if shape.rows_of(filled + shape.delimiters) < shape.rows:
        raise InputError(
            f"option --rows: {corpus.source} fills {shape.rows_of(filled):,} rows of {shape.context:,} tokens, not "
            f"{shape.rows:,}; give fewer."
        )
    drawn = Drawn(trained, *apart(documents, trained, held_out_tokens))
    if not drawn.marked:
        raise InputError(
            f"{corpus.source}: none of the {drawn.tokens:,} tokens drawn is marked, so there is nothing to leave out; "
            "give more --rows, or select with a larger budget."
        )
    if 2 * drawn.marked > drawn.tokens:
        raise InputError(
            f"{corpus.source}: {drawn.marked:,} of the {drawn.tokens:,} tokens drawn are marked, so there are not as "
            "many others to leave out; select with a smaller budget."
        )
    if held_out_tokens and not drawn.held_out:
        raise InputError(
            f"option --rows: {corpus.source} has no document beside those that fill the rows; give --eval-file, or "
            "fewer rows."
        )
    return drawn


def apart(
    documents: Iterator[MarkedDocument], trained: Sequence[MarkedDocument], tokens: int
) -> tuple[list[MarkedDocument], int]:
    """The first of `documents` that are not `trained` on, each once, until they have `tokens` tokens.

    Returns:
        the documents, those without a token left out, and how many others were, because they are trained on or came
        twice.
    """
    seen = {document.token_ids.tobytes() for document in trained}
    found: list[MarkedDocument] = []
    repeated = count = 0
    for document in documents:
        if count >= tokens:
            break
        key = document.token_ids.tobytes()
        if not key:
            continue
        if key in seen:
            repeated += 1
            continue
        seen.add(key)
        found.append(document)
        count += len(document.token_ids)
    return found, repeated


def random_marks(documents: Sequence[MarkedDocument], seed: int) -> list[NDArray[np.bool_]]:
    """As many unmarked tokens of `documents` as are marked, drawn without replacement: one mask a document."""
    marked = np.concatenate([document.marks for document in documents]).astype(bool)
    chosen = np.random.default_rng(seed).choice(np.flatnonzero(~marked), int(marked.sum()), replace=False)
    random = np.zeros(len(marked), dtype=bool)
    random[chosen] = True
    return np.split(random, np.cumsum([len(document.marks) for document in documents])[:-1])


def write_rows(documents: Sequence[MarkedDocument], tokenizer_hash: str, seed: int, path: Path) -> None:
    """Write documents as a shard of two behaviours, `MARKED` and `RANDOM`, that `ifcurate train` reads."""
    columns = {
        TOKEN_IDS: pa.array([document.token_ids for document in documents], INT_LIST),
        mask_column(MARKED): pa.array([document.marks.astype(bool) for document in documents], MASK_LIST),
        mask_column(RANDOM): pa.array(random_marks(documents, seed), MASK_LIST),
    }
    table = pa.table(columns)
    made = {name: {"tokenizer_hash": tokenizer_hash} for name in (MARKED, RANDOM)}
    with finishing(path) as part:
        pq.write_table(table.replace_schema_metadata(attach(table.schema, made).metadata), part)


def _random_documents(corpus: AnnotatedCorpus, tokens: int, delimiters: int, seed: int) -> list[MarkedDocument]:
    """The documents with the smallest random keys, in order of key: at least `tokens` tokens, if there are as many."""
    shards = corpus.shards()
    kept: list[tuple[float, int, int, MarkedDocument]] = []
    held = 0
    for index in np.random.default_rng(seed).permutation(len(shards))[:MOST_SHARDS].tolist():
        generator = np.random.default_rng([seed, index])
        for row, document in enumerate(corpus.documents_of(shards[index])):
            key = float(generator.random())
            if not len(document.token_ids):
                continue
            heapq.heappush(kept, (-key, -index, -row, document))
            held += len(document.token_ids) + delimiters
            while held - len(kept[0][-1].token_ids) - delimiters >= tokens:
                held -= len(heapq.heappop(kept)[-1].token_ids) + delimiters
    return [document for *_, document in sorted(kept, key=lambda entry: entry[:3], reverse=True)]
