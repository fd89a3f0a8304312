from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ifcurate.corpus.jsonl import JsonlReader
from ifcurate.corpus.jsontypes import MOST_KEYS, JsonType, TypeConflictError
from ifcurate.errors import InputError


def read(path: Path, *lines: str | bytes) -> pa.Table:
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    reader = JsonlReader(str(path))
    return pa.Table.from_batches(reader.batches(), schema=reader.schema)


def refuse(path: Path, *lines: str | bytes) -> str:
    with pytest.raises(InputError) as error:
        read(path, *lines)
    return str(error.value)


def test_types_widen_over_the_whole_file(tmp_path: Path) -> None:
    table = read(
        tmp_path / "a.jsonl",
        '{"a": null, "b": 1, "c": {"x": 1}, "d": [], "e": null}',
        '{"a": "s", "b": 2.5, "c": {"y": [true]}, "d": [null, {"z": 1}], "f": 18446744073709551615}',
    )
    assert table.schema == pa.schema(
        {
            "a": pa.string(),
            "b": pa.float64(),
            "c": pa.struct({"x": pa.int64(), "y": pa.list_(pa.bool_())}),
            "d": pa.list_(pa.struct({"z": pa.int64()})),
            "e": pa.null(),
            "f": pa.uint64(),
        }
    )
    assert table.to_pylist() == [
        {"a": None, "b": 1.0, "c": {"x": 1, "y": None}, "d": [], "e": None, "f": None},
        {"a": "s", "b": 2.5, "c": {"x": None, "y": [True]}, "d": [None, {"z": 1}], "e": None, "f": 2**64 - 1},
    ]


def test_strings_that_look_like_something_else_stay_strings(tmp_path: Path) -> None:
    rows = [{"when": "2024-01-01T00:00:00Z", "number": "1"}, {"when": "2024-01-02", "number": "2"}]
    assert read(tmp_path / "a.jsonl", *map(json.dumps, rows)).to_pylist() == rows


def test_blank_lines_hold_no_row(tmp_path: Path) -> None:
    assert read(tmp_path / "a.jsonl", "", '{"a": 1}', "  ", '{"a": 2}\r', "", "").to_pylist() == [{"a": 1}, {"a": 2}]


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    assert read(tmp_path / "a.jsonl", b'\xef\xbb\xbf{"a": 1}').to_pylist() == [{"a": 1}]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"a": 1}', "", '{"a": '], "line 3: is not valid JSON"),
        (['{"a": 1}', "[1]"], "line 2: is not a JSON object"),
        (['{"a": NaN}'], "line 1: is not valid JSON"),
        ([b'{"a": "\xff"}'], "line 1: is not valid JSON"),
        (['{"a": "\\ud800"}'], "line 1: is not valid JSON"),
        (['{"a": 1}', '{"a": "x"}'], "line 2: column 'a' holds a string where earlier lines hold a number"),
        (['{"a": true}', '{"a": 1}'], "line 2: column 'a' holds a number where earlier lines hold a boolean"),
        (['{"a": {"b": [1]}}', '{"a": {"b": [{}]}}'], "line 2: column 'a.b[]' holds an object where"),
        (['{"a": 9007199254740993}', '{"a": 0.5}'], "line 2: column 'a' mixes fractions with integers beyond 2**53"),
        (['{"a": 0.5}', '{"a": 9007199254740993}'], "line 2: column 'a' mixes fractions with integers beyond 2**53"),
        (['{"a": 18446744073709551616}'], "line 1: column 'a' holds integers beyond 64 bits"),
        (['{"a": -1}', '{"a": 9223372036854775808}'], "line 2: column 'a' holds integers beyond 64 bits"),
        (['{"a": {}}', '{"a": {}}'], "column 'a' holds only empty objects"),
        (['{"a": ' + "[" * 100 + "]" * 100 + "}"], "line 1: a column is nested more than 64 levels deep"),
    ],
)
def test_what_cannot_be_kept_as_it_is_is_refused(tmp_path: Path, lines: list[str | bytes], message: str) -> None:
    assert message in refuse(tmp_path / "a.jsonl", *lines)


def test_objects_whose_keys_are_data_are_refused() -> None:
    column = JsonType()
    with pytest.raises(TypeConflictError, match="column 'counts' holds objects with more than 4,096 different keys"):
        column.see({"counts": {f"word {index}": 1 for index in range(MOST_KEYS + 1)}})


KEYS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=5)
LEAVES = {
    "text": st.text(),
    "integers": st.integers(-(2**63), 2**63 - 1),
    "floats": st.floats(allow_nan=False, allow_infinity=False),
    "booleans": st.booleans(),
}


def shapes(depth: int) -> st.SearchStrategy[st.SearchStrategy[Any]]:
    """Strategies for values of one type each, nested up to `depth`."""
    leaf = st.sampled_from(sorted(LEAVES)).map(LEAVES.__getitem__)
    if depth == 0:
        return leaf
    inner = shapes(depth - 1)
    lists = inner.map(lambda shape: st.lists(st.none() | shape, max_size=3))
    objects = st.dictionaries(KEYS, inner, min_size=1, max_size=3).map(
        lambda fields: st.fixed_dictionaries({key: st.none() | shape for key, shape in fields.items()})
    )
    return leaf | lists | objects


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_rows_of_one_shape_survive_json_arrow_and_parquet(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("law")
    columns = data.draw(st.dictionaries(KEYS, shapes(2), min_size=1, max_size=3))
    rows = data.draw(st.lists(st.fixed_dictionaries(columns), min_size=1, max_size=5))
    table = read(folder / "a.jsonl", *(json.dumps(row, ensure_ascii=False) for row in rows))
    pq.write_table(table, folder / "a.parquet")
    assert same(pq.read_table(folder / "a.parquet").to_pylist(), rows)


def same(ours: Any, theirs: Any) -> bool:
    """Equality that tells -0.0 from 0.0."""
    if isinstance(theirs, dict):
        return set(ours) == set(theirs) and all(same(ours[key], theirs[key]) for key in theirs)
    if isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(theirs, float):
        return bool(ours == theirs) and math.copysign(1, ours) == math.copysign(1, theirs)
    return bool(ours == theirs)
