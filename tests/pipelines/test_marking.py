"""Runs whose tokens are marked otherwise than by influence: the same folders and columns, under their own name."""

from __future__ import annotations

import shutil
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Command
from runs import Workshop, contents, rows_of, write_shards

from ifcurate.errors import InputError
from ifcurate.model.checkpoints import load_tokenizer
from ifcurate.pipelines.run import Run, open_run
from ifcurate.pipelines.steps.run_stage import RunStage
from ifcurate.selection.scores import sidecar_metadata
from ifcurate.selection.table import Selection

MADE = ("annotator", "scores", "selection", "data")


@pytest.fixture(scope="module")
def tokenizer(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tokenizer and no model."""
    folder = tmp_path_factory.mktemp("tokenizer")
    load_tokenizer(str(workshop.root / "model")).save_pretrained(folder)
    return folder


def words_of(workshop: Workshop, tokenizer: Path, out: Path, by: str, **more: object) -> list[str]:
    chosen = {"model": tokenizer, "by": by, "out": out, "workers": 1, **more}
    options = [word for name, value in chosen.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    return ["annotate", str(workshop.root / "corpus"), *options]


def test_a_run_of_bm25_from_its_start_and_stopped(
    workshop: Workshop, tokenizer: Path, command: Command, tmp_path: Path
) -> None:
    queries = Path(shutil.copy(workshop.root / "toxic.jsonl", tmp_path))
    whole = words_of(workshop, tokenizer, tmp_path / "run", "bm25", queries=queries, budget="3%")
    said = command(*whole)
    assert said.code == 0, said.err
    run, _ = open_run(str(tmp_path / "run"))
    selection = Selection.load(run.selection, "toxic")
    assert selection.tokens_selected == selection.budget_tokens == int(0.03 * selection.tokens) > 0
    assert f"tau = {selection.tau:.6g}, just below the {selection.budget_tokens:,} highest of toxic value" in said.out
    facts = sidecar_metadata(next(iter(sorted(run.scores.glob("*.parquet")))))
    assert facts.method == "share of its document's BM25 score against all queries together"
    more = facts.model_extra or {}
    assert (more["engine"], more["unit"]) == ("bm25", "BM25, k1 = 1.2 and b = 0.75")
    assert facts.directions["toxic"].direction_hash is None
    rows = rows_of(run.data)
    assert sum(sum(row["toxic_mask"]) for row in rows) == selection.tokens_selected
    assert {len(row["toxic_influence"]) - len(row["token_ids"]) for row in rows} == {0}
    for page in (run.root / "README.md", run.root / "report.html"):
        text = page.read_text(encoding="utf-8")
        assert facts.method in text.replace("&#39;", "'") and "nats" not in text

    made = contents(run, MADE)
    for file in (run.annotator("toxic"), run.scores / "part-001.parquet", run.selection / "toxic.json"):
        file.unlink()
    shutil.rmtree(run.data)
    assert command(*whole).code == 0
    assert contents(run, MADE) == made and not run.counted.exists()
    written = (run.data / "part-000.parquet").stat().st_mtime_ns
    assert command(*whole).code == 0 and (run.data / "part-000.parquet").stat().st_mtime_ns == written

    for changed, problem in ((["--budget", "2%"], "was made with '3%', not '2%'"), (["--seed", "1"], "--seed")):
        assert problem in command(*whole, *changed).error

    shared = Run(tmp_path / "shared")
    shared.root.mkdir()
    for name in ("run.yaml", "corpus.json"):
        shutil.copy(run.root / name, shared.root)
    for stage, task, tasks in (("direct", 0, 1), ("score", 1, 2), ("score", 0, 2), ("select", 0, 1), ("write", 0, 1)):
        deque(RunStage(str(shared.root), stage).run(None, task, tasks), maxlen=0)
    assert contents(shared, MADE) == made
    queries.write_text('{"text": "another"}\n')
    assert "what bm25 reads has changed since" in command(*whole).error


@pytest.fixture(scope="module")
def given(tokenizer: Path) -> dict[str, Any]:
    """Settings of runs that read no queries."""
    return {"model": tokenizer, **dict.fromkeys(("queries", "contrast", "budget", "quantile", "fit_tokens"))}


@pytest.fixture(scope="module")
def by_words(workshop: Workshop, given: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("words")
    (folder / "list").write_text("vile\nwas rotten\n")
    return workshop.annotate(**given, by="words", words=folder / "list", out=folder / "run")


@pytest.fixture(scope="module")
def at_random(workshop: Workshop, given: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    return workshop.annotate(**given, by="random", seed=3, out=tmp_path_factory.mktemp("random") / "run")


def test_words_need_no_budget(by_words: Run) -> None:
    marked = by_words
    selection = Selection.load(marked.selection, "toxic")
    assert (selection.tau, selection.neighbours, selection.shortfall_reason is None) == (0, 1, False)
    rows = rows_of(marked.data)
    for row in rows:
        hits = {index for index, value in enumerate(row["toxic_influence"]) if value}
        assert {index for index, taken in enumerate(row["toxic_mask"]) if taken} >= hits
    assert {value for row in rows for value in row["toxic_influence"]} == {0.0, 1.0}


def test_shards_and_the_order_of_documents_change_no_random_mark(
    workshop: Workshop, given: dict[str, Any], at_random: Run, tmp_path: Path
) -> None:
    texts = [row["text"] for row in rows_of(at_random.data)]
    corpus = write_shards(tmp_path / "corpus", [texts[40:], texts[:40]])
    other = workshop.annotate(**given, corpus=corpus, by="random", seed=3, out=tmp_path / "run")
    marks = [{row["text"]: row["toxic_influence"] for row in rows_of(run.data)} for run in (at_random, other)]
    assert marks[0] == marks[1]
    assert [Selection.load(run.selection, "toxic").shortfall for run in (at_random, other)] == [0, 0]


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"by": "nonsense"}, "must be one of random, words, bm25, classifier, filter-words"),
        ({"by": "words"}, "--by words needs --words."),
        ({"by": "dda", "of": ["RUN"], "model": "M"}, "--by dda needs --before."),
        (
            {"by": "random", "direction": "D", "queries": None, "contrast": None},
            "--by random does not read --direction",
        ),
        ({"by": "random", "queries": None}, "--by random does not read --contrast; leave it out."),
        (
            {"by": "bm25", "contrast": None, "precision": "bfloat16", "engine": "jvp"},
            "--by bm25 does not read --engine",
        ),
        ({"words": "W"}, "--words is read by --by words, filter-words; give"),
        ({"by": "random", "neighbours": 1}, "--rank-by token selects nothing beside the highest tokens"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(
    workshop: Workshop, wrong: dict[str, object], problem: str
) -> None:
    with pytest.raises(InputError) as refused:
        workshop.config(**{"fit_tokens": None, **wrong})
    assert problem in str(refused.value) and "\n" not in str(refused.value) and str(refused.value).endswith(".")


def test_what_needs_influence_refuses_marks(
    workshop: Workshop, tokenizer: Path, at_random: Run, command: Command, tmp_path: Path
) -> None:
    made = at_random.root
    model = workshop.root / "model"
    assert "no influence" in command("combine", made, made, "--out", tmp_path / "sum").error
    assert "no influence" in command("screen", made, "--out", tmp_path / "screen").error
    assert "has no direction" in command("direct", made).error
    assert "--by: is not planned" in command("plan", workshop.root / "corpus", "--model", model, "--by", "random").error
    dry = words_of(workshop, tokenizer, tmp_path / "dry", "random")
    assert "--by: is not planned" in command(*dry, "--dry-run").error
    missing = words_of(workshop, tmp_path / "none", tmp_path / "x", "random")
    assert "has no tokenizer that can be loaded" in command(*missing).error and not (tmp_path / "x").exists()


def test_other_runs_are_fused_without_model_or_queries(
    workshop: Workshop, tokenizer: Path, at_random: Run, by_words: Run, command: Command, tmp_path: Path
) -> None:
    corpus, runs = str(workshop.root / "corpus"), [at_random.root, by_words.root]
    of = [word for run in runs for word in ("--of", str(run))]
    whole = ["annotate", corpus, "--by", "fuse", *of, "--workers", "1", "--out", str(tmp_path / "fused")]
    assert command(*whole).code == 0
    fused, config = open_run(str(tmp_path / "fused"))
    assert config.model == str(tokenizer)
    sources = [np.concatenate([row["toxic_influence"] for row in rows_of(run / "data")]) for run in runs]
    ranks = [
        (np.searchsorted(np.sort(own), own) + np.searchsorted(np.sort(own), own, side="right")) / 2 for own in sources
    ]
    found = np.concatenate([row["toxic_influence"] for row in rows_of(fused.data)])
    assert found == pytest.approx(np.mean(ranks, axis=0) / len(found), rel=1e-6)
    made = contents(fused, MADE)
    for folder in ("annotator", "scores"):
        shutil.rmtree(fused.root / folder)
    assert command(*whole).code == 0 and contents(fused, MADE) == made

    one = ["annotate", corpus, "--by", "influence-documents", "--of", str(runs[1]), "--out", str(tmp_path / "sums")]
    assert command(*one, "--workers", "1").code == 0
    sums = [row["toxic_influence"] for row in rows_of(tmp_path / "sums" / "data")]
    assert [set(own) for own in sums] == [
        {sum(row["toxic_influence"])} if row["token_ids"] else set() for row in rows_of(by_words.data)
    ]

    debiased = ["annotate", corpus, "--by", "dda", "--of", str(runs[0]), "--before"]
    more = ["--workers", "1", "--budget", "2%", "--quantile", "0.9", "--out", str(tmp_path / "dda")]
    assert "option --before: the values of" in command(*debiased, str(runs[1]), *more).error, "of another unit"
    third = words_of(workshop, tokenizer, tmp_path / "third", "random", seed=9)
    assert command(*third).code == 0
    said = command(*debiased, str(tmp_path / "third"), *more)
    assert said.code == 0, said.err
    before = np.concatenate([row["toxic_influence"] for row in rows_of(tmp_path / "third" / "data")])
    found = np.concatenate([row["toxic_influence"] for row in rows_of(tmp_path / "dda" / "data")])
    assert found == pytest.approx(sources[0] - before, abs=1e-6)

    shutil.copytree(tokenizer, tmp_path / "later")
    at = ("--by", "random", "--seed", "8", "--model", tmp_path / "later", "--out", tmp_path / "of-later")
    assert command("annotate", corpus, *at, "--workers", "1").code == 0
    two = ["annotate", corpus, "--by", "dda", "--of", str(tmp_path / "of-later"), "--before", str(runs[0])]
    said = command(*two, "--workers", "1", "--budget", "2%", "--quantile", "0.9", "--out", str(tmp_path / "later-dda"))
    assert said.code == 0, "checkpoints are other models, with the same tokens"
    assert open_run(str(tmp_path / "later-dda"))[1].model == str(tmp_path / "later")

    smaller = write_shards(tmp_path / "smaller", [["The river was kind.", "a vile text"]])
    other = ("--by", "random", "--model", tokenizer, "--out", tmp_path / "other", "--workers", "1")
    assert command("annotate", smaller, *other).code == 0
    for given, problem in (
        ([corpus, "--of", runs[0], "--of", tmp_path / "other"], "has no scores of shard"),
        ([smaller, "--of", tmp_path / "other", "--of", runs[0]], "is of other texts"),
        ([corpus, *of, "--behaviour", "rude"], "has no values of 'rude', only of toxic"),
        ([corpus, *of, "--model", workshop.root / "model"], "leave out --model"),
        ([corpus, "--of", tmp_path / "none", "--of", runs[0]], "is not a run"),
    ):
        refused = command("annotate", *map(str, given), "--by", "fuse", "--out", str(tmp_path / "refused"))
        assert problem in refused.error and not (tmp_path / "refused").exists()


def test_cosines_are_the_same_on_all_tokens_of_a_document(
    workshop: Workshop, given: dict[str, Any], tmp_path: Path
) -> None:
    sides = {"queries": workshop.root / "toxic.jsonl", "contrast": workshop.root / "safe.jsonl"}
    settings = {**given, **sides, "model": workshop.root / "model", "budget": "3%"}
    run = workshop.annotate(**settings, by="less", out=tmp_path / "run")
    rows = [row for row in rows_of(run.data) if row["token_ids"]]
    assert all(len(set(row["toxic_influence"])) == 1 and abs(row["toxic_influence"][0]) <= 1 for row in rows)
    assert len({row["toxic_influence"][0] for row in rows}) > len(rows) / 2
    made = contents(run, MADE)
    shutil.rmtree(run.scores)
    workshop.annotate(**settings, by="less", out=tmp_path / "run")
    assert contents(run, MADE) == made
