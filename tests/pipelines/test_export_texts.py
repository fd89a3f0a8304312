from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from annotated_corpora import MARKED_WORDS, TAU, TEXTS, WORD_INFLUENCE, annotate, letter_tokenizer, word_tokenizer

from ifcurate.errors import InputError
from ifcurate.export.attributes import attribute
from ifcurate.export.config import ExportConfig
from ifcurate.export.texts import TextSummary
from ifcurate.pipelines.export import export

BEHAVIOURS = ["toxic", "private"]


@pytest.fixture
def source(tmp_path: Path) -> dict[str, Any]:
    """Options of an export, over a corpus of two shards with ids, annotated for two behaviours."""
    tokenizer = word_tokenizer(tmp_path / "tokenizer")
    data = annotate(tmp_path / "data", tokenizer, behaviours=BEHAVIOURS, scored=True)
    for shard, path in enumerate(sorted(data.iterdir())):
        table = pq.read_table(path)
        ids = pa.array([f"{shard}-{row}" for row in range(table.num_rows)])
        pq.write_table(table.append_column("id", ids), path)
    return {
        "data": str(data),
        "tokenizer": str(tmp_path / "tokenizer"),
        "out": str(tmp_path / "out"),
        "behaviour": BEHAVIOURS,
    }


def rows_of(source: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in sorted(Path(source["data"]).iterdir()):
        yield from pq.read_table(path).to_pylist()


def marked_words(text: str, behaviours: list[str]) -> list[str]:
    return [word for word in text.split() if any(word in MARKED_WORDS[name] for name in behaviours)]


def test_fast_llm_reads_inclusive_ranges_of_any_behaviour(source: dict[str, Any]) -> None:
    datasets = pytest.importorskip("datasets")
    summary = export(ExportConfig(**source, format="fast-llm"))
    rows = datasets.load_dataset(source["out"], split="train", cache_dir=source["out"] + "-cache")
    assert [row["text"] for row in rows] == [row["text"] for row in rows_of(source)]
    for row in rows:
        found = [row["text"][first : last + 1] for first, last in row["loss_masking_spans"]]
        assert found == marked_words(row["text"], BEHAVIOURS)
        assert row["loss_masking_spans"] == sorted(row["loss_masking_spans"])
    assert isinstance(summary, TextSummary)
    assert summary.spans == sum(len(marked_words(text, BEHAVIOURS)) for text in TEXTS) == 6
    assert summary.characters == sum(map(len, TEXTS))


def test_touching_ranges_of_two_behaviours_become_one(source: dict[str, Any]) -> None:
    tokenizer = letter_tokenizer(Path(source["tokenizer"]))
    data = annotate(Path(source["data"]) / "more", tokenizer, ["abc"], BEHAVIOURS, shards=1)
    table = pq.read_table(data / "part-0.parquet")
    for name, (start, end) in {"toxic": (0, 2), "private": (1, 3)}.items():
        index = table.schema.get_field_index(f"{name}_spans")
        spans = pa.array([[{"start": start, "end": end}]], table.schema.field(index).type)
        table = table.set_column(index, f"{name}_spans", spans)
    pq.write_table(table, data / "part-0.parquet")
    export(ExportConfig(**{**source, "data": str(data)}, format="fast-llm"))
    written = pq.read_table(Path(source["out"]) / "data" / "part-0.parquet")
    assert written["loss_masking_spans"].to_pylist() == [[[0, 2]]]


def test_attributes_are_lines_beside_the_documents(source: dict[str, Any]) -> None:
    export(ExportConfig(**source, format="attributes"))
    folder = Path(source["out"]) / "attributes" / "ifcurate"
    lines = [
        json.loads(line)
        for path in sorted(folder.iterdir())
        for line in gzip.decompress(path.read_bytes()).decode().splitlines()
    ]
    rows = list(rows_of(source))
    assert [line["id"] for line in lines] == [row["id"] for row in rows]
    assert [path.name for path in sorted(folder.iterdir())] == ["part-0.jsonl.gz", "part-1.jsonl.gz"]
    for line, row in zip(lines, rows, strict=True):
        for behaviour in BEHAVIOURS:
            found = [(row["text"][a:b], score) for a, b, score in line["attributes"][attribute(behaviour)]]
            assert found == [(word, WORD_INFLUENCE[word]) for word in marked_words(row["text"], [behaviour])]
            assert all(score > TAU for _, score in found)


def test_a_score_is_the_highest_influence_in_the_span(source: dict[str, Any]) -> None:
    data = Path(source["data"])
    for path in data.iterdir():  # both words and the space between them in one span
        table = pq.read_table(path)
        index = table.schema.get_field_index("toxic_spans")
        spans = [
            [{"start": text.index("vile"), "end": text.index("scum") + 4}] if "vile scum" in text else []
            for text in table["text"].to_pylist()
        ]
        kept = table.set_column(index, "toxic_spans", pa.array(spans, table.schema.field(index).type))
        pq.write_table(kept.replace_schema_metadata(table.schema.metadata), path)
    export(ExportConfig(**{**source, "behaviour": ["toxic"]}, format="attributes"))
    folder = Path(source["out"]) / "attributes" / "ifcurate"
    lines = b"".join(gzip.decompress(path.read_bytes()) for path in folder.iterdir()).decode().splitlines()
    found = [json.loads(line)["attributes"][attribute("toxic")] for line in lines]
    assert [spans for spans in found if spans] == [[[8, 17, 4.0]]]


def test_repeated_ids_are_refused_by_name(source: dict[str, Any]) -> None:
    data = Path(source["data"])
    table = pq.read_table(data / "part-1.parquet")
    ids = pa.array(["0-2", "a", "b", "0-2"])
    pq.write_table(table.set_column(table.schema.get_field_index("id"), "id", ids), data / "part-1.parquet")
    with pytest.raises(InputError, match=r"part-0.parquet, row 2 and .*part-1.parquet, row 0 .*the same id, '0-2'"):
        export(ExportConfig(**source, format="attributes"))
    export(ExportConfig(**source, format="fast-llm"))


def test_ids_are_needed_and_whole(source: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"has no column 'url'.*give --id-column one of its columns"):
        export(ExportConfig(**source, format="attributes", id_column="url"))
    data = Path(source["data"])
    table = pq.read_table(data / "part-1.parquet")
    ids = pa.array(["a", None, "b", "c"])
    pq.write_table(table.set_column(table.schema.get_field_index("id"), "id", ids), data / "part-1.parquet")
    with pytest.raises(InputError, match=r"part-1.parquet: row 1: 'id' is null"):
        export(ExportConfig(**source, format="attributes"))
    assert not Path(source["out"]).exists()


def test_scores_are_of_the_annotating_tokenizer(source: dict[str, Any], tmp_path: Path) -> None:
    letter_tokenizer(tmp_path / "letters")
    with pytest.raises(InputError, match=r"annotated with another tokenizer than .*letters"):
        export(ExportConfig(**{**source, "tokenizer": str(tmp_path / "letters")}, format="attributes"))


def test_spans_beyond_the_text_are_of_another_text(source: dict[str, Any]) -> None:
    path = Path(source["data"]) / "part-1.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(0, "text", pa.array(["", "", "", ""])), path)
    with pytest.raises(InputError, match=r"row 0: column .toxic_spans. marks characters up to 12 of a text of 0"):
        export(ExportConfig(**source, format="fast-llm"))


def test_texts_hold_no_weights(source: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="--penalty-weights: fast-llm holds no weights"):
        export(ExportConfig(**source, format="fast-llm", penalty_weights="influence"))


@pytest.mark.parametrize("kind", ["fast-llm", "attributes"])
def test_an_export_of_texts_is_done_once_and_marks_something(source: dict[str, Any], kind: str) -> None:
    made = export(ExportConfig(**source, format=kind))
    assert export(ExportConfig(**source, format=kind)) == made
    plain = annotate(Path(source["data"]) / "plain", word_tokenizer(Path(source["tokenizer"])), ["good day"], shards=1)
    options = {**source, "data": str(plain), "out": source["out"] + "2", "behaviour": ["toxic"]}
    with pytest.raises(InputError, match="no character is marked for toxic"):
        export(ExportConfig(**options, format="fast-llm"))
