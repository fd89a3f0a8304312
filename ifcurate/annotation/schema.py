"""Names and Arrow types of the columns that ifcurate writes beside the text.

A token's influence is the derivative of its own loss along the direction (label alignment): positive means that
training on the token makes the behaviour likelier. Unit: nats per unit of the direction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import pyarrow as pa

from ifcurate.artifacts import OpenArtifact, Sha256
from ifcurate.influence.column_names import METHOD
from ifcurate.selection.scores import FLOAT_LIST, INT_LIST, LOSS, LOSS_MASK, MASK_LIST, TOKEN_IDS, influence_column

SPAN_LIST = pa.list_(pa.struct([pa.field("start", pa.int32()), pa.field("end", pa.int32())]))
MESSAGE_SPAN_LIST = pa.list_(SPAN_LIST)


class ColumnsMetadata(OpenArtifact):
    """What an annotated shard says of one behaviour's columns, and all else about how they were made."""

    version: str
    tokenizer_hash: Sha256
    alignment: Literal["label", "position"]
    sign: str
    unit: str

    @property
    def method(self) -> str | None:
        """What the values are, where they are no influence: to follow "each token's"."""
        return (self.model_extra or {}).get(METHOD)


def mask_column(behaviour: str) -> str:
    """`list<bool>`: selected for suppression, one value per token."""
    return f"{behaviour}_mask"


def spans_column(behaviour: str) -> str:
    """`list<struct<start, end>>`: the mask as character ranges of the text, end exclusive; of messages, a list each."""
    return f"{behaviour}_spans"


def sparsity_column(behaviour: str) -> str:
    """`int32`: number of tokens above tau."""
    return f"{behaviour}_sparsity"


def score_column(behaviour: str) -> str:
    """`float32`: sum of influence above tau."""
    return f"{behaviour}_score"


def rank_column(behaviour: str) -> str:
    """`float32`: harmonic mean of normalised sparsity and score, in [0, 1]."""
    return f"{behaviour}_rank"


def annotation_fields(behaviour: str, messages: bool = False) -> list[pa.Field]:
    """The columns that `write` appends for one behaviour, in order; `messages`: to documents that are such."""
    return [
        pa.field(influence_column(behaviour), FLOAT_LIST),
        pa.field(mask_column(behaviour), MASK_LIST),
        pa.field(spans_column(behaviour), MESSAGE_SPAN_LIST if messages else SPAN_LIST),
        pa.field(sparsity_column(behaviour), pa.int32()),
        pa.field(score_column(behaviour), pa.float32()),
        pa.field(rank_column(behaviour), pa.float32()),
    ]


def written_fields(
    behaviours: Sequence[str], token_ids: bool, with_loss: bool, messages: bool = False
) -> list[pa.Field]:
    """Every column that `write` appends, in order."""
    shared = {TOKEN_IDS: INT_LIST} if token_ids else {}
    if messages:
        shared[LOSS_MASK] = MASK_LIST
    if with_loss:
        shared[LOSS] = FLOAT_LIST
    fields = [pa.field(name, kind) for name, kind in shared.items()]
    return fields + [field for behaviour in behaviours for field in annotation_fields(behaviour, messages)]


def described_columns(
    behaviours: Sequence[str],
    token_ids: bool,
    with_loss: bool,
    messages: bool = False,
    methods: Mapping[str, str] | None = None,
) -> list[tuple[str, str, str]]:
    """Name, type and meaning of every column that `write` appends, for people.

    Args:
        behaviours: whose columns.
        token_ids: whether there are the tokens.
        with_loss: whether there are their losses.
        messages: whether documents are such.
        methods: what the values are of behaviours that were marked otherwise than by influence.
    """
    columns = [(TOKEN_IDS, "list<int32>", "the tokens that the lists belong to")] if token_ids else []
    if messages:
        columns.append((LOSS_MASK, "list<bool>", "whether each token carries a loss"))
    spans = ("list<struct<start, end>>", "the mask as character ranges of the text")
    if messages:
        spans = ("list<list<struct<start, end>>>", "the mask as character ranges of each message's content")
    if with_loss:
        columns.append((LOSS, "list<float32>", "each token's own loss, in nats"))
    for behaviour in behaviours:
        method = (methods or {}).get(behaviour)
        value, total = "derivative of each token's loss along the direction", "influence"
        if method is not None:
            value, total = f"each token's {method}", "values"
        columns += [
            (influence_column(behaviour), "list<float32>", value),
            (mask_column(behaviour), "list<bool>", "whether each token is selected for suppression"),
            (spans_column(behaviour), *spans),
            (sparsity_column(behaviour), "int32", "number of tokens above tau"),
            (score_column(behaviour), "float32", f"sum of the {total} above tau"),
            (rank_column(behaviour), "float32", "0 to 1; the highest give up their tokens first"),
        ]
    return columns
