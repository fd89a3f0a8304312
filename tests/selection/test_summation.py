"""Sums over score files are those of their columns, however the files are cut into row groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from score_files import score_batch

from ifcurate.checksums import checked
from ifcurate.corpus.parquet import attach
from ifcurate.errors import InputError
from ifcurate.selection.scores import Sidecar, sidecar_metadata
from ifcurate.selection.summation import checkpoints_of, sum_sidecars

FACTS = {"size": 1, "rows": 1, "texts": "a" * 64, "skipped": 0}
SAID = {
    "model": "A",
    "revision": None,
    "engine": "jvp",
    "dtype": "float32",
    "tokenizer_hash": "b" * 64,
    "context": 8,
    "alignment": "label",
    "sign": "positive",
    "unit": "nats",
}


def score_file(
    path: Path, influence: list[list[float]], group: int = 3, error: float | None = None, **said: Any
) -> Path:
    batch = score_batch(influence)
    facts = {"direction_hash": (path.stem * 64)[:64], "relative_error": error}
    metadata = {**SAID, "shard": FACTS, "tokens": sum(map(len, influence)), "directions": {"toxic": facts}, **said}
    schema = attach(batch.schema, checked(metadata))
    table = pa.Table.from_batches([batch]).replace_schema_metadata(schema.metadata)
    pq.write_table(table, path, row_group_size=group)
    return path


SCORE = st.floats(-1e6, 1e6, width=32)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(
    data=st.data(),
    lengths=st.lists(st.integers(0, 4), max_size=9),
    groups=st.lists(st.integers(1, 9), min_size=2, max_size=4),
)
def test_a_sum_is_that_of_the_columns(
    tmp_path: Path, data: st.DataObject, lengths: list[int], groups: list[int]
) -> None:
    columns = [[data.draw(st.lists(SCORE, min_size=n, max_size=n)) for n in lengths] for _ in groups]
    files = [
        score_file(tmp_path / f"{number}.parquet", column, group)
        for number, (column, group) in enumerate(zip(columns, groups, strict=True))
    ]
    out = tmp_path / "sum.parquet"
    assert sum_sidecars(files, "toxic", out) == sum(lengths)
    found = pq.read_table(out)
    for row, scores in enumerate(found["toxic_influence"].to_pylist()):
        exact = np.sum([np.array(column[row], np.float64) for column in columns], axis=0)
        assert scores == exact.astype(np.float32).tolist()
    first = pq.read_table(files[0])
    assert found.drop_columns("toxic_influence") == first.drop_columns("toxic_influence").replace_schema_metadata()
    assert sum(len(values) for _, values in Sidecar("s", out, "toxic").influence()) == sum(
        lengths
    )  # its histogram fits


def test_all_checkpoints_are_named(tmp_path: Path) -> None:
    a = score_file(tmp_path / "a.parquet", [[1.0]], error=0.001)
    b = score_file(tmp_path / "b.parquet", [[2.0]], model="B", engine="finite-difference", error=0.003)
    c = score_file(tmp_path / "c.parquet", [[4.0]])
    sum_sidecars([a, b], "toxic", tmp_path / "ab.parquet")
    sum_sidecars([tmp_path / "ab.parquet", c], "toxic", tmp_path / "abc.parquet")
    named = checkpoints_of(tmp_path / "abc.parquet", "toxic")
    assert [(one["model"], one["engine"], one["direction_hash"][0]) for one in named] == [
        ("A", "jvp", "a"),
        ("B", "finite-difference", "b"),
        ("A", "jvp", "c"),
    ]
    said = sidecar_metadata(tmp_path / "abc.parquet")
    assert said.directions["toxic"].relative_error == 0.003
    assert said.directions["toxic"].direction_hash not in {one["direction_hash"] for one in named}
    assert "model" not in said.model_dump()
    assert pq.read_table(tmp_path / "abc.parquet")["toxic_influence"].to_pylist() == [[7.0]]


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"tokenizer_hash": "c" * 64}, "b.parquet: was scored with another tokenizer than .*a.parquet"),
        ({"context": 16}, r"b.parquet: was scored in windows of another length \(--context\) than"),
        ({"overlap": 4}, "b.parquet: was scored with another --overlap than"),
        ({"alignment": "position"}, "b.parquet: was scored with another --alignment than"),
        ({"shard": {**FACTS, "texts": "d" * 64}}, "b.parquet: is of other texts than .*a.parquet"),
        ({"shard": None}, "b.parquet: is of other texts than"),
        ({"directions": {}}, "b.parquet: has no scores of 'toxic', only of none"),
    ],
)
def test_scores_that_do_not_belong_together_are_refused(tmp_path: Path, said: dict[str, Any], problem: str) -> None:
    a, b = (score_file(tmp_path / f"{n}.parquet", [[1.0, 2.0]], **of) for n, of in (("a", {}), ("b", said)))
    with pytest.raises(InputError, match=problem):
        sum_sidecars([a, b], "toxic", tmp_path / "sum.parquet")
    assert not list(tmp_path.glob("sum*"))


def test_other_tokens_are_refused(tmp_path: Path) -> None:
    """Whatever the footers say."""
    a, b = (score_file(tmp_path / f"{n}.parquet", scores) for n, scores in (("a", [[1.0, 2.0]]), ("b", [[1.0]])))
    with pytest.raises(InputError, match=r"b\.parquet: has other tokens than .*a\.parquet"):
        sum_sidecars([a, b], "toxic", tmp_path / "sum.parquet")


def test_a_sum_beyond_float32_is_refused(tmp_path: Path) -> None:
    a, b = (score_file(tmp_path / f"{name}.parquet", [[3e38]]) for name in "ab")
    with pytest.raises(InputError, match=r"sum\.parquet: 1 of 1 scores are NaN or infinite"):
        sum_sidecars([a, b], "toxic", tmp_path / "sum.parquet")
    assert not list(tmp_path.glob("sum*"))
