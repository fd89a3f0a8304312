"""The dataset card, opened: what it says is what the run's columns hold."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from html_tree import read_html
from huggingface_hub import DatasetCard
from runs import Workshop, rows_of, texts, write_shards

from ifcurate.corpus.parquet import metadata_of
from ifcurate.pipelines.run import Run


@pytest.fixture(scope="module")
def run(workshop: Workshop, finished: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of which much is selected, with losses, in a folder with a name of markup."""
    folder = tmp_path_factory.mktemp("card")
    corpus = write_shards(folder / "a <i>& b", [texts(45)[:20], [""], texts(45)[20:]])
    return workshop.annotate(
        corpus=corpus,
        direction=finished.direction("toxic"),
        out=folder / "run",
        quantile=0.5,
        budget="90%",
        length_exponent=0,
        with_loss=True,
    )


@pytest.fixture(scope="module")
def card(run: Run) -> DatasetCard:
    return DatasetCard.load(run.root / "README.md")


@pytest.fixture(scope="module")
def rows(run: Run) -> list[dict[str, Any]]:
    """Every document with its shard and its row there."""
    return [
        {**row, "shard": file.stem, "row": number}
        for file in sorted(run.data.glob("*.parquet"))
        for number, row in enumerate(pq.read_table(file).to_pylist())
    ]


def counts(rows: list[dict[str, Any]]) -> dict[str, int]:
    """What the columns themselves say."""
    return {
        "documents": len(rows),
        "tokens": sum(len(row["toxic_influence"]) for row in rows),
        "above": sum(row["toxic_sparsity"] for row in rows),
        "selected": sum(sum(row["toxic_mask"]) for row in rows),
        "documents_selected": sum(any(row["toxic_mask"]) for row in rows),
    }


def test_the_columns_are_those_of_the_shards(run: Run, card: DatasetCard) -> None:
    """Every column that the corpus did not have, with its type."""
    schema = pq.read_schema(next(run.data.glob("*.parquet")))
    expected = [(field.name, written(field.type)) for field in schema if field.name not in {"id", "text", "meta"}]
    page = read_html((run.root / "report.html").read_text(encoding="utf-8"))
    [table] = page.every("table")
    cells = [[cell.text for cell in row.every("td")] for row in table.every("tr")[1:]]
    assert [(name, kind) for name, kind, _ in cells] == expected
    lines = re.findall(r"^\| `(.*?)` \| `(.*?)` \| (.*) \|$", card.text, re.M)
    assert [list(line) for line in lines] == cells
    assert all(meaning for *_, meaning in cells)


def written(kind: pa.DataType) -> str:
    """An Arrow type as the report writes it."""
    if pa.types.is_list(kind):
        return f"list<{written(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{', '.join(field.name for field in kind)}>"
    return {"float": "float32"}.get(str(kind), str(kind))


def test_the_card_is_read_as_a_card(run: Run, card: DatasetCard) -> None:
    head = (run.root / "README.md").read_text(encoding="utf-8").split("---\n")[1]
    assert yaml.safe_load(head) == card.data.to_dict()
    assert card.data.tags == ["ifcurate", "data-curation"]
    assert [config["config_name"] for config in card.data.to_dict()["configs"]] == ["default"]


def test_the_card_says_what_the_columns_hold(run: Run, card: DatasetCard, rows: list[dict[str, Any]]) -> None:
    counted = counts(rows)
    text = " ".join(card.text.split())
    assert f"{counted['documents']} documents with {counted['tokens']:,} tokens" in text
    assert f"{counted['selected']:,} tokens in {counted['documents_selected']} documents are marked" in text
    [details] = re.findall(r"^```json\n(.*?)\n```$", card.text, re.M | re.S)
    for file in run.data.glob("*.parquet"):
        assert json.loads(details) == metadata_of(pq.read_schema(file), file)
    made = json.loads(details)["toxic"]
    assert f"**Alignment.** {made['alignment']}: " in text and f"**Unit.** {made['unit']}. " in text
    assert f"Made with ifcurate {made['version']}; " in text


def test_datasets_reads_the_run_by_its_card(run: Run, tmp_path: Path) -> None:
    read = datasets.load_dataset(str(run.root), split="train", cache_dir=str(tmp_path / "cache"))
    assert [row["toxic_mask"] for row in read] == [row["toxic_mask"] for row in rows_of(run.data)]


def test_the_card_of_a_run_that_marks_nothing_says_so(workshop: Workshop, finished: Run, tmp_path: Path) -> None:
    out = workshop.annotate(direction=finished.direction("toxic"), out=tmp_path / "run", budget="0").root
    assert "0 tokens in\n0 documents are marked" in (out / "README.md").read_text(encoding="utf-8")
