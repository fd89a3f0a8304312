"""The columns of a corpus by which its documents fall into groups: source, language, label, shard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ifcurate.corpus.documents import texts_of
from ifcurate.corpus.parquet import writing_parquet
from ifcurate.corpus.shards import Shard, open_shard
from ifcurate.errors import InputError

SHARD = "shard"
"""The column that every corpus has, where none of its own has this name."""
MOST_VALUES = 500
"""A column with more values than this names documents, not groups of them."""
MOST_COLUMNS = 8
"""Columns shown where nobody names any."""


@dataclass
class Labels:
    """One column's values, numbered as they come; `None` is no value."""

    name: str
    number: dict[str | None, int] = field(default_factory=dict)
    usable: bool = True

    @property
    def values(self) -> list[str | None]:
        """By number."""
        return list(self.number)

    def codes(self, column: pa.Array) -> NDArray[np.int32]:
        """The numbers of a column's values, int32 [rows]."""
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        values = texts_of(pc.cast(encoded.dictionary, pa.string()))
        numbers = [self.number.setdefault(value, len(self.number)) for value in values]
        if encoded.null_count:
            numbers.append(self.number.setdefault(None, len(self.number)))
        indices = encoded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
        return np.array(numbers, np.int32)[indices] if len(indices) else np.zeros(0, np.int32)


def read_labels(
    shards: Mapping[str, Shard], wanted: Sequence[str], left_out: frozenset[str], out: Path
) -> tuple[list[Labels], list[str]]:
    """Write the number of each document's value in each column to `out`: one row a document, as in the corpus.

    Args:
        shards: name -> annotated shard.
        wanted: columns, dotted where nested; where none is named, those with few values.
        left_out: top-level columns that say nothing of a document's group: its text, and what was added.
        out: a Parquet file, with a column of int32 for each of the labels that are returned, `label_0` and so on.

    Returns:
        The columns, and the names of those that were left out because they have too many values.

    Raises:
        InputError: no shard has a column that is wanted.
    """
    names = list(wanted) or _candidates(shards, left_out)
    labels = [Labels(name) for name in names]
    _require_columns(shards, wanted)
    schema = pa.schema([pa.field(label_column(index), pa.int32()) for index in range(len(labels))])
    documents = 0
    with writing_parquet(out, schema) as sink:
        for shard, batch in _batches(shards, names):
            columns = [_codes(each, shard, batch, bool(wanted)) for each in labels]
            sink.write(pa.RecordBatch.from_arrays([pa.array(codes) for codes in columns], schema=schema))
            documents += batch.num_rows
    if not wanted:
        for each in labels:
            each.usable &= len(each.number) > 1 and (each.name == SHARD or 2 * len(each.number) <= documents)
    too_many = [each.name for each in labels if not each.usable and len(each.number) > 1]
    return labels, too_many


def label_column(index: int) -> str:
    """Column of the label number `index` in the file that `read_labels` writes."""
    return f"label_{index}"


def usable_labels(labels: Sequence[Labels]) -> list[int]:
    """The numbers of those that are shown, a column called source first."""
    usable = [index for index, each in enumerate(labels) if each.usable]
    usable.sort(key=lambda index: (labels[index].name.split(".")[-1] != "source", index))
    return usable[:MOST_COLUMNS]


def _codes(label: Labels, shard: str, batch: pa.RecordBatch, wanted: bool) -> NDArray[np.int32]:
    if not label.usable:
        return np.zeros(batch.num_rows, np.int32)
    if label.name == SHARD and SHARD not in batch.schema.names:
        return np.full(batch.num_rows, label.number.setdefault(shard, len(label.number)), np.int32)
    column = _leaf(batch, label.name)
    codes = label.codes(pa.nulls(batch.num_rows, pa.string()) if column is None else column)
    if label.name != SHARD and not wanted and len(label.number) > MOST_VALUES:
        label.usable = False
    return codes


def _batches(shards: Mapping[str, Shard], names: Sequence[str]) -> Iterator[tuple[str, pa.RecordBatch]]:
    for name, shard in shards.items():
        reader = open_shard(shard)
        there = set(reader.readable.names)
        columns = sorted({top for top in (column.split(".")[0] for column in names) if top in there})
        if not columns:  # their number is needed all the same
            columns = [reader.readable.names[0]]
        for batch in reader.batches(columns):
            yield name, batch


def _candidates(shards: Mapping[str, Shard], left_out: frozenset[str]) -> list[str]:
    """Every column of plain values in any shard, dotted where nested, in the order in which they come."""
    found: dict[str, None] = {}
    for shard in shards.values():
        for column in open_shard(shard).readable:
            if column.name not in left_out:
                found.update(dict.fromkeys(_leaves(column.name, column.type)))
    return [*found, *([SHARD] if SHARD not in found else [])]


def _leaves(name: str, kind: pa.DataType) -> Iterator[str]:
    if pa.types.is_struct(kind):
        for inner in kind:
            if "." not in inner.name:
                yield from _leaves(f"{name}.{inner.name}", inner.type)
    elif _is_label(kind):
        yield name


def _is_label(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_label(kind.value_type)
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_boolean, pa.types.is_integer)
    return any(test(kind) for test in tests)


def _leaf(batch: pa.RecordBatch, name: str) -> pa.Array | None:
    """The column `name`, dotted where nested; None where a shard has none, or holds something else than labels."""
    top, *path = name.split(".")
    if top not in batch.schema.names:
        return None
    column = batch.column(top)
    for inner in path:
        if not pa.types.is_struct(column.type) or column.type.get_field_index(inner) < 0:
            return None
        column = pc.struct_field(column, inner)
    return column if _is_label(column.type) else None


def _require_columns(shards: Mapping[str, Shard], wanted: Sequence[str]) -> None:
    there = dict.fromkeys([SHARD, *_candidates(shards, frozenset())])
    for name in wanted:
        if name not in there:
            raise InputError(
                f"option --columns: no shard has a column {name!r} of strings, whole numbers or truth values; give one "
                f"of {', '.join(there)}."
            )
