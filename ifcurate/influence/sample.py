"""A random sample of a corpus's documents: the same for the same seed, in memory that does not grow with the corpus."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import islice

import numpy as np
from transformers import PreTrainedTokenizerFast

from ifcurate.corpus.documents import read_documents
from ifcurate.corpus.settings import BadRows, On
from ifcurate.corpus.shards import Shard
from ifcurate.errors import InputError
from ifcurate.model.checkpoints import check_token_ids
from ifcurate.model.conversations import encode
from ifcurate.model.windows import Window, split_into_windows

MOST_SHARDS = 64
"""Shards that a sample is spread over: enough to be representative, few enough to read."""
MOST_BATCHES = 16
"""Batches of documents read from the beginning of each of these shards."""
MOST_WINDOWS = 8
"""Windows taken from the beginning of one document, so that no book is the whole sample."""
CHARACTERS_PER_TOKEN = 16
"""More characters than any tokenizer puts into a token on average: bounds how many documents are kept."""

MESSAGES_PER_REPLY = 8
"""Of a conversation's characters, at least one in so many is taken to be of a reply: the same bound for messages."""


@dataclass(frozen=True)
class Sample:
    """Windows of randomly drawn documents, and how many documents and tokens they are."""

    windows: list[Window]
    documents: int
    tokens: int

    def hash(self) -> str:
        """Hex SHA-256 of the windows' tokens, and of which of them carry a loss, in order."""
        digest = sha256()
        for window in self.windows:
            digest.update(len(window).to_bytes(8, "little") + np.asarray(window.token_ids, np.int64).tobytes())
            digest.update(b"" if window.scored is None else window.scored.tobytes())
        return digest.hexdigest()


def sample_windows(
    shards: Sequence[Shard],
    text_column: str,
    id_column: str | None,
    tokenizer: PreTrainedTokenizerFast,
    context: int,
    tokens: int,
    seed: int,
    embeddings: int | None = None,
    bad_rows: BadRows = "refuse",
    overlap: int = 0,
    on: On | None = None,
) -> Sample:
    """Windows of about `tokens` tokens (all there are, if fewer), every document that is looked at equally likely.

    Drawn from up to `MOST_SHARDS` random shards, `MOST_BATCHES` batches of each: in shuffled corpora a fair sample.

    Raises:
        InputError: there is no token to draw, or one whose id is not below `embeddings`; names the document.
    """
    longest = MOST_WINDOWS * context * CHARACTERS_PER_TOKEN if on is None else None  # messages are cut as tokens
    candidates = _candidates(shards, text_column, id_column, seed, longest, bad_rows)
    drawn = _draw_texts(candidates, tokens * CHARACTERS_PER_TOKEN * (1 if on is None else MESSAGES_PER_REPLY))
    windows: list[Window] = []
    total = 0
    for number, (name, text) in enumerate(drawn):
        if total >= tokens:
            break
        for window in split_into_windows(encode(tokenizer, [text], [name], on), context, overlap)[:MOST_WINDOWS]:
            if embeddings is not None:
                check_token_ids(window.token_ids, embeddings, f"document {name}")
            windows.append(replace(window, document=number))
            total += window.losses
    if not windows:
        wanted = "no token at all; give a corpus with text." if on is None else "no reply; give --on all."
        raise InputError(f"option CORPUS: its documents hold {wanted}")
    return Sample(windows, len({window.document for window in windows}), total)


def _candidates(
    shards: Sequence[Shard], text_column: str, id_column: str | None, seed: int, longest: int | None, bad_rows: BadRows
) -> Iterator[tuple[float, str, str]]:
    """Random keys, ids and the first `longest` characters of documents; those with the smallest keys are the sample."""
    chosen = np.random.default_rng(seed).permutation(len(shards))[:MOST_SHARDS]
    for index in chosen.tolist():
        generator = np.random.default_rng([seed, index])
        documents = read_documents(shards[index], text_column, id_column, bad_rows=bad_rows)
        for batch in islice(documents, MOST_BATCHES):
            keys = generator.random(len(batch)).tolist()
            named = zip(keys, batch.ids, batch.texts, strict=True)
            yield from ((key, name, text[:longest]) for key, name, text in named if text)


def _draw_texts(candidates: Iterator[tuple[float, str, str]], characters: int) -> list[tuple[str, str]]:
    """Ids and texts of the documents with the smallest keys, in order of key: `characters` characters together."""
    kept: list[tuple[float, str, str]] = []
    held = 0
    for key, name, text in candidates:
        heapq.heappush(kept, (-key, name, text))
        held += len(text)
        while held - len(kept[0][2]) >= characters:
            held -= len(heapq.heappop(kept)[2])
    return [(name, text) for _, name, text in sorted(kept, reverse=True)]
