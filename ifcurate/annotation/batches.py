"""A record batch of an annotated shard, read as other tools may have rewritten it.

An ordinary round trip through pandas, polars, DuckDB, `datasets` or JSON Lines changes types, not meaning: lists become
large or fixed-size, a column without any mark becomes a list of null, masks become lists of 0 and 1, spans become dicts
of lists. All of these are read. What could mean something else is refused, naming file, row and column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ifcurate.corpus.documents import is_text
from ifcurate.corpus.shards import Shard
from ifcurate.errors import InputError
from ifcurate.selection.spans import Ranges

Offsets = NDArray[np.int64]

BATCH_ROWS = 256
"""Rows that are read at a time."""

_REMEDY = "write the shard again with `ifcurate write`"
_SPAN = ("start", "end")


@dataclass(frozen=True)
class AnnotatedBatch:
    """Consecutive rows of an annotated shard, of which the first is row `first_row` of the file, counted from 0."""

    shard: Shard
    first_row: int
    arrow: pa.RecordBatch

    def token_ids(self, name: str) -> tuple[Offsets, NDArray[np.int32]]:
        """A list of token ids a row: offsets (int64 [rows + 1], from 0) and ids.

        Raises:
            InputError: a list, or an id in one, is null, or an id is no whole number from 0 to 2**31 - 1.
        """
        column = self._lists(name)
        self._refuse(name, column.is_null(), "is null, and its tokens are unknown")
        offsets, values = _flat(column)
        if values.null_count:
            raise self.misfit(name, _row_of(offsets, values.is_null()), "holds a null token id")
        numbers = self._numbers(name, values)
        wrong = (numbers != np.floor(numbers)) | (numbers < 0) | (numbers > np.iinfo(np.int32).max)
        if wrong.any():
            raise self.misfit(name, _row_of(offsets, wrong), f"holds {numbers[wrong][0]!r}, which is no token id")
        return offsets, numbers.astype(np.int32)

    def mask(self, name: str, tokens: Offsets | None = None) -> NDArray[np.bool_]:
        """One truth value a token, of all rows; a null list, or a null in a list, marks nothing.

        Args:
            name: the column: lists of booleans, or of 0 and 1.
            tokens: offsets of the tokens that the mask is for (int64 [rows + 1]); a row's list has as many entries as
                tokens. Without them a null list has no entry.

        Raises:
            InputError: a list has another length, or holds anything but truth values.
        """
        column = self._lists(name)
        offsets, values = _flat(column)
        wanted = np.diff(offsets if tokens is None else tokens)
        given = ~np.asarray(column.is_null())
        differing = np.flatnonzero(given & (np.diff(offsets) != wanted))
        if len(differing):
            row = int(differing[0])
            raise self.misfit(name, row, f"has {np.diff(offsets)[row]} entries for {wanted[row]} tokens")
        numbers = self._numbers(name, pc.fill_null(values, False) if values.null_count else values)
        doubtful = (numbers != 0) & (numbers != 1)
        if doubtful.any():
            raise self.misfit(name, _row_of(offsets, doubtful), f"holds {numbers[doubtful][0]!r}, no truth value")
        mask = np.zeros(int(wanted.sum()), dtype=np.bool_)
        mask[np.repeat(given, wanted)] = numbers.astype(np.bool_)
        return mask

    def numbers(self, name: str, tokens: Offsets) -> NDArray[np.float32]:
        """One float32 a token, of all rows.

        Raises:
            InputError: a list is null or has another length than its row has `tokens`, or holds null, NaN or infinity.
        """
        self._refuse(name, self._lists(name).is_null(), "is null")
        return self.numbers_or_nan(name, tokens)

    def numbers_or_nan(self, name: str, tokens: Offsets) -> NDArray[np.float32]:
        """One float32 a token, of all rows; NaN in those whose list is null, which have no score.

        Raises:
            InputError: another list has another length than its row has `tokens`, or holds null, NaN or infinity.
        """
        column = self._lists(name)
        given = ~np.asarray(column.is_null())
        offsets, values = _flat(column)
        wanted = np.diff(tokens)
        differing = np.flatnonzero(given & (np.diff(offsets) != wanted))
        if len(differing):
            row = int(differing[0])
            raise self.misfit(name, row, f"has {np.diff(offsets)[row]} entries for {wanted[row]} tokens")
        numbers = self._numbers(name, values)
        if not np.isfinite(numbers).all():
            raise self.misfit(name, _row_of(offsets, ~np.isfinite(numbers)), "holds null, NaN or infinity")
        found = np.full(int(wanted.sum()), np.nan, np.float32)
        found[np.repeat(given, wanted)] = numbers.astype(np.float32)
        return found

    def spans(self, name: str) -> Ranges:
        """Ranges of characters a row; a null list, or a null in a list, is no range.

        Raises:
            InputError: the lists do not hold `start` and `end`, one of the two is null, or a range is impossible.
        """
        column = self.arrow.column(name)
        if pa.types.is_struct(column.type):
            start_rows, starts = self._part_of_lists(name, column, "start")
            end_rows, ends = self._part_of_lists(name, column, "end")
            if not np.array_equal(start_rows, end_rows):
                raise self.misfit(name, None, "has as many starts as ends in some rows only")
            return self._ranges(name, start_rows, starts, ends)
        column = self._lists(name)
        offsets, values = _flat(column)
        if pa.types.is_null(values.type):
            return Ranges(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(len(column) + 1, np.int64))
        if not (pa.types.is_struct(values.type) and set(_SPAN) <= {field.name for field in values.type}):
            raise self.misfit(name, None, f"is {self.arrow.column(name).type}, not start and end")
        present = ~np.asarray(values.is_null())
        kept = np.append(0, np.cumsum(present))[offsets]
        starts, ends = (self._numbers(name, pc.struct_field(values, part)) for part in _SPAN)
        return self._ranges(name, kept, starts[present], ends[present])

    def lists(self, name: str) -> tuple[Offsets, pa.Array]:
        """A column of lists in any layout: offsets (int64 [rows + 1], from 0) and values; null lists are empty.

        Raises:
            InputError: the column holds no lists.
        """
        return _flat(self._lists(name))

    def texts(self, name: str) -> list[str]:
        """A text column, in any of Arrow's layouts, without nulls."""
        column = self.arrow.column(name)
        if not is_text(column.type):
            raise InputError(f"{self.shard.path}: column {name!r} is {column.type}, not text; give --text-column.")
        texts = column.to_pylist()
        if None in texts:
            row = self.first_row + texts.index(None)
            raise InputError(f"{self.shard.path}: row {row}: {name!r} is null; give it a text or remove the row.")
        return list(texts)

    def _part_of_lists(self, name: str, column: pa.Array, part: str) -> tuple[Offsets, NDArray[np.float64]]:
        """`start` or `end` of spans that are a dict of two lists, as `datasets` writes them."""
        if column.type.get_field_index(part) < 0:
            raise self.misfit(name, None, f"is {column.type}, not start and end")
        lists = pc.struct_field(column, part)  # null where the struct is
        offsets, values = _flat(self._as_lists(name, lists))
        return offsets, self._numbers(name, values)

    def _ranges(self, name: str, offsets: Offsets, starts: NDArray[np.float64], ends: NDArray[np.float64]) -> Ranges:
        whole = (starts == np.floor(starts)) & (ends == np.floor(ends))
        wrong = ~(whole & (starts >= 0) & (ends >= starts))  # NaN, which a null becomes, is wrong too
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            raise self.misfit(name, _row_of(offsets, wrong), f"holds the range {starts[first]} to {ends[first]}")
        return Ranges(starts.astype(np.int64), ends.astype(np.int64), offsets)

    def _lists(self, name: str) -> pa.Array:
        return self._as_lists(name, self.arrow.column(name))

    def _as_lists(self, name: str, column: pa.Array) -> pa.Array:
        """A column of lists in whatever layout as `large_list`, or of nulls as null lists."""
        if pa.types.is_null(column.type):
            return pa.nulls(len(column), pa.large_list(pa.null()))
        layouts = ("list", "large_list", "fixed_size_list", "list_view", "large_list_view")
        if not any(getattr(pa.types, f"is_{layout}")(column.type) for layout in layouts):
            raise self.misfit(name, None, f"is {column.type}, no list")
        return column.cast(pa.large_list(column.type.value_type))

    def _numbers(self, name: str, values: pa.Array) -> NDArray[np.float64]:
        """Booleans and numbers as float64, which holds every int32 exactly; null as NaN."""
        kind = values.type
        if pa.types.is_null(kind):
            return np.full(len(values), np.nan)
        if not (pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise self.misfit(name, None, f"is {self.arrow.column(name).type}, which holds no numbers")
        narrow = values.cast(pa.int8()) if pa.types.is_boolean(kind) else values
        return narrow.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)

    def _refuse(self, name: str, wrong: pa.Array, problem: str) -> None:
        rows = np.flatnonzero(np.asarray(wrong))
        if len(rows):
            raise self.misfit(name, int(rows[0]), problem)

    def misfit(self, name: str, row: int | None, problem: str) -> InputError:
        """What to say of a column, in a row of this batch or in all of them."""
        where = "" if row is None else f"row {self.first_row + row}: "
        return InputError(f"{self.shard.path}: {where}column {name!r} {problem}; {_REMEDY}.")


def _flat(column: pa.Array) -> tuple[Offsets, pa.Array]:
    """Offsets (int64 [rows + 1], from 0) and values of a list column; null lists are empty."""
    lengths = np.asarray(pc.fill_null(pc.list_value_length(column), 0), dtype=np.int64)
    return np.append(0, np.cumsum(lengths)), pc.list_flatten(column)


def _row_of(offsets: Offsets, wrong: Any) -> int:
    """The row that the first of the `wrong` values is in."""
    return int(np.searchsorted(offsets, np.flatnonzero(np.asarray(wrong))[0], side="right")) - 1


def require_columns(shard: Shard, names: Sequence[str], wanted: Sequence[str]) -> None:
    """Raises `InputError` where one of the `wanted` columns is not among `names`."""
    absent = [name for name in wanted if name not in names]
    if absent:
        raise InputError(
            f"{shard.path}: has no column {absent[0]!r} (it has {', '.join(names)}), which is needed; annotate the "
            "corpus first, or correct --behaviour, --text-column or --id-column."
        )
