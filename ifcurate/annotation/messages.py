"""Annotated documents of messages, tokenized anew: spans in contents to spans in transcripts, and those to tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ifcurate.annotation.batches import AnnotatedBatch
from ifcurate.annotation.provenance import annotations_of
from ifcurate.annotation.schema import spans_column
from ifcurate.corpus.documents import texts_of
from ifcurate.corpus.messages import Transcript, from_text, is_messages, transcript
from ifcurate.corpus.settings import On
from ifcurate.corpus.shards import Shard, open_shard
from ifcurate.errors import InputError
from ifcurate.model.conversations import encode_conversations
from ifcurate.model.windows import Encoding
from ifcurate.selection.scores import ON
from ifcurate.selection.spans import Mask, Ranges, spans_to_mask

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def holds_messages(shards: Iterable[Shard], text_column: str) -> bool:
    """Whether annotated documents are messages: their annotations say so; else the text column's type, or, where there
    is none of that name, that of any column.

    Raises:
        InputError: a shard cannot be opened.
    """
    for shard in shards:
        schema = open_shard(shard).readable
        if said := annotations_of(shard, schema):
            return any(entry.get(ON) is not None for entry in said)
        named = [field for field in schema if field.name == text_column]
        if any(is_messages(field.type) for field in named or schema):
            return True
    return False


def marked_messages(
    batch: AnnotatedBatch, column: str, behaviours: Sequence[str], tokenizer: PreTrainedTokenizerFast, on: On
) -> tuple[list[Encoding], list[Mask]]:
    """The tokens of every row's messages, and a mask a behaviour over those of all rows.

    Only tokens of a content that carries a loss are marked.

    Raises:
        InputError: messages or spans cannot be read or do not fit each other, or the chat template changes a content.
    """
    texts = conversations(batch, column)
    where = [
        f"{batch.shard.path}, row {row} (counted from 0)"
        for row in range(batch.first_row, batch.first_row + len(texts))
    ]
    encodings = encode_conversations(tokenizer, texts, on, where)
    shown = [transcript(from_text(text)) for text in texts]
    tokens = Ranges.of_documents([(encoding.starts, encoding.ends) for encoding in encodings])
    carries = np.concatenate([np.zeros(0, np.bool_), *(encoding.loss_mask for encoding in encodings)])
    markable = carries & (tokens.ends > tokens.starts)
    names = map(spans_column, behaviours)
    return encodings, [spans_to_mask(transcript_spans(batch, name, shown), tokens) & markable for name in names]


def conversations(batch: AnnotatedBatch, column: str) -> list[str]:
    """The messages of every row, see `messages.as_text`.

    Raises:
        InputError: a row has none.
    """
    texts = texts_of(batch.arrow.column(column))
    if None in texts:
        row = batch.first_row + texts.index(None)
        raise InputError(
            f"{batch.shard.path}: row {row}: {column!r} is null, or holds a message whose role or content is no "
            "string; correct or remove the row."
        )
    return [text for text in texts if text is not None]


def transcript_spans(batch: AnnotatedBatch, name: str, shown: Sequence[Transcript]) -> Ranges:
    """A column of spans, a list of them for each message, as ranges in the transcripts; a null list is no span.

    Raises:
        InputError: see `AnnotatedBatch.spans`; or lists are others than the messages, or a span is beyond its content.
    """
    rows, inner = batch.lists(name)
    alone = pa.RecordBatch.from_arrays([inner], [name])
    spans = AnnotatedBatch(batch.shard, batch.first_row, alone).spans(name)
    messages = np.diff(rows)
    differing = np.flatnonzero((messages != [len(one.starts) for one in shown]) & (messages > 0))
    if len(differing):
        row = int(differing[0])
        problem = f"has spans of {messages[row]} messages for {len(shown[row].starts)}"
        raise batch.misfit(name, row, problem)
    there = [one for one, count in zip(shown, messages, strict=True) if count]
    starts, ends = (
        np.concatenate([np.zeros(0, np.int64), *edges])
        for edges in ([one.starts for one in there], [one.ends for one in there])
    )
    message = spans.document_of
    moved = Ranges(spans.starts + starts[message], spans.ends + starts[message], spans.rows[rows])
    beyond = np.flatnonzero(moved.ends > ends[message])
    if len(beyond):
        row = int(moved.document_of[beyond[0]])
        raise batch.misfit(name, row, "marks characters beyond the end of a message")
    return moved
