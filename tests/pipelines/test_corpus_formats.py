"""Runs over Arrow and CSV, and over the first documents of a corpus."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import Command
from runs import Workshop, rows_of, texts, write_shards

from ifcurate.annotation.reader import AnnotatedCorpus
from ifcurate.annotation.schema import spans_column
from ifcurate.corpus.parquet import metadata_of
from ifcurate.corpus.shards import list_shards, open_shard
from ifcurate.model.checkpoints import load_tokenizer
from ifcurate.pipelines.run import Run

Messages = Callable[[], list[str]]


@pytest.fixture
def options(workshop: Workshop, finished: Run, tmp_path: Path) -> dict[str, Any]:
    """Of a quick run along a direction that is there already, over two shards of twelve documents."""
    write_shards(tmp_path / "corpus", [texts(12, 1), texts(12, 2)])
    return {
        "corpus": tmp_path / "corpus",
        "direction": finished.direction("toxic"),
        "engine": "jvp",
        "out": tmp_path / "run",
    }


def as_arrow(corpus: Path, folder: Path) -> Path:
    """The same shards, one as a stream, one as a file."""
    folder.mkdir()
    for number, path in enumerate(sorted(corpus.iterdir())):
        table = pq.read_table(path)
        new = pa.ipc.new_file if number else pa.ipc.new_stream
        with new(str(folder / f"{path.stem}.arrow"), table.schema) as writer:
            writer.write_table(table, max_chunksize=5)
    return folder


def as_csv(corpus: Path, folder: Path) -> Path:
    folder.mkdir()
    for path in sorted(corpus.iterdir()):
        with (folder / f"{path.stem}.csv").open("w", newline="", encoding="utf-8") as out:
            writer = csv.writer(out)
            writer.writerow(["id", "text"])
            writer.writerows((row["id"], row["text"]) for row in pq.read_table(path).to_pylist())
    return folder


def annotated(folder: Path) -> list[dict[str, Any]]:
    return [
        {name: row[name] for name in ("id", "text", "toxic_influence", "toxic_mask", spans_column("toxic"))}
        for shard in list_shards(str(folder))
        for batch in open_shard(shard).batches()
        for row in batch.to_pylist()
    ]


@pytest.fixture
def expected(workshop: Workshop, options: dict[str, Any], tmp_path: Path) -> list[dict[str, Any]]:
    """The annotated rows of the same documents in Parquet."""
    return annotated(workshop.annotate(**options | {"out": tmp_path / "parquet"}).data)


def test_arrow_stays_arrow(
    workshop: Workshop, options: dict[str, Any], expected: list[dict[str, Any]], tmp_path: Path, messages: Messages
) -> None:
    arrow = options | {"corpus": as_arrow(options["corpus"], tmp_path / "arrow")}
    run = workshop.annotate(**arrow)
    assert annotated(run.data) == expected
    files = sorted(run.data.iterdir())
    assert [file.name for file in files] == ["part-000.arrow", "part-001.arrow"]
    assert pa.ipc.open_stream(files[0].read_bytes()).read_all().num_rows == 12
    with pa.ipc.open_file(str(files[1])) as opened:
        assert opened.schema.metadata[b"origin"] == b"generated"
        assert metadata_of(opened.schema)["toxic"]["tau"] > 0
    tokenizer = load_tokenizer(str(workshop.root / "model"))
    marks = [document.marks.sum() for document in AnnotatedCorpus(str(run.root), ["toxic"], tokenizer).documents()]
    assert marks == [sum(row["toxic_mask"]) for row in expected]
    before = {file: file.stat().st_mtime_ns for file in run.root.rglob("*.arrow")}
    workshop.annotate(**arrow)
    assert before == {file: file.stat().st_mtime_ns for file in run.root.rglob("*.arrow")}


def test_csv_is_annotated_as_parquet_since_it_has_no_lists(
    workshop: Workshop, options: dict[str, Any], expected: list[dict[str, Any]], tmp_path: Path
) -> None:
    given = options | {"corpus": as_csv(options["corpus"], tmp_path / "csv")}
    run = workshop.annotate(**given)
    assert [file.name for file in sorted(run.data.iterdir())] == ["part-000.parquet", "part-001.parquet"]
    assert annotated(run.data) == expected


@pytest.mark.parametrize("make", [as_arrow, as_csv])
def test_a_changed_shard_of_either_is_scored_again(
    make: Callable[[Path, Path], Path], workshop: Workshop, options: dict[str, Any], tmp_path: Path
) -> None:
    corpus = make(options["corpus"], tmp_path / "other")
    run = workshop.annotate(**options | {"corpus": corpus})
    before = {file.stem: file.stat().st_mtime_ns for file in run.scores.glob("*.parquet")}
    write_shards(tmp_path / "new", [texts(12, 1), texts(9, 3)])
    changed = make(tmp_path / "new", tmp_path / "made")
    name = sorted(changed.iterdir())[1].name
    (changed / name).replace(corpus / name)
    run = workshop.annotate(**options | {"corpus": corpus})
    after = {file.stem: file.stat().st_mtime_ns for file in run.scores.glob("*.parquet")}
    assert {name for name in after if after[name] != before[name]} == {"part-001"}
    assert len(annotated(run.data)) == 21


def as_lines(corpus: Path, folder: Path) -> Path:
    folder.mkdir()
    for path in sorted(corpus.iterdir()):
        rows = pq.read_table(path).to_pylist()
        (folder / f"{path.stem}.jsonl").write_text("".join(json.dumps(row) + "\n\n" for row in rows))
    return folder


@pytest.mark.parametrize("make", [None, as_lines, as_arrow, as_csv])
def test_a_limit_takes_the_first_documents_and_says_so(
    make: Callable[[Path, Path], Path] | None,
    workshop: Workshop,
    options: dict[str, Any],
    tmp_path: Path,
    messages: Messages,
) -> None:
    if make is not None:
        options["corpus"] = make(options["corpus"], tmp_path / "other")
    run = workshop.annotate(**options, limit=15)
    assert any("only its first 15 documents, which --limit asks for" in line for line in messages())
    rows = annotated(run.data)
    assert [row["text"] for row in rows] == [*texts(12, 1), *texts(12, 2)[:3]]
    assert [len(row["toxic_mask"]) for row in rows] == [len(row["toxic_influence"]) for row in rows]
    again = workshop.annotate(**options, limit=15)
    assert annotated(again.data) == rows


def test_a_limit_is_recorded_printed_and_no_other_in_the_same_folder(
    workshop: Workshop, options: dict[str, Any], command: Command
) -> None:
    done = command("annotate", *workshop.options(**options, limit=5))
    assert done.code == 0, done.err
    assert "only the first 5 documents were read (--limit)" in done.out
    run = Path(options["out"])
    assert [file.name for file in sorted((run / "data").iterdir())] == ["part-000.parquet"]
    assert metadata_of(pq.read_schema(run / "data/part-000.parquet"))["toxic"]["limit"] == 5
    assert len(rows_of(run / "data")) == 5
    assert command("write", run, "--no-token-ids").code == 0  # lists the same five again
    assert len(rows_of(run / "data")) == 5
    other = command("annotate", *workshop.options(**options, limit=6))
    assert other.code == 2
    assert "option --limit" in other.err
    assert "was made with 5, not 6" in other.err
