"""Arrow IPC in and out: files, and streams, as `datasets` keeps them in its cache; both are named `.arrow`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from ifcurate.corpus.facts import Facts
from ifcurate.corpus.sources import BATCH_BYTES, BATCH_ROWS, open_bytes, reading
from ifcurate.files import finishing

FILE_MAGIC = b"ARROW1"
"""A file begins with it, a stream does not."""


def is_stream(path: str) -> bool:
    """Whether what is at `path` is no Arrow file, and so a stream.

    Raises:
        InputError: it cannot be read.
    """
    with reading(path, "Arrow"), open_bytes(path) as stream:
        return stream.read(len(FILE_MAGIC)) != FILE_MAGIC


class ArrowReader:
    """The rows of one Arrow IPC file or stream.

    Args:
        path: local path or fsspec URL.
        facts: of an earlier reader of the same file, which saves looking at every batch.

    Raises:
        InputError: it is truncated or corrupt.
    """

    times_in_utc = False

    def __init__(self, path: str, facts: Facts | None = None) -> None:
        self._path = path
        self._is_stream = is_stream(path)
        self.facts = facts or self._look()
        self.schema = self.readable = self.facts.readable
        self.num_rows = self.facts.num_rows

    def batches(self, columns: Sequence[str] | None = None, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """The rows in order, at most `rows` a batch and about `BATCH_BYTES`; `columns` picks some.

        Raises:
            InputError: a batch is truncated or corrupt.
        """
        names = self.schema.names if columns is None else list(columns)
        found = 0
        for batch in self._stored([self.schema.get_field_index(name) for name in names]):
            chosen = batch.select(names)
            fitting = max(1, min(rows, int(BATCH_BYTES * chosen.num_rows / max(chosen.nbytes, 1))))
            for first in range(0, chosen.num_rows, fitting):
                yield chosen.slice(first, fitting)
            found += batch.num_rows
        with reading(self._path, "Arrow"):
            if found != self.num_rows:
                raise ValueError(f"{found} rows where there were {self.num_rows}")

    def nulls(self, column: str) -> int:
        """Rows where `column` is null, counted in a scan."""
        return sum(batch.column(0).null_count for batch in self.batches([column]))

    def _look(self) -> Facts:
        with reading(self._path, "Arrow"), open_bytes(self._path) as raw:
            schema = self._opened(raw, None).schema
        return Facts(schema, sum(batch.num_rows for batch in self._stored([0] if len(schema) else [])))

    def _stored(self, fields: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """The batches as they are stored, with some of the fields; all, where none is named."""
        with reading(self._path, "Arrow"), open_bytes(self._path) as raw:
            opened = self._opened(raw, pa.ipc.IpcReadOptions(included_fields=sorted(fields)))
            if self._is_stream:
                yield from opened
            else:
                for index in range(opened.num_record_batches):
                    yield opened.get_batch(index)

    def _opened(self, raw: object, options: pa.ipc.IpcReadOptions | None) -> pa.RecordBatchReader:
        source = pa.PythonFile(raw, mode="r")
        return (pa.ipc.open_stream if self._is_stream else pa.ipc.open_file)(source, options=options)


class ArrowSink:
    """Writes record batches of one schema."""

    def __init__(self, writer: pa.RecordBatchFileWriter) -> None:
        self._writer = writer
        self.num_rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Append `batch`, whose schema is that of the file."""
        self._writer.write_batch(batch)
        self.num_rows += batch.num_rows


@contextmanager
def writing_arrow(path: Path, schema: pa.Schema, stream: bool) -> Iterator[ArrowSink]:
    """A sink that becomes the finished file `path`, or stream, when the block ends well; not compressed, so that it can
    be mapped into memory.

    Raises:
        InputError: the disk is full.
    """
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
    with finishing(path) as part, pa.OSFile(str(part), "wb") as out, new(out, schema, options=options) as writer:
        yield ArrowSink(writer)
