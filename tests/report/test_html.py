"""The report, read as a page: what it says is what the run holds, and nothing in a text can become a part of it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from commands import Command
from comparisons import write_small_comparison
from html_tree import Element, read_html
from scored_runs import DrawnCorpus

from ifcurate.errors import InputError
from ifcurate.pipelines.report import REPORT_FILE, report
from ifcurate.pipelines.report_config import ReportConfig
from ifcurate.pipelines.run import Run
from ifcurate.report.excerpt import MOST_TOKENS
from ifcurate.report.html import embedded
from ifcurate.report.ranked import AT_CUT, HIGHEST
from ifcurate.selection.table import Selection

MARKUP = '<script>alert("1 & 2")</script> &amp; </p></mark> <!-- \u2028 \u202e vile'


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    texts = [MARKUP, "vile ugly rotten foul " * 30, " ".join(f"calm{number} vile" for number in range(300))]
    corpus = DrawnCorpus.draw(150, behaviours=("rude", "toxic"), first_texts=texts)
    return corpus.write(tmp_path_factory.mktemp("a <i>& b"), quantile=0.95, budget="2%")


@pytest.fixture(scope="module")
def tree(run: Run) -> Element:
    return read_html((run.root / REPORT_FILE).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(tree: Element) -> dict[str, Any]:
    return page_of(tree)


@pytest.fixture(scope="module")
def rows(run: Run) -> list[dict[str, Any]]:
    """Every document with its shard and its row there."""
    return [
        {**row, "shard": file.stem, "row": number}
        for file in sorted(run.data.glob("*.parquet"))
        for number, row in enumerate(pq.read_table(file).to_pylist())
    ]


def page_of(tree: Element) -> dict[str, Any]:
    [data] = [script for script in tree.every("script") if script.attributes.get("id") == "data"]
    return dict(json.loads(data.text))


def text_of(shown: dict[str, Any]) -> str:
    return "".join(piece if isinstance(piece, str) else piece[0] + piece[1] for piece in shown["pieces"])


def test_the_counts_are_those_of_the_columns(run: Run, page: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    quantile, budget = page["own"]
    assert page["corpus"] == {"tokens": sum(len(row["toxic_mask"]) for row in rows), "documents": len(rows)}
    assert page["quantiles"][quantile] == 0.95 and page["budgets"][budget]["given"] == "2%"
    for part in page["behaviours"]:
        mask, name = f"{part['name']}_mask", part["name"]
        assert part["tokens"][quantile][budget] == part["selected"] == sum(sum(row[mask]) for row in rows)
        assert part["documents"][quantile][budget] == sum(any(row[mask]) for row in rows)
        assert part["above"][quantile] == sum(row[f"{name}_sparsity"] for row in rows)
        assert part["taus"][quantile] == pytest.approx(Selection.load(run.selection, name).tau)
        assert sum(part["histogram"]["counts"]) == page["corpus"]["tokens"]
        cells = part["scatter"]["cells"]
        assert sum(cell[2] for cell in cells) == len(rows) - part["scatter"]["without"]
        assert sum(cell[3] for cell in cells) <= part["documents"][quantile][budget]


def test_shares_are_those_of_the_columns(page: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    quantile, budget = page["own"]
    names = [column["name"] for column in page["columns"]]
    assert names == ["meta.source", "meta.year", "shard"]
    assert page["too_many_values"] == ["url"]
    for number, value in enumerate(names):
        for part in page["behaviours"]:
            selected: dict[str, int] = {}
            for row in rows:
                group = str(row["meta"][value[5:]] if value.startswith("meta.") else row["shard"])
                selected[group] = selected.get(group, 0) + sum(row[f"{part['name']}_mask"])
            found = part["groups"][number][quantile][budget]
            values = [each["name"] for each in page["columns"][number]["values"]]
            assert dict(zip(values, found, strict=True)) == selected


def test_more_budget_never_takes_away(page: dict[str, Any]) -> None:
    for part in page["behaviours"]:
        for counts in (part["tokens"], part["documents"], *part["groups"]):
            assert (np.diff(np.array(counts), axis=1) >= 0).all()
        assert part["tokens"][0][-1] == part["reach"][0], "all of the corpus is budget enough"


def test_the_documents_are_the_highest_and_those_at_the_cut(page: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    part = page["behaviours"][1]
    ranked = sorted(rows, key=lambda row: (-row["toxic_rank"], row["shard"], row["row"]))
    shown = [(document["shard"], document["row"]) for document in part["shown"]]
    assert shown[:HIGHEST] == [(row["shard"], row["row"]) for row in ranked[:HIGHEST]]
    assert [document["number"] for document in part["shown"]] == sorted(d["number"] for d in part["shown"])
    numbered = list(enumerate(ranked, 1))
    last = [number for number, row in numbered if any(row["toxic_mask"])][-AT_CUT:]
    after = [number for number, row in numbered if row["toxic_rank"] > 0 and not any(row["toxic_mask"])][:AT_CUT]
    assert {document["number"] for document in part["shown"]} == {*range(1, HIGHEST + 1), *last, *after}
    for document in part["shown"]:
        row = ranked[document["number"] - 1]
        assert (row["shard"], row["row"]) == (document["shard"], document["row"])
        assert len(row["toxic_mask"]) == document["tokens"]
        assert document["labels"] == [row["meta"]["source"], str(row["meta"]["year"]), row["shard"]]


def test_texts_are_shown_whole_with_their_scores(page: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    by_place = {(row["shard"], row["row"]): row for row in rows}
    for document in page["behaviours"][1]["shown"]:
        row = by_place[document["shard"], document["row"]]
        first, last = document["before"], len(row["toxic_influence"]) - document["after"]
        assert (first, last) == (0, document["tokens"]) or MOST_TOKENS <= last - first <= MOST_TOKENS + 2
        assert document["influence"] == [float(f"{value:.4g}") for value in row["toxic_influence"][first:last]]
        assert (
            len(document["loss"])
            == last - first
            == sum(1 if isinstance(piece, str) else piece[2] for piece in document["pieces"])
        )
        text = row["text"].replace("\u2028", "\\u2028").replace("\u202e", "\\u202e")
        assert text_of(document) == text if document["tokens"] <= MOST_TOKENS else text_of(document) in text


def test_a_document_of_repetitions_is_named(page: dict[str, Any]) -> None:
    for part in page["behaviours"]:
        assert part["looked_at"] > HIGHEST
        named = {(document["shard"], document["row"]) for document in part["repeated"]}
        assert named == {("part-000", 1)}


def test_nothing_of_a_text_is_a_part_of_the_page(run: Run, tree: Element) -> None:
    assert MARKUP[:30] in "".join(text_of(each) for each in page_of(tree)["behaviours"][0]["shown"])
    source = (run.root / REPORT_FILE).read_text(encoding="utf-8")
    assert "alert(" in source and "<script>alert" not in source and "<i>" not in source
    assert "a <i>& b" in tree.every("title")[0].text


def test_the_page_stands_alone_and_runs_its_own_script_only(run: Run, tree: Element) -> None:
    tags = {element.tag for element in tree.walk()}
    assert tags & {"img", "iframe", "object", "embed", "base"} == set()
    assert [link.attributes for link in tree.every("link")] == [{"rel": "icon", "href": "data:,"}]
    assert all("src" not in script.attributes for script in tree.every("script"))
    [style] = tree.every("style")
    assert re.findall(r"url\(|@import|//", style.text) == []
    [policy] = [meta for meta in tree.every("meta") if "http-equiv" in meta.attributes]
    for part in (style.text, tree.every("script")[1].text):
        digest = base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in str(policy.attributes["content"])
    assert "https:" not in style.text and "fetch(" not in tree.every("script")[1].text


def test_the_same_run_gives_the_same_bytes(run: Run) -> None:
    before = (run.root / REPORT_FILE).read_bytes()
    assert report(ReportConfig(run=str(run.root))) == run.root / REPORT_FILE
    assert (run.root / REPORT_FILE).read_bytes() == before


def test_columns_can_be_chosen(run: Run) -> None:
    report(ReportConfig(run=str(run.root), columns=["meta.year", "url"]))
    page = page_of(read_html((run.root / REPORT_FILE).read_text(encoding="utf-8")))
    assert [column["name"] for column in page["columns"]] == ["meta.year", "url"]
    assert page["columns"][1]["values"][-1]["name"] == "140 other values"
    report(ReportConfig(run=str(run.root)))


def test_an_evaluation_is_shown_from_the_run_or_from_where_it_is(
    run: Run, page: dict[str, Any], tmp_path: Path
) -> None:
    assert page["evaluation"] is None
    written = write_small_comparison(tmp_path)
    for folder in (None, run.root / "evaluation"):
        if folder is not None:
            write_small_comparison(folder)
        report(ReportConfig(run=str(run.root), evaluation=None if folder else str(tmp_path)))
        shown = page_of(read_html((run.root / REPORT_FILE).read_text(encoding="utf-8")))["evaluation"]
        assert [row[0] for row in shown["rows"]] == [row.model for row in written.rows]
        assert all(len(row) == len(shown["headings"]) for row in shown["rows"])
        assert [row[-2:] for row in shown["differences"]] == [["-0.400 [-0.500, -0.300]", "-0.300 [-0.400, -0.200]"]]
        [panel] = shown["panels"]
        assert panel["name"] == "held_out, words"
        assert panel["points"][1] == {
            "model": "after",
            "x": pytest.approx([32.5, 29.25, 35.75]),
            "y": pytest.approx([0.2, 0.18, 0.22]),
        }
    shutil.rmtree(run.root / "evaluation")
    report(ReportConfig(run=str(run.root)))


def test_what_is_asked_for_and_not_there_is_refused(run: Run, command: Command, tmp_path: Path) -> None:
    assert "no shard has a column 'colour'" in command("report", run.root, "--columns", "colour").error
    assert "holds no comparison" in command("report", run.root, "--evaluation", tmp_path).error
    assert "is not a run" in command("report", tmp_path).error


def test_a_run_that_is_not_written_is_refused(run: Run) -> None:
    moved = run.data / "part-001.parquet"
    kept = moved.read_bytes()
    moved.unlink()
    with pytest.raises(InputError, match=r"part-001.parquet: is missing, .* run `ifcurate write"):
        report(ReportConfig(run=str(run.root)))
    moved.write_bytes(kept)


def test_a_run_that_marks_nothing_shows_its_documents(tmp_path: Path) -> None:
    made = DrawnCorpus.draw(12).write(tmp_path, budget="0")
    page = page_of(read_html((made.root / REPORT_FILE).read_text(encoding="utf-8")))
    [part] = page["behaviours"]
    assert page["own"][1] == 0 and part["selected"] == 0 and part["tokens"][0][0] == 0
    assert 0 < len(part["shown"]) <= 12


@pytest.mark.parametrize(
    ("chosen", "options"),
    [
        ({"rank_by": "token", "neighbours": 0, "budget": "3%"}, "--rank-by token --neighbours 0 --budget 3%"),
        ({"threshold": 2.5, "budget": "100%"}, "--threshold 2.5 --budget 100%"),
    ],
)
def test_a_run_whose_tau_is_no_quantile_shows_its_own_choice(
    tmp_path: Path, chosen: dict[str, Any], options: str
) -> None:
    made = DrawnCorpus.draw(40, behaviours=("rude", "toxic")).write(tmp_path, **chosen)
    page = page_of(read_html((made.root / REPORT_FILE).read_text(encoding="utf-8")))
    masks = {row: mask for file in sorted(made.data.glob("*.parquet")) for row, mask in _masks(file)}
    assert (page["quantiles"], page["own"], page["chosen"]) == (["none"], [0, 0], options)
    for part in page["behaviours"]:
        selection = Selection.load(made.selection, part["name"])
        assert part["tokens"] == [[selection.tokens_selected]] and part["selected"] == selection.tokens_selected > 0
        assert part["taus"] == [selection.tau] and part["above"] == [selection.tokens_above_tau]
        for shown in part["shown"]:
            marked = masks[part["name"], shown["shard"], shown["row"]][shown["before"] :]
            assert [letter != "." for letter in shown["takes"][0]] == marked[: len(shown["takes"][0])]


def _masks(file: Path) -> list[tuple[tuple[str, str, int], list[bool]]]:
    rows = enumerate(pq.read_table(file).to_pylist())
    return [((name, file.stem, number), row[f"{name}_mask"]) for number, row in rows for name in ("rude", "toxic")]


def test_json_in_html_ends_no_element() -> None:
    text = embedded({"a": "</script><!--<script>&\u2028\u2029"})
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {"a": "</script><!--<script>&\u2028\u2029"}
