"""Annotated shards: every column of the input as it was, with ours appended row by row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ifcurate.annotation.changed import TextCheck, misfit
from ifcurate.annotation.provenance import provenance_of
from ifcurate.corpus.arrow import ArrowSink, is_stream, writing_arrow
from ifcurate.corpus.formats import ShardReader
from ifcurate.corpus.parquet import ParquetSink, attach, writing_parquet
from ifcurate.corpus.shards import Shard, open_shard
from ifcurate.errors import InputError, first_line
from ifcurate.selection.scores import LOSS, LOSS_MASK, TOKEN_IDS

SHARED = (TOKEN_IDS, LOSS_MASK, LOSS)
"""Columns that all behaviours of a shard have in common."""
LOSS_ROUNDING = 1e-3
"""Nats by which engines and batch shapes may differ in a token's loss; other models differ by far more."""


def write_annotated(
    shard: Shard,
    path: Path,
    fields: Sequence[pa.Field],
    annotations: Iterable[pa.RecordBatch],
    metadata: Mapping[str, Any],
    texts: TextCheck | None = None,
) -> int:
    """Write the rows of `shard` with the columns `fields` appended to `path`, Parquet or Arrow, and count them.

    Several behaviours live side by side: a shard annotated before keeps its columns, and its metadata under the key
    `ifcurate` is kept beside the new one. Its `token_ids` stay when they equal the new ones, and its `loss` when it is
    the same model's but for rounding; others are refused.

    Args:
        shard: the input.
        path: the output; it appears when it is complete.
        fields: the columns to append, in order.
        annotations: batches of any size that have these columns, one row for each row of the input, in its order.
        metadata: what to say under the key `ifcurate`: behaviour name -> how its columns were made, tokenizer included.
        texts: tells whether the texts are those that were scored, where that is known.

    Raises:
        ChangedShardError: the rows of the input are more, fewer or others than the annotations are of.
        InputError: a column is there already, or of a type that Parquet has not; or the disk is full.
    """
    reader = open_shard(shard)
    added = new_columns(shard, reader.schema, fields)
    schema = _merged_metadata(shard, reader.schema, metadata)
    for field in added:
        schema = schema.append(field)
    ours = Beside(shard, annotations, fields, added, texts)
    with writing_shard(shard, path, schema, reader) as sink:
        for batch in reader.batches():
            columns = ours.next_to(batch)
            sink.write(pa.RecordBatch.from_arrays([*batch.columns, *columns.columns], schema=schema))
        ours.finish()
        if sink.num_rows != reader.num_rows:
            raise misfit(shard, f"gave {sink.num_rows:,} rows where it announces {reader.num_rows:,}")
    return sink.num_rows


@contextmanager
def writing_shard(
    shard: Shard, path: Path, schema: pa.Schema, reader: ShardReader
) -> Iterator[ParquetSink | ArrowSink]:
    """A sink that becomes the finished file `path`, Parquet or Arrow, with the rows of `shard`, which `reader` reads.

    Raises:
        InputError: a column is of a type that Parquet has not, or the disk is full.
    """
    if path.suffix == ".arrow":
        with writing_arrow(path, schema, is_stream(shard.path)) as arrow:
            yield arrow
        return
    try:
        with writing_parquet(path, schema, reader.times_in_utc) as parquet:
            yield parquet
    except pa.ArrowNotImplementedError as error:
        raise InputError(
            f"{shard.path}: has a column that Parquet cannot hold ({first_line(error)}); give --output-format same."
        ) from error


def new_columns(shard: Shard, schema: pa.Schema, fields: Sequence[pa.Field]) -> list[pa.Field]:
    """Those of `fields` that `schema` does not have yet; only what behaviours share (`SHARED`) may be there.

    Raises:
        InputError: another one is there already.
    """
    added = []
    for field in fields:
        if field.name not in schema.names:
            added.append(field)
        elif field.name not in SHARED:
            raise InputError(
                f"{shard.path}: has a column {field.name!r} already; "
                "give another --behaviour, or rename or drop the column."
            )
    return added


def check_new_columns(shards: Sequence[Shard], fields: Sequence[pa.Field]) -> None:
    """Open every shard and refuse what `new_columns` does, before anything expensive is done with the corpus."""
    for shard in shards:
        new_columns(shard, open_shard(shard).readable, fields)


