"""One table as files `train-00000-of-00003.parquet`, as `datasets` and the Hub know them."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from ifcurate.corpus.parquet import ParquetSink, writing_parquet

SPLIT = "train"


class NumberedFiles:
    """Takes record batches of one schema and cuts them into files; a file's name says how many there are.

    Args:
        folder: where they go; their names are final once the block ends well.
        schema: of the batches.
        file_bytes: a file ends with the batch that takes it to this size, in memory.
        times_in_utc: whether times of day are stored as adjusted to UTC.

    Attributes:
        rows: written so far.
        bytes: of them, in memory.
    """

    def __init__(self, folder: Path, schema: pa.Schema, file_bytes: int, times_in_utc: bool = False) -> None:
        self.rows = self.bytes = 0
        self._folder, self._schema, self._file_bytes, self._utc = folder, schema, file_bytes, times_in_utc
        self._files: list[Path] = []
        self._open = ExitStack()
        self._sink: ParquetSink | None = None
        self._room = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Append `batch`."""
        sink = self._sink or self._begin()
        sink.write(batch)
        self.rows += batch.num_rows
        self.bytes += batch.nbytes
        self._room -= batch.nbytes
        if self._room <= 0:
            self._end()

    def __enter__(self) -> NumberedFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._open.__exit__(kind, error, trace)
            return
        if not self._files:
            self._begin()
        self._end()
        for number, file in enumerate(self._files):
            file.rename(self._folder / f"{SPLIT}-{number:05d}-of-{len(self._files):05d}.parquet")

    def _begin(self) -> ParquetSink:
        self._files.append(self._folder / f"{len(self._files):05d}.parquet")
        self._sink = self._open.enter_context(writing_parquet(self._files[-1], self._schema, self._utc))
        self._room = self._file_bytes
        return self._sink

    def _end(self) -> None:
        self._sink = None
        self._open.close()
