"""Places found by DuckDB, against plain Python."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ifcurate.report.lookup import Place, highest_of, highest_places, places_of_id
from ifcurate.selection.table import SELECTED

RANKS = {("a", 0): [0.5], ("a", 1): [0.1, 0.9], ("b", 0): [0.5], ("b", 1): [0.0], ("b", 2): [0.7, 0.2, 0.3]}


def write_records(folder: Path) -> Path:
    folder.mkdir()
    rows = [
        {"shard": shard, "row": row, "window": window, "rank": rank}
        for (shard, row), ranks in RANKS.items()
        for window, rank in enumerate(ranks)
    ]
    filled = [{name: row.get(name, 0) for name in SELECTED.names} for row in rows]
    pq.write_table(pa.Table.from_pylist(filled, schema=SELECTED), folder / "toxic.parquet")
    return folder / "toxic.parquet"


def test_documents_are_ranked_by_their_highest_record(tmp_path: Path) -> None:
    table = write_records(tmp_path / "with [brackets]*")
    expected = sorted(RANKS, key=lambda place: (-max(RANKS[place]), place))
    assert highest_places(table, 3) == expected[:3]
    assert highest_places(table, 9) == expected
    some = [Place("b", 1), Place("a", 1), Place("b", 0)]
    assert highest_of(some, table, 2) == ([("a", 1), ("b", 0)], 3)
    assert highest_of(some, None, 2) == ([("a", 1), ("b", 0)], 3)
    assert highest_of([], table, 2) == ([], 0)
    many = (Place("c", row) for row in range(10_000))
    assert highest_of(many, None, 2) == ([("c", 0), ("c", 1)], 10_000)


def test_an_id_is_found_wherever_it_is(tmp_path: Path) -> None:
    ids = {"a": ["x", "y"], "b": ["z", "x'; --", "x"]}
    for name, labels in ids.items():
        pq.write_table(pa.table({"id": pa.array(labels, pa.string())}), tmp_path / f"{name}.parquet")
    sidecars = {name: tmp_path / f"{name}.parquet" for name in ids}
    assert places_of_id(sidecars, "x") == [("a", 0), ("b", 2)]
    assert places_of_id(sidecars, "x'; --") == [("b", 1)]
    assert places_of_id(sidecars, "X") == []
