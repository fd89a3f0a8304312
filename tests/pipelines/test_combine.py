"""Runs with several checkpoints of a model, added up under one behaviour."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from commands import Command
from runs import ARTIFACTS, Workshop, contents, rows_of, texts
from tiny_models import save_tiny_model

from ifcurate.annotation.provenance import provenance_of
from ifcurate.corpus.shards import list_shards, open_shard
from ifcurate.influence.direction import Direction, hash_direction, load_direction, save_direction
from ifcurate.model.checkpoints import load_causal_lm, load_tokenizer
from ifcurate.model.hashes import hash_model, hash_tokenizer
from ifcurate.pipelines.run import Run

SCORED = ("run.yaml", "corpus.json", "scores")


@dataclass(frozen=True)
class Checkpoints:
    """Runs over the workshop's corpus with two checkpoints, which share a tokenizer, and one with another."""

    first: Run
    second: Run
    foreign: Run

    def command(self, out: Path) -> tuple[str | Path, ...]:
        return ("combine", self.first.root, self.second.root, "--out", out)


@pytest.fixture(scope="module")
def checkpoints(workshop: Workshop, finished: Run, tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    folder = tmp_path_factory.mktemp("checkpoints")

    def scored(name: str, documents: int) -> Run:
        """A run with a checkpoint and a direction of its own, which is the finished run's moved to other weights."""
        path = save_tiny_model(folder / f"{name}-model", texts(documents), "llama", seed=1)
        hashes = {
            "model_hash": hash_model(load_causal_lm(str(path))),
            "tokenizer_hash": hash_tokenizer(load_tokenizer(str(path))),
        }
        made = load_direction(finished.direction("toxic"))
        direction = folder / f"{name}.safetensors"
        save_direction(Direction(made.tensors, {**made.provenance, **hashes}), direction)
        return workshop.annotate(model=path, direction=str(direction), engine="jvp", out=folder / name)

    return Checkpoints(finished, scored("second", 60), scored("foreign", 30))


def copied(run: Run, folder: Path) -> Path:
    folder.mkdir()
    for name in SCORED:
        source = run.root / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    return folder


def test_the_column_is_the_sum_of_the_columns(
    workshop: Workshop, checkpoints: Checkpoints, tmp_path: Path, command: Command
) -> None:
    out = tmp_path / "sum"
    done = command(*checkpoints.command(out))
    assert done.code == 0, done.err
    for name in ("select", "write"):
        done = command(name, out)
        assert done.code == 0, done.err
    every = [rows_of(run.data) for run in (Run(out), checkpoints.first, checkpoints.second)]
    for summed, one, other in zip(*every, strict=True):
        assert summed["token_ids"] == one["token_ids"] == other["token_ids"]
        expected = np.array(one["toxic_influence"]) + np.array(other["toxic_influence"])
        assert np.allclose(summed["toxic_influence"], expected, rtol=1e-6, atol=0)
    assert [row["toxic_mask"] for row in every[0]] != [row["toxic_mask"] for row in every[1]]

    shard = list_shards(str(Run(out).data))[0]
    said = provenance_of(shard, open_shard(shard).schema)["toxic"]
    models = [str(workshop.root / "model"), str(checkpoints.second.root.parent / "second-model")]
    hashes = [hash_direction(run.direction("toxic")) for run in (checkpoints.first, checkpoints.second)]
    assert [one["model"] for one in said["checkpoints"]] == models
    assert [one["direction_hash"] for one in said["checkpoints"]] == hashes
    assert said["direction_hash"] not in hashes
    assert f"behaviour of `{' + '.join(models)}`" in (out / "README.md").read_text()
    assert "combined.json" in (out / "README.md").read_text()
    named = json.loads((out / "combined.json").read_text())["runs"]
    assert [one["run"] for one in named] == [str(run.root) for run in (checkpoints.first, checkpoints.second)]


def test_it_is_taken_up_where_it_was_stopped(checkpoints: Checkpoints, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "sum"
    words = checkpoints.command(out)
    assert command(*words).code == 0
    made = contents(out)
    lost, kept = sorted((out / "scores").glob("*.parquet"))[:2]
    before = kept.stat().st_mtime_ns
    lost.unlink()
    (out / "run.yaml").unlink()
    assert command(*words).code == 0
    assert contents(out) == made
    assert kept.stat().st_mtime_ns == before
    assert command(*words[:1], *words[2:0:-1], *words[3:]).error.startswith(f"option --out: {out} was made from other")
    assert command(*words, "--overwrite").code == 0
    assert contents(out) == made


def test_runs_that_do_not_belong_together_are_refused(
    checkpoints: Checkpoints, tmp_path: Path, command: Command
) -> None:
    first, second, foreign = (run.root for run in (checkpoints.first, checkpoints.second, checkpoints.foreign))
    short = copied(checkpoints.second, tmp_path / "short")
    sorted((short / "scores").glob("*.parquet"))[0].unlink()
    other = copied(checkpoints.second, tmp_path / "other")
    record = json.loads((other / "corpus.json").read_text())
    gone = record["shards"].pop()["name"]
    (other / "corpus.json").write_text(json.dumps(record))
    out = tmp_path / "sum"
    for runs, said in (
        ((first, foreign), "was scored with another tokenizer than"),
        ((first, second, first), "was scored along the same direction of the same checkpoint as"),
        ((first, short), "this score file is missing; score its shard again"),
        ((first, other), f"{other}: has no shard {gone!r}, as {first} has; give runs of one corpus"),
        ((other, first), f"{other}: has no shard {gone!r}, as {first} has; give runs of one corpus"),
        ((first, tmp_path / "nowhere"), "is not a run"),
        ((first,), "option --runs: "),
        ((first, second, "--behaviour", "loud"), "has no scores of 'loud', only of toxic"),
    ):
        assert said in command("combine", *runs, "--out", out).error
        assert not out.exists()


def test_no_run_is_written_over(checkpoints: Checkpoints, tmp_path: Path, command: Command) -> None:
    first, second = checkpoints.first.root, checkpoints.second.root
    before = contents(first, ARTIFACTS)
    assert "is one of the runs to add up" in command("combine", first, second, "--out", first, "--overwrite").error
    (tmp_path / "notes.txt").write_text("years of work")
    assert "is in use by something else" in command("combine", first, second, "--out", tmp_path).error
    assert contents(first, ARTIFACTS) == before


def test_a_sum_is_not_scored_itself(
    workshop: Workshop, checkpoints: Checkpoints, tmp_path: Path, command: Command
) -> None:
    out = tmp_path / "sum"
    assert command(*checkpoints.command(out)).code == 0
    made = contents(out)
    for words in (("direct", out), ("score", out), ("annotate", *workshop.options(out=out))):
        assert "adds up the scores of other runs" in command(*words).error
    assert contents(out) == made
