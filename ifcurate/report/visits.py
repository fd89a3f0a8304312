"""Single rows of many shards, each shard read once and no further than its last row that is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import pyarrow as pa

from ifcurate.report.lookup import Place

Batches = Callable[[], Iterator[pa.RecordBatch]]


def visit(places: Iterable[Place], shards: Mapping[str, Batches]) -> Iterator[tuple[Place, pa.RecordBatch]]:
    """Every place once, with its row as a batch of one; shards in their order, rows ascending.

    Args:
        places: in any order.
        shards: name -> what gives its rows in order.
    """
    wanted: dict[str, set[int]] = {}
    for place in places:
        wanted.setdefault(place.shard, set()).add(place.row)
    for name, batches in shards.items():
        rows = sorted(wanted.get(name, ()), reverse=True)
        first = 0
        for batch in batches() if rows else ():
            while rows and rows[-1] < first + batch.num_rows:
                row = rows.pop()
                yield Place(name, row), batch.slice(row - first, 1)
            if not rows:
                break
            first += batch.num_rows
        if rows:
            raise IndexError(f"{name}: has no row {rows[-1]}")
