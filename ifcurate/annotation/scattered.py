"""Rows that come in any order, read in the order of their places: through files, more of them than memory holds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from ifcurate.selection.spans import Ints

BUFFER_BYTES = 64 << 20
"""What is held before it is sorted and written to a file of its own, and about what is read back at once."""
ROWS_AT_ONCE = 1024
_PLACE = "place"


class Scattered:
    """Takes rows with their places, of which no two are the same.

    Args:
        folder: for the files; it must exist, and stays.
        schema: of the rows.
        buffer_bytes: see `BUFFER_BYTES`.
    """

    def __init__(self, folder: Path, schema: pa.Schema, buffer_bytes: int = BUFFER_BYTES) -> None:
        self._folder, self._schema, self._buffer_bytes = folder, schema, buffer_bytes
        self._stored = pa.schema([pa.field(_PLACE, pa.int64()), *schema])
        self._pending: list[pa.RecordBatch] = []
        self._size = self._bytes = self._rows = 0
        self._runs: list[Path] = []

    def add(self, places: Ints, rows: pa.RecordBatch) -> None:
        """Rows and the place of each."""
        batch = pa.RecordBatch.from_arrays([pa.array(places), *rows.columns], schema=self._stored)
        self._pending.append(batch)
        self._size += batch.nbytes
        self._bytes += batch.nbytes
        self._rows += batch.num_rows
        if self._size >= self._buffer_bytes:
            self._write_run()

    def in_order(self, places: int, of_all: bool) -> Iterator[pa.RecordBatch]:
        """The rows by their places, from 0 to `places`.

        Args:
            places: how many there are.
            of_all: a row of nulls for each place without a row; otherwise these are left out.
        """
        self._write_run()
        runs = [_Run(path) for path in self._runs]
        step = max(1, int(self._buffer_bytes / max(self._bytes, 1) * max(self._rows, 1)))
        for first in range(0, places, step):
            last = min(first + step, places)
            found = pa.Table.from_batches([part for run in runs for part in run.until(last)], schema=self._stored)
            # Rows may be far larger here than in the mean, as where documents are sorted by length.
            pieces = min(last - first, max(1, found.nbytes // self._buffer_bytes))
            limits = np.linspace(first, last, pieces + 1).astype(np.int64)
            for begin, end in pairwise(limits.tolist()):
                yield from self._ordered(found, begin, end, of_all)

    def _ordered(self, found: pa.Table, first: int, last: int, of_all: bool) -> Iterator[pa.RecordBatch]:
        """Those of `found` whose places are from `first` to before `last`."""
        places = found.column(_PLACE).to_numpy()
        inside = (places >= first) & (places < last)
        if not inside.all():
            found, places = found.filter(pa.array(inside)), places[inside]
        if of_all:
            rows = np.full(last - first, -1)
            rows[places - first] = np.arange(len(places))
        else:
            rows = np.argsort(places)
        yield from _taken(found.drop_columns([_PLACE]).combine_chunks(), rows)

    def _write_run(self) -> None:
        """What is pending, in order, as a file."""
        if not self._pending:
            return
        run = pa.Table.from_batches(self._pending).combine_chunks()
        self._pending, self._size = [], 0
        self._runs.append(self._folder / f"{len(self._runs):06d}.arrow")
        with pa.OSFile(str(self._runs[-1]), "wb") as file, pa.ipc.new_file(file, self._stored) as sink:
            for batch in _taken(run, np.argsort(run.column(_PLACE).to_numpy())):
                sink.write(batch)


def _taken(rows: pa.Table, order: Ints) -> Iterator[pa.RecordBatch]:
    """`rows`, of one chunk, in this order; nulls for -1."""
    for begin in range(0, len(order), ROWS_AT_ONCE):
        part = order[begin : begin + ROWS_AT_ONCE]
        yield from rows.take(pa.array(part, mask=part < 0)).combine_chunks().to_batches()


class _Run:
    """A file of sorted rows, read on and on; it is open only while it is read, since there may be thousands."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._batch, self._row = 0, 0

    def until(self, place: int) -> Iterator[pa.RecordBatch]:
        """The next rows whose places are before `place`; their memory is the file's, the system's to hold or drop."""
        file = pa.ipc.open_file(pa.memory_map(str(self._path)))
        while self._batch < file.num_record_batches:
            batch = file.get_batch(self._batch)
            end = int(np.searchsorted(batch.column(_PLACE).to_numpy(), place))
            if end > self._row:
                yield batch.slice(self._row, end - self._row)
            if end < batch.num_rows:
                self._row = end
                return
            self._batch, self._row = self._batch + 1, 0