class Beside:
    """The annotations of a shard, taken as its rows are read, and checked to belong to them.

    Args:
        shard: the input.
        annotations: batches of any size with the columns `fields`, one row for each row of the input, in its order.
        fields: the columns of the annotations.
        added: those that the input does not have; the others have to agree with it.
        texts: compares the texts with those that were scored, where that is known.
    """

    def __init__(
        self,
        shard: Shard,
        annotations: Iterable[pa.RecordBatch],
        fields: Sequence[pa.Field],
        added: Sequence[pa.Field],
        texts: TextCheck | None,
    ) -> None:
        self.shared = [field.name for field in fields if field not in added]
        self.rows = 0
        self._shard, self._texts = shard, texts
        self._added = [field.name for field in added]
        self._incoming = Rows(annotations, pa.schema(fields))

    def next_to(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The columns to add to the next rows of the input, `batch`.

        Raises:
            ChangedShardError: there are fewer annotations, or `batch` has no texts.
            InputError: a shared column has other values than ours.
        """
        if self._texts is not None:
            self._texts.see_batch(batch)
        return self._next(batch.num_rows, batch)

    def next_to_lines(self, lines: Sequence[bytes], count: int, shared: pa.RecordBatch) -> pa.RecordBatch:
        """The same for `count` rows that are lines; `shared` has those columns of theirs that are compared."""
        if self._texts is not None:
            self._texts.see_lines(lines)
        return self._next(count, shared)

    def finish(self) -> None:
        """Call after the last row.

        Raises:
            ChangedShardError: there are more annotations than rows, or the texts are not those that were scored.
        """
        if self._incoming.take(1).num_rows:
            raise misfit(self._shard, f"has only {self.rows:,} rows, fewer than were scored")
        if self._texts is not None:
            self._texts.finish()

    def _next(self, count: int, theirs: pa.RecordBatch) -> pa.RecordBatch:
        ours = self._incoming.take(count)
        if ours.num_rows < count:
            raise misfit(self._shard, f"has more rows than the {self.rows + ours.num_rows:,} scored")
        for name in self.shared:
            _check_shared(self._shard, name, theirs, ours, self.rows)
        self.rows += count
        return ours.select(self._added)


class Rows:
    """A stream of record batches, cut anew."""

    def __init__(self, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
        self._batches = iter(batches)
        self._schema = schema
        self._rest = pa.RecordBatch.from_pylist([], schema=schema)

    def take(self, count: int) -> pa.RecordBatch:
        """The next `count` rows, or all that are left, as one batch."""
        pieces, missing = [], count
        while missing > self._rest.num_rows:
            pieces.append(self._rest)
            missing -= self._rest.num_rows
            following = next(self._batches, None)
            if following is None:
                self._rest = self._rest.slice(0, 0)
                break
            self._rest = following.select(self._schema.names).cast(self._schema)
        else:
            pieces.append(self._rest.slice(0, missing))
            self._rest = self._rest.slice(missing)
        # Joined even when it is one piece, so that the bytes written do not depend on how the rows arrived.
        return pa.concat_batches(pieces)


def _merged_metadata(shard: Shard, schema: pa.Schema, metadata: Mapping[str, Any]) -> pa.Schema:
    return attach(schema, {**provenance_of(shard, schema), **metadata})


def _check_shared(shard: Shard, name: str, batch: pa.RecordBatch, ours: pa.RecordBatch, first_row: int) -> None:
    if name == LOSS:
        _check_close(shard, batch, ours, first_row)
    else:
        _check_equal(shard, name, batch, ours, first_row)


def _check_close(shard: Shard, batch: pa.RecordBatch, ours: pa.RecordBatch, first_row: int) -> None:
    """Refuse losses of another model; engines differ in the rounding of theirs."""
    for row, (theirs, new) in enumerate(
        zip(batch.column(LOSS).to_pylist(), ours.column(LOSS).to_pylist(), strict=True)
    ):
        if (
            theirs is None
            or len(theirs) != len(new)
            or not np.allclose(theirs, new, rtol=LOSS_ROUNDING, atol=LOSS_ROUNDING)
        ):
            raise InputError(
                f"{shard.path}, row {first_row + row} (counted from 0): column {LOSS!r} holds other losses than this "
                "run's model has; rename or drop it, or leave out --with-loss."
            )


def _check_equal(shard: Shard, name: str, batch: pa.RecordBatch, ours: pa.RecordBatch, first_row: int) -> None:
    """Refuse a shared column whose rows differ from ours, whatever integer or list type it has."""
    theirs, new = batch.column(name), ours.column(name)
    try:
        if theirs.cast(new.type).equals(new):
            return
    except pa.ArrowException:
        pass  # values that do not fit our type, or a type that Arrow cannot cast: the rows tell
    for row in range(batch.num_rows):
        if theirs[row].as_py() != new[row].as_py():
            raise InputError(
                f"{shard.path}, row {first_row + row} (counted from 0): column {name!r} holds another tokenization "
                "than this run's; rename or drop it, or give --no-token-ids."
            )
