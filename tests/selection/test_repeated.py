from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import Command
from runs import Run, Workshop

from ifcurate.selection.repeated import repeated_ids


@pytest.mark.parametrize(
    ("shards", "repeated"), [([["a", "b"], ["c"]], 0), ([["a", "b", "a"], ["a", "c"], []], 2), ([[]], 0)]
)
def test_documents_that_share_an_id_are_counted(shards: list[list[str]], repeated: int, tmp_path: Path) -> None:
    files = [tmp_path / f"[{number}].parquet" for number in range(len(shards))]
    for file, ids in zip(files, shards, strict=True):
        pq.write_table(pa.table({"id": pa.array(ids, pa.string())}), file)
    assert repeated_ids(files) == repeated


def test_the_summary_warns(workshop: Workshop, finished: Run, tmp_path: Path, command: Command) -> None:
    (tmp_path / "corpus").mkdir()
    table = pa.table({"id": ["x", "y", "x"], "text": ["the river was vile", "a calm story", "a calm story"]})
    pq.write_table(table, tmp_path / "corpus/a.parquet")
    options = workshop.options(corpus=tmp_path / "corpus", out=tmp_path / "run", direction=finished.direction("toxic"))
    done = command("annotate", *options)
    assert done.code == 0, done.err
    assert "1 documents share their id with one before them; do not join by id" in done.out
    assert "share their id" not in command("annotate", *workshop.options(out=finished.root)).out
