"""The report and the dataset card, opened: what they say is what the run's columns hold."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from html_tree import Element, read_html
from huggingface_hub import DatasetCard
from runs import RUDE, Workshop, rows_of, sentence, texts, write_shards

from ifcurate.corpus.parquet import metadata_of
from ifcurate.pipelines.run import Run
from ifcurate.report.documents import HIGHEST, MOST_CHARACTERS
from ifcurate.selection.table import Selection

MARKUP = '<script>alert("1 & 2")</script> &amp; </p></mark> <!-- '


@pytest.fixture(scope="module")
def run(workshop: Workshop, finished: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run over texts full of markup, one of them long, in a folder with a name of markup."""
    folder = tmp_path_factory.mktemp("report")
    generator = random.Random(0)
    long = " ".join(sentence(generator, RUDE) for _ in range(80))
    documents = [MARKUP + text for text in texts(45)]
    corpus = write_shards(folder / "a <i>& b", [documents[:20], [long, ""], documents[20:]])
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
def report(run: Run) -> Element:
    return read_html((run.root / "report.html").read_text(encoding="utf-8"))


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


def highest(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    marked = [row for row in rows if any(row["toxic_mask"])]
    return sorted(marked, key=lambda row: -row["toxic_rank"])[:HIGHEST]


def test_the_numbers_are_those_of_the_columns(run: Run, report: Element, rows: list[dict[str, Any]]) -> None:
    said = {term.text: value.text for term, value in zip(report.every("dt"), report.every("dd"), strict=True)}
    counted = counts(rows)
    tau = Selection.load(run.selection, "toxic").tau
    assert counted["above"] == sum(value > tau for row in rows for value in row["toxic_influence"])
    assert said == {
        "share of all tokens": f"{100 * counted['selected'] / counted['tokens']:.2f} %",
        "documents with marked tokens": str(counted["documents_selected"]),
        "tau, the 0.5 quantile": f"{tau:.6g}",
        "tokens above tau": f"{counted['above']:,}",
        "budget": "90%",
        "ranked": "documents, length to the power 0.0",
    }
    [heading] = report.every("h1")
    assert heading.text == f"{counted['selected']:,} tokens marked as toxic"
    [lead] = [paragraph for paragraph in report.every("p") if paragraph.attributes.get("class") == "lead"]
    assert lead.text.startswith(f"of {counted['tokens']:,} in {counted['documents']} documents,\n3 shards of ")
    assert counted["tokens"] > 999 < counted["selected"], "thousands are told apart"


def test_the_documents_are_the_highest_with_their_marks(report: Element, rows: list[dict[str, Any]]) -> None:
    shown, expected = report.every("article"), highest(rows)
    assert len(shown) == len(expected) == HIGHEST < sum(any(row["toxic_mask"]) for row in rows)
    for article, row in zip(shown, expected, strict=True):
        [head], [paragraph] = article.every("header"), article.every("p")
        assert " ".join(head.text.split()) == (
            f"rank {row['toxic_rank']:.4f} · score {row['toxic_score']:.4g} · "
            f"{row['toxic_sparsity']} tokens above tau · {row['shard']}, row {row['row']}"
        )
        text, left_out = row["text"][:MOST_CHARACTERS], len(row["text"]) - MOST_CHARACTERS
        assert paragraph.text == text + (f" … ({left_out:,} more characters)" if left_out > 0 else "")
        spans = [(span["start"], span["end"]) for span in row["toxic_spans"] if span["start"] < MOST_CHARACTERS]
        assert [mark.text for mark in paragraph.every("mark")] == [text[start:end] for start, end in spans]


def test_a_long_text_is_cut(report: Element, rows: list[dict[str, Any]]) -> None:
    [long] = [row for row in rows if len(row["text"]) > MOST_CHARACTERS]
    assert long["toxic_spans"][-1]["end"] > MOST_CHARACTERS, "a mark is cut off too"
    [text] = [p.text for p in report.every("p") if "more characters" in p.text]
    assert text.partition(" … ")[0] == long["text"][:MOST_CHARACTERS]


def test_markup_in_a_text_is_text(run: Run, report: Element) -> None:
    assert sum(article.text.count(MARKUP) for article in report.every("article")) >= HIGHEST - 1
    assert {element.tag for element in report.every("article")[0].walk()} <= {"header", "p", "mark"}
    assert "a <i>& b" in report.every("title")[0].text
    assert "<i>" not in (run.root / "report.html").read_text(encoding="utf-8")


def test_the_report_stands_alone(report: Element) -> None:
    """Nothing is run, and nothing comes from elsewhere."""
    tags = {element.tag for element in report.walk()}
    assert tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form"} == set()
    names = {name for element in report.walk() for name in element.attributes}
    assert names <= {"lang", "charset", "name", "content", "class"}
    [style] = report.every("style")
    assert re.findall(r"url\(|@import|//", style.text) == []


def test_the_columns_are_those_of_the_shards(run: Run, report: Element, card: DatasetCard) -> None:
    """Every column that the corpus did not have, with its type."""
    schema = pq.read_schema(next(run.data.glob("*.parquet")))
    expected = [(field.name, written(field.type)) for field in schema if field.name not in {"id", "text", "meta"}]
    [table] = report.every("table")
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


def test_a_run_that_marks_nothing_says_so(workshop: Workshop, finished: Run, tmp_path: Path) -> None:
    out = workshop.annotate(direction=finished.direction("toxic"), out=tmp_path / "run", budget="0").root
    page = read_html((out / "report.html").read_text(encoding="utf-8"))
    assert page.every("article") == []
    assert [paragraph.text for paragraph in page.every("p")][1:] == ["No token is marked."]
    assert page.every("h1")[0].text == "0 tokens marked as toxic"
    assert "0 tokens in\n0 documents are marked" in (out / "README.md").read_text(encoding="utf-8")
