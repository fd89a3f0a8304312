"""A shard without some of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from ifcurate.annotation.writer import writing_shard
from ifcurate.corpus.compressed import writing_bytes
from ifcurate.corpus.jsonl import holds_row
from ifcurate.corpus.shards import Shard, list_shards, open_lines, open_shard
from ifcurate.files import finishing
from ifcurate.selection.spans import Ints


def without_rows(shard: Shard, dropped: Sequence[int], folder: Path) -> Shard:
    """A copy of `shard` below `folder` without the rows `dropped`, counted from 0; its name is the same.

    It has the format of an annotated shard, which is the shard's own wherever that holds lists.
    """
    path = shard.annotated(folder, "same")
    path.parent.mkdir(parents=True, exist_ok=True)
    copy = _copy_lines if shard.holds_lines else _copy_batches
    copy(shard, np.asarray(dropped, np.int64), path)
    return replace(list_shards(str(path))[0], name=shard.name)


def _copy_batches(shard: Shard, dropped: Ints, path: Path) -> None:
    reader = open_shard(shard)
    first = 0
    with writing_shard(shard, path, reader.schema, reader) as sink:
        for batch in reader.batches():
            kept = ~np.isin(np.arange(first, first + batch.num_rows), dropped)
            sink.write(batch.filter(pa.array(kept)))
            first += batch.num_rows


def _copy_lines(shard: Shard, dropped: Ints, path: Path) -> None:
    gone, row = frozenset(dropped.tolist()), 0
    with finishing(path) as part, writing_bytes(part, shard.format) as out:
        for line in open_lines(shard).lines():
            if not holds_row(line):
                continue
            if row not in gone:
                out.write(line)
            row += 1
