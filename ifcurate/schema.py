"""Names and Arrow types of what ifcurate writes, and the metadata that says how to read it.

A token's influence is the derivative of its own loss along the direction (label alignment): positive means that
training on the token makes the behaviour likelier. Unit: nats per unit of the direction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

METADATA_KEY = b"ifcurate"

ID = "id"
TOKEN_IDS = "token_ids"
TOKEN_STARTS = "token_starts"
TOKEN_ENDS = "token_ends"
LOSS = "loss"

INT_LIST = pa.list_(pa.int32())
FLOAT_LIST = pa.list_(pa.float32())
MASK_LIST = pa.list_(pa.bool_())
SPAN_LIST = pa.list_(pa.struct([pa.field("start", pa.int32()), pa.field("end", pa.int32())]))


def influence_column(behaviour: str) -> str:
    """`list<float32>`: S, one value per token."""
    return f"{behaviour}_influence"


def mask_column(behaviour: str) -> str:
    """`list<bool>`: selected for suppression, one value per token."""
    return f"{behaviour}_mask"


def spans_column(behaviour: str) -> str:
    """`list<struct<start, end>>`: the mask as character ranges of the text, end exclusive."""
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


def annotation_fields(behaviour: str) -> list[pa.Field]:
    """The columns that `write` appends for one behaviour, in order."""
    return [
        pa.field(influence_column(behaviour), FLOAT_LIST),
        pa.field(mask_column(behaviour), MASK_LIST),
        pa.field(spans_column(behaviour), SPAN_LIST),
        pa.field(sparsity_column(behaviour), pa.int32()),
        pa.field(score_column(behaviour), pa.float32()),
        pa.field(rank_column(behaviour), pa.float32()),
    ]


def written_fields(behaviours: Sequence[str], token_ids: bool, with_loss: bool) -> list[pa.Field]:
    """Every column that `write` appends, in order."""
    shared = {TOKEN_IDS: INT_LIST} if token_ids else {}
    if with_loss:
        shared[LOSS] = FLOAT_LIST
    fields = [pa.field(name, kind) for name, kind in shared.items()]
    return fields + [field for behaviour in behaviours for field in annotation_fields(behaviour)]


def described_columns(behaviours: Sequence[str], token_ids: bool) -> list[tuple[str, str, str]]:
    """Name, type and meaning of every column that `write` appends, for people."""
    columns = [(TOKEN_IDS, "list<int32>", "the tokens that the lists belong to")] if token_ids else []
    for behaviour in behaviours:
        columns += [
            (influence_column(behaviour), "list<float32>", "derivative of each token's loss along the direction"),
            (mask_column(behaviour), "list<bool>", "whether each token is selected for suppression"),
            (spans_column(behaviour), "list<struct<start, end>>", "the mask as character ranges of the text"),
            (sparsity_column(behaviour), "int32", "number of tokens above tau"),
            (score_column(behaviour), "float32", "sum of the influence above tau"),
            (rank_column(behaviour), "float32", "0 to 1; the highest give up their tokens first"),
        ]
    return columns


def sidecar_schema(behaviours: Sequence[str], with_loss: bool) -> pa.Schema:
    """Schema of `scores/<shard>.parquet`: one row a document, in the order of the input shard."""
    fields = [
        pa.field(ID, pa.string()),
        pa.field(TOKEN_IDS, INT_LIST),
        pa.field(TOKEN_STARTS, INT_LIST),
        pa.field(TOKEN_ENDS, INT_LIST),
        *(pa.field(influence_column(behaviour), FLOAT_LIST) for behaviour in behaviours),
    ]
    if with_loss:
        fields.append(pa.field(LOSS, FLOAT_LIST))
    return pa.schema(fields)


def attach(schema: pa.Schema, metadata: Mapping[str, Any]) -> pa.Schema:
    """`schema` with `metadata` as JSON under the key `ifcurate`; every other metadata key stays."""
    kept = dict(schema.metadata or {})
    kept[METADATA_KEY] = json.dumps(dict(metadata), sort_keys=True).encode()
    return schema.with_metadata(kept)


def metadata_of(schema: pa.Schema) -> dict[str, Any]:
    """The JSON under the key `ifcurate` of a schema, or an empty dict where there is none."""
    return _parsed(schema.metadata)


def metadata_of_file(footer: pq.FileMetaData) -> dict[str, Any]:
    """The JSON under the key `ifcurate` of a Parquet file's footer: what was known when the last row was written."""
    return _parsed(footer.metadata)


def _parsed(metadata: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    stored = (metadata or {}).get(METADATA_KEY)
    return dict(json.loads(stored)) if stored else {}
