"""Spans of messages as other tools have rewritten them, and those that do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ifcurate.annotation.batches import AnnotatedBatch
from ifcurate.annotation.messages import conversations, transcript_spans
from ifcurate.annotation.schema import MESSAGE_SPAN_LIST
from ifcurate.corpus.messages import transcript
from ifcurate.corpus.shards import Shard
from ifcurate.errors import InputError

CHATS = [
    [{"role": "user", "content": "Hi there"}, {"role": "assistant", "content": "Go away"}],
    [],
    [{"role": "assistant", "content": "No"}],
]
SPANS = [[[], [{"start": 0, "end": 2}, {"start": 3, "end": 7}]], [], [[{"start": 0, "end": 2}]]]


def batch(**columns: pa.Array) -> AnnotatedBatch:
    return AnnotatedBatch(Shard("a", "a.parquet", ".parquet", 1), 10, pa.RecordBatch.from_pydict(columns))


def spans_of(values: Any, kind: pa.DataType = MESSAGE_SPAN_LIST) -> list[tuple[int, int, int]]:
    """Document, start and end of every span in its transcript."""
    shown = [transcript(chat) for chat in CHATS]
    found = transcript_spans(batch(toxic_spans=pa.array(values, kind)), "toxic_spans", shown)
    return list(zip(found.document_of.tolist(), found.starts.tolist(), found.ends.tolist(), strict=True))


@pytest.mark.parametrize(
    "kind",
    [
        MESSAGE_SPAN_LIST,
        pa.large_list(pa.large_list(pa.struct([("start", pa.int64()), ("end", pa.int64())]))),
        pa.list_(pa.list_(pa.struct([("end", pa.float64()), ("start", pa.float64()), ("more", pa.string())]))),
    ],
)
def test_spans_of_contents_become_spans_of_transcripts(kind: pa.DataType) -> None:
    texts = [transcript(chat).text for chat in CHATS]
    assert texts == ["user: Hi there\n\nassistant: Go away", "", "assistant: No"]
    found = spans_of(SPANS, kind)
    assert [texts[document][start:end] for document, start, end in found] == ["Go", "away", "No"]


def test_a_null_list_is_no_span() -> None:
    assert [document for document, *_ in spans_of([None, None, [None]])] == []


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ([[[]], [], [[]]], r"row 10: column 'toxic_spans' has spans of 1 messages for 2"),
        ([[[], []], [], [[{"start": 0, "end": 3}]]], r"row 12: .* marks characters beyond the end of a message"),
    ],
)
def test_spans_of_other_messages_are_refused(values: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        spans_of(values)


def test_rows_without_messages_are_refused() -> None:
    kind = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    assert conversations(batch(messages=pa.array(CHATS, kind)), "messages")[1] == ""
    with pytest.raises(InputError, match="row 13: 'messages' is null"):
        conversations(batch(messages=pa.array([*CHATS, None], kind)), "messages")


def test_offsets_are_those_of_rows() -> None:
    rows, values = batch(toxic_spans=pa.array(SPANS, MESSAGE_SPAN_LIST)).lists("toxic_spans")
    assert np.diff(rows).tolist() == [2, 0, 1]
    assert len(values) == 3
