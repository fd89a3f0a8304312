"""A corpus that changes under a run, and a run that moves: what changed is done again, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import Command
from runs import RUDE, Workshop, contents, texts

from ifcurate.annotation.provenance import PROVENANCE_FILE
from ifcurate.pipelines.annotate import annotate
from ifcurate.pipelines.run import Run
from ifcurate.storage import filesystems

Messages = Callable[[], list[str]]
SCORED = ("scores", "selection", "data")


class Corpus:
    """Three JSON Lines shards, and runs over them along a direction that is there already."""

    def __init__(self, workshop: Workshop, direction: Path, folder: Path) -> None:
        self.workshop, self.direction, self.folder = workshop, direction, folder
        folder.mkdir()
        for number in range(3):
            self.write(f"{number}", texts(12, number))

    def write(self, name: str, documents: list[str | None]) -> None:
        lines = [json.dumps({"text": text}) + "\n" for text in documents]
        (self.folder / f"{name}.jsonl").write_text("".join(lines))

    def reverse(self, name: str, keep_time: bool = False) -> None:
        """The rows of a shard the other way round, in as many bytes."""
        file = self.folder / f"{name}.jsonl"
        before = file.stat()
        file.write_text("".join(file.read_text().splitlines(keepends=True)[::-1]))
        assert file.stat().st_size == before.st_size
        if keep_time:
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    def options(self, out: Path, **changes: Any) -> dict[str, Any]:
        return {"out": out, "corpus": self.folder, "direction": self.direction, "engine": "jvp", **changes}

    def run(self, out: Path, **changes: Any) -> Run:
        return self.workshop.annotate(**self.options(out, **changes))


@pytest.fixture
def corpus(workshop: Workshop, finished: Run, tmp_path: Path) -> Corpus:
    return Corpus(workshop, finished.direction("toxic"), tmp_path / "corpus")


def times(run: Run) -> dict[str, int]:
    return {file.stem: file.stat().st_mtime_ns for file in run.scores.glob("*.parquet")}


def rescored(run: Run, before: dict[str, int]) -> set[str]:
    return {name for name, time in times(run).items() if before.get(name) != time}


def provenance(run: Run) -> dict[str, Any]:
    return dict(json.loads((run.data / PROVENANCE_FILE).read_text())["toxic"])


def test_a_reordered_shard_is_scored_again_and_nothing_else(corpus: Corpus, tmp_path: Path, messages: Messages) -> None:
    run = corpus.run(tmp_path / "run")
    before = times(run)
    corpus.reverse("1")
    corpus.run(tmp_path / "run")
    assert rescored(run, before) == {"1"}
    assert "corpus: 1 shards changed, 0 added and 0 removed" in "\n".join(messages())
    assert contents(run, SCORED) == contents(corpus.run(tmp_path / "anew"), SCORED)


@pytest.mark.parametrize("output_format", ["same", "parquet"])
def test_write_never_joins_scores_to_other_texts(
    output_format: str, corpus: Corpus, tmp_path: Path, command: Command
) -> None:
    run = corpus.run(tmp_path / "run", output_format=output_format)
    shutil.rmtree(run.data)
    before = times(run)
    corpus.reverse("1", keep_time=True)
    refusal = command("write", run.root).error
    assert "1.jsonl: has other texts, or in another order, than those that were scored" in refusal
    assert not list(run.data.glob("1.*"))
    for stage in ("score", "select", "write"):
        done = command(stage, run.root)
        assert done.code == 0, done.err
    assert rescored(run, before) == {"1"}
    assert contents(run, SCORED) == contents(corpus.run(tmp_path / "anew", output_format=output_format), SCORED)


def test_annotate_recovers_from_an_edit_that_the_file_system_hides(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: Messages
) -> None:
    monkeypatch.setattr(filesystems, "_STAMPS", ("mtime",))
    run = corpus.run(tmp_path / "run")
    shutil.rmtree(run.data)
    before = times(run)
    corpus.reverse("2", keep_time=True)
    corpus.run(tmp_path / "run")
    assert rescored(run, before) == {"2"}
    assert any("2.jsonl: has other texts" in line for line in messages())
    assert contents(run, SCORED) == contents(corpus.run(tmp_path / "anew"), SCORED)


def test_a_touched_shard_costs_a_look(corpus: Corpus, tmp_path: Path) -> None:
    run = corpus.run(tmp_path / "run")
    before, written = times(run), contents(run, SCORED)
    (corpus.folder / "1.jsonl").touch()
    corpus.run(tmp_path / "run")
    assert rescored(run, before) == set()
    assert contents(run, SCORED) == written


def test_added_and_removed_shards_cost_themselves(corpus: Corpus, tmp_path: Path, messages: Messages) -> None:
    run = corpus.run(tmp_path / "run")
    before = times(run)
    (corpus.folder / "0.jsonl").unlink()
    corpus.write("3", [f"The river was {RUDE[0]}.", "The river was kind."])
    corpus.run(tmp_path / "run")
    assert rescored(run, before) == {"3"}
    assert sorted(times(run)) == ["1", "2", "3"]
    assert "corpus: 0 shards changed, 1 added and 1 removed" in "\n".join(messages())
    assert contents(run, SCORED) == contents(corpus.run(tmp_path / "anew"), SCORED)


def test_rows_without_a_text_are_skipped_and_counted_and_a_repair_costs_its_shard(
    corpus: Corpus, tmp_path: Path, command: Command
) -> None:
    corpus.write("1", ["The river was kind.", None, "", "The table was vile.", None])
    words = ["annotate", *corpus.workshop.options(**corpus.options(tmp_path / "run"))]
    assert "1.jsonl, row 1 (counted from 0): column 'text' is null, as it is in 2 of 5 rows" in command(*words).error
    done = command(*words, "--bad-rows", "skip")
    assert done.code == 0, done.err
    assert "2 rows were skipped: their text is null or not UTF-8" in done.out
    run = Run(tmp_path / "run")
    rows = [json.loads(line) for line in (run.data / "1.jsonl").read_text().splitlines()]
    assert [row["text"] for row in rows] == ["The river was kind.", None, "", "The table was vile.", None]
    assert [len(row["toxic_influence"]) > 0 for row in rows] == [True, False, False, True, False]
    assert (rows[1]["toxic_spans"], rows[1]["toxic_rank"], rows[1]["toxic_score"]) == ([], 0, 0)
    assert provenance(run)["skipped_rows"] == 2
    before = times(run)
    assert "option --bad-rows" in command(*words).error
    corpus.write("1", ["The river was kind.", "now a text", "", "The table was vile.", "and here"])
    assert command(*words, "--bad-rows", "skip").code == 0
    assert rescored(run, before) == {"1"}
    assert provenance(run)["skipped_rows"] == 0


def test_a_text_that_is_not_utf8_is_repaired_at_the_price_of_its_shard(
    corpus: Corpus, tmp_path: Path, command: Command
) -> None:
    broken = pa.array([b"The river was kind.", b"\xff"]).view(pa.string())
    pq.write_table(pa.table({"text": broken}), corpus.folder / "z.parquet")
    words = ["annotate", *corpus.workshop.options(**corpus.options(tmp_path / "run", fit_tokens=None))]
    words_skip = [*words, "--bad-rows", "skip"]
    assert command(*words_skip).code == 0
    run = Run(tmp_path / "run")
    before = times(run)
    pq.write_table(pa.table({"text": ["The river was kind.", "repaired"]}), corpus.folder / "z.parquet")
    assert command(*words_skip).code == 0
    assert rescored(run, before) == {"z"}


def test_a_selection_of_other_scores_is_made_again(
    corpus: Corpus, tmp_path: Path, command: Command, messages: Messages
) -> None:
    run = corpus.run(tmp_path / "run")
    other = corpus.run(tmp_path / "other", dtype="float64")
    wanted = contents(other, SCORED)
    assert contents(run, SCORED) != wanted
    shutil.rmtree(run.scores)
    shutil.copytree(other.scores, run.scores)
    said = f"{run.selection / 'toxic.json'}: was made of other scores or settings; run `ifcurate select {run.root}`"
    assert said in command("write", run.root).error
    corpus.run(tmp_path / "run")
    assert "selecting toxic anew: the selection there was made of other scores or settings" in messages()
    assert contents(run, SCORED) == wanted


def test_a_moved_run_needs_its_corpus_for_writing_only(
    corpus: Corpus, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = annotate(corpus.workshop.config(**corpus.options(Path("run"), corpus="corpus"))).run
    expected = contents(corpus.run(tmp_path / "anew", budget="10%"), ("selection",))
    (tmp_path / "elsewhere").mkdir()
    run.root.rename("elsewhere/moved")
    monkeypatch.chdir(tmp_path / "elsewhere")
    corpus.folder.rename(tmp_path / "hidden")
    assert command("select", "moved", "--budget", "10%").code == 0
    assert contents(Path("moved"), ("selection",)) == expected
    said = command("write", "moved").error
    assert f"{corpus.folder}: there is no such file or folder" in said
    assert "say with --corpus where the corpus of moved is" in said
    assert command("write", "moved", "--corpus", "../hidden").code == 0
    monkeypatch.chdir(tmp_path)
    assert command("write", "elsewhere/moved", "--no-token-ids").code == 0, "it knows the place by now"
    assert sum(len(file.read_text().splitlines()) for file in Path("elsewhere/moved/data").glob("*.jsonl")) == 36
    (tmp_path / "hidden/2.jsonl").unlink()
    assert "shard '2' of the corpus is missing since" in command("write", "elsewhere/moved").error
