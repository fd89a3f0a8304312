"""Columns by which documents fall into groups are found in shards of any schema; those that name documents are not."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ifcurate.corpus.shards import known, list_shards
from ifcurate.errors import InputError
from ifcurate.report.database import counting
from ifcurate.report.groups import LONGEST_NAME, MOST_GROUPS, NO_VALUE, make_groups, shown_value
from ifcurate.report.labels import MOST_VALUES, Labels, read_labels
from ifcurate.selection.table import SELECTED


def read(folder: Path, *wanted: str) -> tuple[dict[str, list[str | None]], list[str]]:
    """The value of every document in each column that is kept, and the columns with too many values."""
    shards = {shard.name: known(shard) for shard in list_shards(str(folder))}
    labels, too_many = read_labels(shards, wanted, frozenset({"text"}), folder / ".labels")
    table = pq.read_table(folder / ".labels")
    kept = {each.name: each for each in labels if each.usable}
    return {
        name: [each.values[code] for code in table[f"label_{labels.index(each)}"].to_pylist()]
        for name, each in kept.items()
    }, too_many


def test_nested_columns_numbers_and_missing_values_are_groups(tmp_path: Path) -> None:
    rows = 4
    table = pa.table(
        {
            "text": ["a"] * rows,
            "score": [0.5] * rows,
            "tags": [["x"]] * rows,
            "clean": [True, False, True, True],
            "kind": pa.array(["a", None, "b", "a"]).dictionary_encode(),
            "meta": [{"source": "web", "year": 1}, {"source": "web", "year": 2}, None, {"source": None, "year": 2}],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    (tmp_path / "b.jsonl").write_text("".join(json.dumps({"text": "b", "kind": 7}) + "\n" for _ in range(6)))
    found, too_many = read(tmp_path)
    none = [None] * 6
    assert found == {
        "clean": ["true", "false", "true", "true", *none],
        "kind": ["a", None, "b", "a", *["7"] * 6],
        "meta.source": ["web", "web", None, None, *none],
        "meta.year": ["1", "2", None, "2", *none],
        "shard": [*["a"] * 4, *["b"] * 6],
    }
    assert too_many == []


def test_columns_that_name_documents_are_left_out_unless_wanted(tmp_path: Path) -> None:
    rows = 4 * MOST_VALUES
    table = pa.table(
        {
            "text": ["a"] * rows,
            "url": [f"u{row}" for row in range(rows)],
            "day": [row % (MOST_VALUES + 1) for row in range(rows)],
            "same": ["x"] * rows,
            "half": [row // 4 for row in range(rows)],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    found, too_many = read(tmp_path)
    assert list(found) == ["half"] and too_many == ["url", "day"]
    assert list(read(tmp_path, "url", "same")[0]) == ["url", "same"]
    with pytest.raises(InputError, match=r"no shard has a column 'colour' .* of shard, text, url, day, same, half\."):
        read(tmp_path, "colour")


def test_small_groups_are_counted_as_one(tmp_path: Path) -> None:
    documents = MOST_GROUPS + 5
    sizes = [100 - number for number in range(documents)]
    table = pa.table(
        {name: [number if name == "row" else 0 for number in range(documents)] for name in SELECTED.names}
        | {"shard": ["a"] * documents, "tokens": sizes}
    ).cast(SELECTED)
    pq.write_table(table, tmp_path / "records.parquet")
    codes = [*range(documents)][::-1]
    pq.write_table(pa.table({"label_0": pa.array(codes, pa.int32())}), tmp_path / "labels.parquet")
    labels = Labels("source", {f"v{number}": number for number in range(documents)})
    with counting(tmp_path) as database:
        groups, [described] = make_groups(database, [labels], tmp_path / "labels.parquet", tmp_path / "records.parquet")
    largest = [f"v{code}" for code in codes[:MOST_GROUPS]]
    assert [value["name"] for value in described["values"]] == [*largest, "5 other values"]
    assert described["values"][-1] == {"name": "5 other values", "tokens": sum(sizes[MOST_GROUPS:]), "documents": 5}
    assert [groups.numbers[0][code] for code in codes] == [*range(MOST_GROUPS), *[MOST_GROUPS] * 5]
    assert groups.sizes == [MOST_GROUPS + 1]


def test_values_are_written_on_one_line() -> None:
    assert shown_value(None) == NO_VALUE
    assert shown_value("a\nb") == "a\\nb"
    assert len(shown_value("x" * 500)) == LONGEST_NAME
