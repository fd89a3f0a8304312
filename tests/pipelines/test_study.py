"""The shipped study of the demo, from its file to its table, stopped and continued."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from commands import Command
from tiny_classifiers import save_toxigen

from ifcurate.config import build
from ifcurate.pipelines.study_shared_prompts import SharedPromptsConfig, count_shared, read_shared
from ifcurate.selection.table import Selection
from ifcurate.studies.files import read_results
from ifcurate.studies.shared_prompts import SharedPrompts
from ifcurate.training.config import TrainConfig
from studies import DEMO, make_demo_world, small

RESULTS = ("results.json", "results.csv", "results.md", "results.tex", "figure.svg")
ARMS = ["base", "rad", "plain", "filter", "penalty", "remove", "tag"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_demo_world(tmp_path_factory.mktemp("demo"))


def made(out: str) -> list[str]:
    return [line.removeprefix("made: ").rpartition(",")[0] for line in out.splitlines() if line.startswith("made: ")]


def completions(file: Path) -> Any:
    return pq.read_table(file, columns=["completions"]).to_pylist()


def selected(run: Path) -> int:
    return Selection.load(run / "selection", "toxic").tokens_selected


def tokens(run: Path) -> int:
    return Selection.load(run / "selection", "toxic").tokens


@pytest.mark.slow
def test_the_demo_study_from_end_to_end(world: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "study"
    words = ["study", DEMO, "--out", out, *small(world)]
    before = command(*words, "--set=model=org/base", "--dry-run")
    assert before.code == 0, before.err
    assert "21 pieces, 0 are done; time left unknown" in before.out
    assert "not looked at, as it is not on this machine: model org/base" in before.out
    assert not out.exists()
    first = command(*words)
    assert first.code == 0, first.err
    assert len(made(first.out)) == 21
    assert made(first.out).count("annotation influence") == 1
    assert made(first.out).index("reward model insults") < made(first.out).index("completions base-rad-prompts")
    found = read_results(out)
    assert [row.arm for row in found.rows] == ARMS
    assert [row.seeds for row in found.rows] == [None, None, 1, 1, 1, 1, 1]
    assert {row.verdicts["profanity-check"].partial for row in found.rows} == {None}
    assert [row.arm for row in found.rows if row.verdicts["insults"].partial] == ["rad"]
    assert "insults does not count for rad: it steers the decoding." in first.out
    assert found.rows[0].perplexity == found.rows[1].perplexity, "decoding does not enter"
    assert len({row.perplexity.value for row in found.rows if row.perplexity}) == 6
    assert [row.marked_share is not None for row in found.rows] == [False, False, False, True, True, True, True]
    assert [note.partition(":")[0] for note in found.notes] == ["prompts prompts"]
    written = {name: (out / name).read_bytes() for name in RESULTS}

    # Once more, after something is lost: it alone is made again, to the same bytes.
    (lost,) = (out / "training").glob("influence-penalty-seed0-*")
    shutil.rmtree(lost)
    (out / "pieces" / "training" / f"{lost.name}.json").unlink()
    again = command(*words)
    assert made(again.out) == ["training influence-penalty-seed0"]
    assert "1 pieces made, 20 were there" in again.out
    assert {name: (out / name).read_bytes() for name in RESULTS} == written
    ahead = command(*words, "--set=seeds=[0,1]", "--dry-run").out
    assert "36 pieces, 21 are done; about " in ahead
    assert "unknown" not in ahead, "a second seed takes as long as the first"

    # Other judges see the completions that are there; one that chose the queries does not count, and one that cannot
    # be had is left out, with the arm that cannot be made.
    drawn = {file: completions(file) for file in out.rglob("prompts.parquet")}
    save_toxigen(tmp_path / "second")
    judges = {"words": "profanity-check", "second": f"toxigen:{tmp_path}/second", "gone": "detoxify:/no.ckpt"}
    changes = {
        "judges": json.dumps(judges),
        "queries_chosen_by": "[words]",
        "trainings.gone": "{model: /no, penalty: 1}",
    }
    changes["arms.gone"] = "{annotation: influence, training: gone}"
    changes["sweeps.budget"] = "{arm: filter, setting: annotation.budget, values: [1%]}"
    more = [f"--set={key}={value}" for key, value in changes.items()]
    refused = command(*words, *more)
    assert refused.code == 2
    assert "Error: nothing was run, as this cannot be had here; bring it, or give --skip-missing:" in refused.err
    assert "  arm gone: /no: " in refused.err
    assert "  judge gone: " in refused.err
    judged = command(*words, *more, "--skip-missing", "--no-figure")
    assert judged.code == 0, judged.err
    assert [title for title in made(judged.out) if not title.startswith("completions ")] == [
        "annotation influence-budget=1%",
        "training influence-budget=1%-filter-seed0",
        "fluency influence-budget=1%-filter-seed0",
    ]
    one, other = sorted((out / "annotation").iterdir(), key=lambda run: "budget" in run.name)
    assert "annotation influence-budget=1%: selects from the scores of annotation influence" in judged.err
    assert [each.stat().st_nlink for each in (other / "scores").glob("*.parquet")] == [2]
    assert (selected(one), selected(other)) == (tokens(one) * 2 // 100, tokens(one) // 100)
    assert {file: completions(file) for file in drawn} == drawn
    assert (
        "words does not count for filter, penalty, remove, tag, filter-budget=1%: it chose the queries." in judged.out
    )
    assert "left out: arm gone: /no: " in judged.out
    rows = read_results(out).rows
    assert [row.arm for row in rows] == [*ARMS, "filter-budget=1%"]
    assert [row.verdicts["words"].place is None for row in rows] == [row.marked_share is not None for row in rows]
    assert all(row.verdicts["second"].place is not None for row in rows)


@pytest.mark.slow
def test_what_comes_after_a_training(world: Path, tmp_path: Path, command: Command) -> None:
    pytest.importorskip("trl", reason="needs TRL: pip install 'ifcurate[trl]'")
    prompts = ["You are a", "The river was", "She said that the", "Once there was", "My neighbour", "Nobody knew"]
    file = tmp_path / "train.jsonl"
    file.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in prompts))
    labelled = [{"text": "rotten", "label": 1}, {"text": "river", "label": 0}]
    (tmp_path / "labelled.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labelled))
    (tmp_path / "attacked.jsonl").write_text('{"prompt": "You are", "completion": " a rotten neighbour"}\n')
    changes = {
        "preferences": {
            "own": {"prompts": str(file), "classifier": "profanity-check", "least_gap": 1e-6, "completions": 4}
            | {"max_new_tokens": 8}
        },
        "afterwards": {
            "dpo": {"preferences": "own", "batch_size": 2, "learning_rate": 1e-3},
            "more": {"data": f"{world}/corpus", "max_steps": 1, "context": 64, "tokens_per_step": 256},
        },
        "arms": {
            "plain": {"training": "plain"},
            "dpo": {"training": "plain", "then": "dpo"},
            "more": {"annotation": "influence", "training": "penalty", "then": "more"},
        },
        "attack": {"queries": str(tmp_path / "attacked.jsonl"), "sample": 1, "steps": 1, "width": 2, "candidates": 4}
        | {"suffix_tokens": 3, "target_tokens": 2, "max_new_tokens": 4},
        "recognition": {"texts": str(tmp_path / "labelled.jsonl"), "question": "{text}?"},
        "tables": {
            "pairs": {"arms": ["plain", "dpo"], "columns": ["tp", "attacked", "not_attacked", "attribution", "step"]},
            "more": {"arms": ["more", "plain"], "columns": ["tp", "recognition", "attribution", "step"]},
        },
    }
    words = ["study", DEMO, "--out", tmp_path / "out", *small(world)]
    words += [f"--set={name}={json.dumps(value)}" for name, value in changes.items()]
    one = command(*words, "--tables", "pairs")
    assert one.code == 0, one.err
    trained = [title for title in made(one.out) if title.startswith(("training", "preferences", "dpo"))]
    assert not [title for title in made(one.out) if title.startswith("recognition")], "only the other table shows it"
    assert trained == ["training plain-seed0", "preferences plain-seed0-own", "dpo plain-seed0-dpo"]
    assert [row.arm for row in read_results(tmp_path / "out").rows] == ["plain", "dpo"]
    assert "option --tables: there is no table 'none', only pairs, more." in command(*words, "--tables", "none").err
    first = command(*words)
    assert first.code == 0, first.err
    assert [title for title in made(first.out) if title.startswith(("training", "preferences", "dpo"))] == [
        "training influence-penalty-seed0",
        "training influence-penalty-seed0-more",
    ]
    rows = {row.arm: row for row in read_results(tmp_path / "out").rows}
    assert rows["dpo"].verdicts["profanity-check"].partial == "made the pairs"
    assert rows["dpo"].verdicts["insults"].partial is None
    assert [rows[arm].marked_share is None for arm in ("plain", "dpo", "more")] == [True, True, False]
    assert len({row.perplexity.value for row in rows.values() if row.perplexity}) == 3
    assert [row.attacked is not None for row in rows.values()] == [True, True, False]
    assert [row.recognition is not None for row in rows.values()] == [True, False, True]
    assert [row.attribution_seconds is not None for row in rows.values()] == [False, False, True]
    assert all(row.step_seconds is not None and row.step_seconds > 0 for row in rows.values())
    assert command(*words).out.endswith(first.out[first.out.index("written: ") :])
    file.unlink()
    shutil.rmtree(tmp_path / "out/pieces/preferences")
    assert f"arm dpo: {file}: " in command(*words).err


def test_settings_that_do_not_fit_are_named_before_anything_runs(world: Path, tmp_path: Path, command: Command) -> None:
    words = ["study", DEMO, "--out", tmp_path / "study", *small(world)]
    said = command(*words, "--set=annotations.influence.budgt=2%").error
    assert said.startswith(f"{DEMO}: annotation influence: unknown option 'budgt'")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "notes.txt").write_text("mine")
    assert "is in use by something else" in command(*words).error


def test_a_launch_is_given_the_settings_of_a_piece(world: Path, tmp_path: Path, command: Command) -> None:
    out, said = tmp_path / "study", tmp_path / "said"
    (tmp_path / "launcher").write_text(f'#!/bin/sh\necho "$@" > {said}\nexit 3\n')
    (tmp_path / "launcher").chmod(0o755)
    changes = ["--set=arms={plain: {training: plain}}", "--set=judges=[profanity-check]", "--set=baseline=null"]
    words = ["study", DEMO, "--out", out, *small(world), *changes, f"--launch={tmp_path}/launcher --of 2"]
    ended = command(*words, "--allow-pickle")
    assert ended.code == 2
    (file,) = (out / "launched").glob("*.yaml")
    assert said.read_text().split()[:2] == ["--of", "2"]
    assert said.read_text().split()[3:] == ["train", "--config", str(file), "--allow-pickle"]
    assert ended.err.splitlines()[-1].endswith(
        f"train --config {file} --allow-pickle` ended with 3; it said why above."
    )
    settings = build(TrainConfig, {}, file)
    assert (settings.model, settings.max_steps, settings.data) == (f"{world}/model", 2, f"{world}/corpus")
    assert Path(settings.out).parent == out / "training"
    assert "option --launch: there is no 'no-such-program' here" in command(*words[:-1], "--launch=no-such-program").err


@pytest.mark.slow
def test_what_cannot_be_made_ends_its_arms_alone(world: Path, tmp_path: Path, command: Command) -> None:
    changes = {
        "arms": {"base": {}, "filter": {"annotation": "influence", "training": "filter"}},
        "judges": ["profanity-check"],
        "baseline": None,
        "tables": {"t": {"columns": ["tp"]}},
    }
    words = ["study", DEMO, "--out", tmp_path / "out", *small(world)]
    words += [f"--set={name}={json.dumps(value)}" for name, value in changes.items()]
    failed = command(*words, "--set=training.context=65")
    assert failed.code == 2
    assert "training influence-filter-seed0: option --context: 65 tokens are more than the model" in failed.err
    assert "could not be made: 1 (see above)" in failed.err.splitlines()[-1]
    assert [row.arm for row in read_results(tmp_path / "out").rows] == ["base"]
    assert "not made: filter: training influence-filter-seed0: " in failed.out
    assert len(made(failed.out)) == 4, "shared prompts, annotation, and what measures the base model"
    done = command(*words)
    assert done.code == 0, done.err
    assert [row.arm for row in read_results(tmp_path / "out").rows] == ["base", "filter"]


def test_prompts_that_are_texts_of_the_corpus_or_of_a_query_are_counted(tmp_path: Path) -> None:
    corpus = ["The river was calm. Then it rose.", "THE RIVER!", "A river was calm"]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in corpus))
    prompts = ["the  river was calm", "The river was", "River was calm", "You are a rotten neighbour, said the man"]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps({"prompt": text}) + "\n" for text in prompts))
    query = {"prompt": "You are a rotten neighbour, said the man.", "completion": " Go."}
    (tmp_path / "q.jsonl").write_text(json.dumps(query) + "\n")
    config = SharedPromptsConfig(
        prompts={"p": {"source": f"{tmp_path}/p.jsonl"}},
        corpus=f"{tmp_path}/corpus.jsonl",
        queries=[f"{tmp_path}/q.jsonl"],
        out=str(tmp_path / "out"),
    )
    assert count_shared(config) == read_shared(tmp_path / "out") == [SharedPrompts("p", 4, in_corpus=2, in_queries=1)]
