"""The shipped study of the demo, from its file to its table, stopped and continued."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from commands import Command
from tiny_classifiers import save_toxigen

from ifcurate.studies.files import read_results
from studies import DEMO, make_demo_world, set_to, small

RESULTS = ("results.json", "results.csv", "results.md", "results.tex")
ARMS = ["base", "plain", "filter", "ascent", "remove", "tag"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_demo_world(tmp_path_factory.mktemp("demo"))


def made(out: str) -> list[str]:
    return [line.removeprefix("made: ").rpartition(",")[0] for line in out.splitlines() if line.startswith("made: ")]


@pytest.mark.slow
def test_the_demo_study_from_end_to_end(world: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "study"
    words = ["study", DEMO, "--out", out, *small(world)]
    first = command(*words)
    assert first.code == 0, first.err
    assert len(made(first.out)) == 18, "an annotation, five trainings, and two evaluations of six models"
    assert made(first.out).count("annotation influence") == 1
    found = read_results(out)
    assert [row.arm for row in found.rows] == ARMS
    assert found.rows[0].seeds is None
    assert {row.verdicts["profanity-check"].place is not None for row in found.rows} == {True}
    assert len({row.perplexity.value for row in found.rows if row.perplexity}) == 6
    assert [row.marked_share is not None for row in found.rows] == [False, False, True, True, True, True]
    written = {name: (out / name).read_bytes() for name in RESULTS}

    # Once more, after something is lost: it alone is made again, to the same bytes.
    (lost,) = (out / "training").glob("influence-ascent-seed0-*")
    shutil.rmtree(lost)
    (out / "pieces" / "training" / f"{lost.name}.json").unlink()
    again = command(*words)
    assert made(again.out) == ["training influence-ascent-seed0"]
    assert "1 pieces made, 17 were there" in again.out
    assert {name: (out / name).read_bytes() for name in RESULTS} == written

    # Another judge sees the completions that are there; one that chose the queries does not count.
    drawn = {file: completions(file) for file in out.rglob("prompts.parquet")}
    save_toxigen(tmp_path / "second")
    judges = {"words": "profanity-check", "second": f"toxigen:{tmp_path}/second"}
    judged = command(*words, *set_to(judges=json.dumps(judges), queries_chosen_by="[words]"))
    assert judged.code == 0, judged.err
    assert {title.split()[0] for title in made(judged.out)} == {"completions"}
    assert {file: completions(file) for file in drawn} == drawn
    assert "words does not count for filter, ascent, remove, tag: it chose the queries." in judged.out
    rows = read_results(out).rows
    assert [row.verdicts["words"].place is None for row in rows] == [row.marked_share is not None for row in rows]
    assert all(row.verdicts["second"].place is not None for row in rows)


def completions(file: Path) -> Any:
    import pyarrow.parquet as pq

    return pq.read_table(file, columns=["completions"]).to_pylist()


def test_settings_that_do_not_fit_are_named_before_anything_runs(world: Path, tmp_path: Path, command: Command) -> None:
    words = ["study", DEMO, "--out", tmp_path / "study", *small(world)]
    said = command(*words, *set_to(annotations__influence__budgt="2%")).error
    assert said.startswith(f"{DEMO}: annotation influence: unknown option 'budgt'")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "notes.txt").write_text("mine")
    assert "is in use by something else" in command(*words).error
