from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpora import FORMATS, write_rows
from hypothesis import given
from hypothesis import strategies as st

from ifcurate.errors import InputError
from ifcurate.influence.queries import Query, hash_queries, read_queries

PAIRS = [{"prompt": f"prompt {row} ", "completion": f"completion {row} 🙂"} for row in range(50)]
QUERIES = [Query(pair["prompt"], pair["completion"]) for pair in PAIRS]


def refusal(path: Path, rows: list[dict[str, Any]]) -> str:
    with pytest.raises(InputError) as error:
        read_queries(str(write_rows(path, rows)), 10, 0)
    return str(error.value)


@pytest.mark.parametrize("suffix", FORMATS)
def test_pairs_are_read_in_file_order(tmp_path: Path, suffix: str) -> None:
    assert read_queries(str(write_rows(tmp_path / f"q{suffix}", PAIRS)), 50, 0) == QUERIES


def test_other_columns_are_left_alone_and_text_alone_is_all_completion(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": 1}, {"text": "b", "label": None}]
    assert read_queries(str(write_rows(tmp_path / "t.jsonl", rows)), 10, 0) == [Query("", "a"), Query("", "b")]
    both = [{"text": "prompt completion", "completion": "completion", "prompt": ""}]
    assert read_queries(str(write_rows(tmp_path / "b.jsonl", both)), 10, 0) == [Query("", "completion")]


def test_a_folder_of_shards_is_one_query_set(tmp_path: Path) -> None:
    write_rows(tmp_path / "set/0.jsonl", PAIRS[:20])
    write_rows(tmp_path / "set/1.parquet", PAIRS[20:])
    write_rows(tmp_path / "set/2.jsonl", [])
    assert read_queries(str(tmp_path / "set"), 50, 0) == QUERIES


def test_a_sample_is_seeded_without_replacement_and_in_file_order(tmp_path: Path) -> None:
    path = str(write_rows(tmp_path / "q.jsonl", PAIRS))
    samples = [read_queries(path, 20, seed) for seed in (0, 0, 1)]
    assert samples[0] == samples[1] != samples[2]
    for sample in samples:
        rows = [QUERIES.index(query) for query in sample]
        assert rows == sorted(set(rows))
        assert len(rows) == 20


def test_every_row_has_the_same_chance(tmp_path: Path) -> None:
    path = str(write_rows(tmp_path / "q.jsonl", PAIRS[:5]))
    drawn = [QUERIES.index(query) for seed in range(400) for query in read_queries(path, 2, seed)]
    # 160 expected each; five standard deviations of a binomial of 400 draws at 2/5 are 49.
    assert all(abs(drawn.count(row) - 160) < 49 for row in range(5))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "p", "completion": ""}, "row 1 (counted from 0): 'completion' is empty"),
        ({"prompt": "p", "completion": None}, "row 1 (counted from 0): 'completion' is null"),
        ({"completion": "c"}, "row 1 (counted from 0): 'prompt' is null"),
        ({"prompt": 1, "completion": "c"}, "line 2: column 'prompt' holds a number where earlier lines hold a string"),
        ({"prompt": "p", "completion": "c", "weight": 1}, "row 0 (counted from 0): 'weight' is null; give every query"),
        ({"prompt": "p", "completion": "c", "weight": "1"}, "column 'weight' holds string, not numbers; rename it"),
        ({"prompt": "p", "completion": "c", "weight": True}, "column 'weight' holds bool, not numbers"),
    ],
)
def test_a_query_that_is_none_is_named(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    assert message in refusal(tmp_path / "q.jsonl", [{"prompt": "p", "completion": "c"}, row])


def test_a_bad_query_is_refused_even_when_it_is_not_drawn(tmp_path: Path) -> None:
    rows = [*PAIRS, {"prompt": "p", "completion": ""}]
    path = str(write_rows(tmp_path / "q.jsonl", rows))
    for seed in range(5):
        with pytest.raises(InputError, match="row 50"):
            read_queries(path, 1, seed)


def test_files_that_hold_no_queries_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    assert "q.jsonl: holds no query" in refusal(path, [])
    for columns in (["completion"], ["prompt"], ["prompt", "text"], ["content"]):
        message = refusal(path, [dict.fromkeys(columns, "x")])
        assert f"q.jsonl: has the columns {', '.join(columns)}; write queries as 'prompt' and 'completion'" in message
    assert "row 0 (counted from 0): 'text' is empty" in refusal(path, [{"text": ""}])
    pq.write_table(pa.table({"prompt": ["p"], "completion": [1]}), tmp_path / "q.parquet")
    with pytest.raises(InputError, match="column 'completion' holds int64, not strings"):
        read_queries(str(tmp_path / "q.parquet"), 10, 0)


@pytest.mark.parametrize("suffix", FORMATS)
def test_weights_are_read(tmp_path: Path, suffix: str) -> None:
    weights = [1, -0.25, 0, 2.5]
    rows = [{**pair, "weight": float(weight)} for pair, weight in zip(PAIRS, weights, strict=False)]
    found = read_queries(str(write_rows(tmp_path / f"q{suffix}", rows)), 50, 0)
    assert [query.weight for query in found] == weights
    texts = [{"text": "a", "weight": -1}, {"text": "b", "weight": 3}]
    assert read_queries(str(write_rows(tmp_path / f"t{suffix}", texts)), 50, 0) == [
        Query("", "a", -1.0),
        Query("", "b", 3.0),
    ]


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), -float("inf"), None])
def test_a_weight_that_is_no_number_is_refused(tmp_path: Path, weight: float | None) -> None:
    table = pa.table({"text": ["a", "b"], "weight": pa.array([1.0, weight], pa.float32())})
    pq.write_table(table, tmp_path / "q.parquet")
    with pytest.raises(InputError, match=r"row 1 \(counted from 0\): 'weight' is (nan|inf|-inf|null)"):
        read_queries(str(tmp_path / "q.parquet"), 10, 0)


WEIGHT = st.floats(allow_nan=False, allow_infinity=False)
PAIR = st.builds(Query, st.text(max_size=3), st.text(min_size=1, max_size=3), st.just(1.0) | st.just(-1.0) | WEIGHT)


@given(one=st.lists(PAIR, max_size=4), other=st.lists(PAIR, max_size=4))
def test_hashes_are_equal_only_for_equal_queries(one: list[Query], other: list[Query]) -> None:
    assert (hash_queries(one) == hash_queries(other)) == (one == other)


def test_the_hash_does_not_change_between_versions() -> None:
    assert hash_queries(QUERIES[:1]) == "b0a5324528adb381dd83f53b17a3c44260195977a539d8d6f09db789f6e6c15f"
