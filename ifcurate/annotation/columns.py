"""The columns that an annotated corpus gains, from scored tokens and the selection made of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ifcurate.annotation import schema
from ifcurate.errors import InputError
from ifcurate.selection.highest import selected_mask
from ifcurate.selection.records import Records, cut_records
from ifcurate.selection.scores import (
    LOSS_MASK,
    MESSAGE_STARTS,
    TOKEN_IDS,
    ScoredTokens,
    influence_column,
    selectable,
)
from ifcurate.selection.screened import is_screened, weights_of
from ifcurate.selection.spans import Ints, Mask, Ranges, mask_to_spans
from ifcurate.selection.table import Selection


def annotation_columns(
    sidecar: pa.RecordBatch, selected: pa.Table, selection: Selection, source: str
) -> dict[str, pa.Array]:
    """The annotation of consecutive documents of one shard for one behaviour.

    Sparsity, score and rank are a document's: where windows were ranked, sparsity and score add up over its windows,
    and its rank is that of its highest window.

    Args:
        sidecar: rows of the shard's score file, all of its columns.
        selected: the records of the same documents, from `ShardRecords.of_rows`.
        selection: the selection that `selected` is part of.
        source: name of the score file, for error messages.

    Returns:
        `token_ids` (of messages `loss_mask` too), then the columns of `schema.annotation_fields`, with their types, one
        value a document. Documents without a score have null in all of these but spans, of which they have none.

    Raises:
        InputError: the score file is corrupt, or the selection was made of other scores.
    """
    scored = ScoredTokens.from_arrow(sidecar, selection.behaviour, source)
    records = cut_records(scored.tokens, selection.record_length)
    _require_same_records(records, selected, source)
    tau, take = np.float32(selection.tau), _numbers(selected, "selected")
    mask = selected_mask(scored, records, selection, tau, take)
    if not np.array_equal(records.count(mask), take):
        raise _other_scores(source)
    spans, chosen = mask_to_spans(mask, scored.tokens), selectable(sidecar)
    values = [
        sidecar.column(influence_column(selection.behaviour)),
        _mask_column(mask, scored.tokens) if chosen is None else _whole_mask(mask, chosen, sidecar.column(TOKEN_IDS)),
        _spans_column(spans) if chosen is None else _message_spans(spans, sidecar.column(MESSAGE_STARTS)),
        *_document_columns(records, selected, scored.tokens.documents),
    ]
    fields = schema.annotation_fields(selection.behaviour, chosen is not None)
    columns = {field.name: value.cast(field.type) for field, value in zip(fields, values, strict=True)}
    if is_screened(sidecar):
        nulls, spans_name = pa.array(weights_of(sidecar) == 0), schema.spans_column(selection.behaviour)
        columns = {name: v if name == spans_name else without(v, nulls) for name, v in columns.items()}
    shared = [TOKEN_IDS] if chosen is None else [TOKEN_IDS, LOSS_MASK]
    return {name: sidecar.column(name) for name in shared} | columns


def without(column: pa.Array, nulls: pa.Array) -> pa.Array:
    """`column`, null where `nulls` is true."""
    return pc.if_else(nulls, pa.scalar(None, column.type), column)


def _require_same_records(records: Records, selected: pa.Table, source: str) -> None:
    if not (
        np.array_equal(records.window, _numbers(selected, "window"))
        and np.array_equal(records.tokens, _numbers(selected, "tokens"))
    ):
        raise _other_scores(source)


def _other_scores(source: str) -> InputError:
    return InputError(f"{source}: the selection was made of other scores; run `ifcurate select` again.")


def _numbers(selected: pa.Table, name: str) -> Ints:
    return np.asarray(selected[name], dtype=np.int64)


def _mask_column(mask: Mask, tokens: Ranges) -> pa.Array:
    return pa.ListArray.from_arrays(_offsets(tokens), pa.array(mask))


def _whole_mask(mask: Mask, chosen: Mask, token_ids: pa.Array) -> pa.Array:
    """The mask over all tokens, of one over those that were `chosen`."""
    whole = np.zeros(len(chosen), np.bool_)
    whole[chosen] = mask
    lengths = pc.list_value_length(token_ids).to_numpy(zero_copy_only=False)
    return pa.ListArray.from_arrays(pa.array(np.append(0, np.cumsum(lengths)), pa.int32()), pa.array(whole))


def _message_spans(spans: Ranges, message_starts: pa.Array) -> pa.Array:
    """Spans of transcripts as a list a message, counted from the beginning of its content.

    None lies in two messages, since something stands between them.
    """
    starts = message_starts.flatten().to_numpy().astype(np.int64)
    counts = pc.list_value_length(message_starts).to_numpy(zero_copy_only=False)
    messages = Ranges(starts, starts, np.append(0, np.cumsum(counts)).astype(np.int64))
    stride = max(spans.reach, messages.reach)
    message = np.searchsorted(messages.end_to_end(stride)[0], spans.end_to_end(stride)[0], side="right") - 1
    rows = np.searchsorted(message, np.arange(len(starts) + 1)).astype(np.int64)
    inside = Ranges(spans.starts - starts[message], spans.ends - starts[message], rows)
    return pa.ListArray.from_arrays(_offsets(messages), _spans_column(inside))


def _spans_column(spans: Ranges) -> pa.Array:
    ends = [pa.array(values.astype(np.int32)) for values in (spans.starts, spans.ends)]
    return pa.ListArray.from_arrays(
        _offsets(spans), pa.StructArray.from_arrays(ends, fields=list(schema.SPAN_LIST.value_type))
    )


def _offsets(ranges: Ranges) -> pa.Array:
    return pa.array(ranges.rows.astype(np.int32))


def _document_columns(records: Records, selected: pa.Table, documents: int) -> list[pa.Array]:
    """Sparsity, score and rank, one value a document."""
    document = records.document
    first_record = np.flatnonzero(records.window == 0)
    sparsity, score = (
        np.bincount(document, weights=selected[name].to_numpy(), minlength=documents) for name in ("sparsity", "score")
    )
    rank = np.maximum.reduceat(selected["rank"].to_numpy(), first_record) if documents else np.zeros(0)
    return [pa.array(sparsity.astype(np.int32)), pa.array(score.astype(np.float32)), pa.array(rank.astype(np.float32))]
