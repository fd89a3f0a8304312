"""Our datatrove steps in somebody else's pipeline."""

from __future__ import annotations

import gzip
import json
import pickle
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from corpora import write_rows
from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters import LambdaFilter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from misbehaving import Misbehave
from runs import Workshop, rows_of

from ifcurate import ScoreSettings
from ifcurate.corpus.shards import list_shards, open_shard
from ifcurate.errors import InputError
from ifcurate.model.devices import resolve_device
from ifcurate.pipelines import (
    ReadShards,
    ScoreTokens,
    SelectTokens,
    WriteAnnotations,
    WriteScores,
    heartbeat,
)
from ifcurate.pipelines.executor import run_tasks, total
from ifcurate.pipelines.heartbeat import Pulse, beat, read_beats
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.steps import score_tokens
from ifcurate.selection.scores import LOSS, TOKEN_ENDS, TOKEN_IDS, TOKEN_STARTS
from ifcurate.selection.settings import SelectionSettings
from ifcurate.selection.table import Selection

SCORED = [TOKEN_IDS, TOKEN_STARTS, TOKEN_ENDS, "toxic_influence"]


@pytest.fixture
def settings(workshop: Workshop, finished: Run) -> ScoreSettings:
    return ScoreSettings(
        model=str(workshop.root / "model"), directions=(str(finished.direction("toxic")),), engine="jvp"
    )


def relative_error(ours: list[float], theirs: list[float]) -> float:
    one, other = np.array(ours), np.array(theirs)
    return float(np.linalg.norm(one - other) / max(np.linalg.norm(other), 1e-12))


def test_between_a_reader_and_a_writer_of_datatrove(settings: ScoreSettings, finished: Run, tmp_path: Path) -> None:
    """JsonlReader drops empty texts by itself; every other document comes through with its scores."""
    rows = [row for row in rows_of(finished.data) if row["text"]]
    for number, part in enumerate((rows[:20], rows[20:])):
        write_rows(tmp_path / f"in/{number}.jsonl", [{name: row[name] for name in ("id", "text")} for row in part])
    LocalPipelineExecutor(
        pipeline=[
            JsonlReader(str(tmp_path / "in")),
            ScoreTokens(settings, with_loss=True),
            JsonlWriter(str(tmp_path / "out")),
        ],
        tasks=2,
        workers=1,
        logging_dir=str(tmp_path / "logs"),
    ).run()
    written: list[dict[str, Any]] = [
        json.loads(line)
        for file in sorted((tmp_path / "out").iterdir())
        for line in gzip.decompress(file.read_bytes()).splitlines()
    ]
    sidecars = {row["id"]: row for row in rows_of(finished.scores)}
    assert [row["id"] for row in written] == [row["id"] for row in rows]
    for row in written:
        expected = sidecars[row["id"]]
        assert [row["metadata"][name] for name in SCORED[:3]] == [expected[name] for name in SCORED[:3]]
        assert relative_error(row["metadata"]["toxic_influence"], expected["toxic_influence"]) < 2e-3
        assert len(row["metadata"][LOSS]) == len(row["metadata"][TOKEN_IDS])
    tokens = sum(len(row["metadata"][TOKEN_IDS]) for row in written)
    stats = {step["name"]: step["stats"] for step in json.loads((tmp_path / "logs/stats.json").read_text())}
    [ours] = [stats[name] for name in stats if ScoreTokens.name in name]
    assert ours["tokens"]["total"] == tokens
    assert ours["positions"]["total"] >= tokens


def test_a_documents_scores_do_not_depend_on_its_neighbours(settings: ScoreSettings, finished: Run) -> None:
    rows = [row for row in rows_of(finished.data) if row["text"]][:12]
    step = ScoreTokens(settings)

    def scored(chosen: list[dict[str, Any]]) -> list[list[float]]:
        documents = (Document(text=row["text"], id=row["id"]) for row in chosen)
        return [document.metadata["toxic_influence"] for document in step.run(documents)]

    together = scored(rows)
    alone = [scored([row])[0] for row in rows]
    backwards = scored(rows[::-1])[::-1]
    for one, other, third in zip(together, alone, backwards, strict=True):
        assert relative_error(other, one) < 1e-4
        assert relative_error(third, one) < 1e-4


def test_the_step_does_not_depend_on_which_documents_come_first(settings: ScoreSettings, finished: Run) -> None:
    rows = sorted((row for row in rows_of(finished.data) if row["text"]), key=lambda row: len(row["text"]))[::7]
    differences = replace(settings, engine="finite-difference", batch_tokens=512)

    def scored(chosen: list[dict[str, Any]]) -> dict[str, list[float]]:
        """Each document in a group of its own, by a model that is loaded anew."""
        score_tokens._loaded.cache_clear()
        step = ScoreTokens(differences)
        documents = [Document(text=row["text"], id=row["id"]) for row in chosen]
        return {each.id: each.metadata["toxic_influence"] for one in documents for each in step.run([one])}

    assert scored(rows) == scored(rows[::-1])
    empty = {"text": "", "id": "empty"}
    assert scored([empty, *rows]) == {"empty": [], **scored(rows)}


class NameDevice(PipelineStep):
    """Writes which of two GPUs this process would take."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
        torch.cuda.device_count = lambda: 2  # the machine of this test
        (self.folder / str(rank)).write_text(resolve_device("auto"))
        time.sleep(1)  # until the other worker has begun
        yield from data or ()


def test_every_worker_of_datatroves_own_pool_takes_a_gpu_of_its_own(tmp_path: Path) -> None:
    LocalPipelineExecutor(
        pipeline=[NameDevice(tmp_path)], tasks=2, workers=2, logging_dir=str(tmp_path / "logs"), start_method="fork"
    ).run()
    assert {(tmp_path / rank).read_text() for rank in "01"} == {"cuda:0", "cuda:1"}


@pytest.mark.slow
def test_workers_score_as_one_does(settings: ScoreSettings, finished: Run, tmp_path: Path) -> None:
    rows = [row for row in rows_of(finished.data) if row["text"]][:8]
    for number, row in enumerate(rows):
        write_rows(tmp_path / f"in/{number}.jsonl", [{"id": row["id"], "text": row["text"]}])
    found = []
    for workers in (1, 2):
        out = tmp_path / f"out-{workers}"
        pipeline = [
            JsonlReader(str(tmp_path / "in")),
            ScoreTokens(replace(settings, engine="auto")),
            JsonlWriter(str(out)),
        ]
        LocalPipelineExecutor(pipeline, tasks=8, workers=workers, logging_dir=str(tmp_path / f"logs-{workers}")).run()
        found.append([gzip.decompress(file.read_bytes()) for file in sorted(out.iterdir())])
    assert found[0] == found[1]
    assert len(found[0]) == 8


def test_all_steps_from_shards_to_annotated_shards(
    settings: ScoreSettings, workshop: Workshop, finished: Run, tmp_path: Path
) -> None:
    """The whole method in pipelines of one's own, in a folder of one's own."""
    shards = list_shards(str(workshop.root / "corpus"))
    scores, selection, data = (tmp_path / name for name in ("scores", "selection", "data"))

    def run(*steps: PipelineStep, tasks: int) -> None:
        LocalPipelineExecutor(
            pipeline=list(steps), tasks=tasks, workers=1, logging_dir=str(tmp_path / f"logs-{type(steps[-1]).__name__}")
        ).run()

    run(
        ReadShards(str(workshop.root / "corpus")),
        ScoreTokens(settings),
        WriteScores(shards, scores, ["toxic"], {"made": "here"}),
        tasks=3,
    )
    sidecars = [(shard.name, shard.output(scores)) for shard in shards]
    run(SelectTokens(sidecars, SelectionSettings(quantile=0.9, budget="5%"), selection), tasks=1)
    run(WriteAnnotations(shards, scores, selection, data, ["toxic"], {"toxic": {"made": "here"}}), tasks=2)
    for shard in shards:
        written, expected = pq.read_table(shard.output(data)), pq.read_table(shard.output(finished.data))
        assert written.column_names == expected.column_names
        assert written["id"].equals(expected["id"])
    assert sum(sum(row["toxic_mask"]) for row in rows_of(data)) == sum(
        sum(row["toxic_mask"]) for row in rows_of(finished.data)
    )


def test_scores_of_a_shard_need_all_its_documents(settings: ScoreSettings, workshop: Workshop, tmp_path: Path) -> None:
    shards = list_shards(str(workshop.root / "corpus"))
    dropping = LambdaFilter(lambda document: document.id != "d3")
    read = ReadShards(shards)
    written = WriteScores(shards, tmp_path, ["toxic"], {})
    with pytest.raises(InputError, match=r"part-000\.parquet: 29 of its 30 rows were scored"):
        list(written.run(ScoreTokens(settings).run(dropping.run(read.run()))))
    assert not list(tmp_path.iterdir())


def test_steps_are_named_and_travel(settings: ScoreSettings, workshop: Workshop, tmp_path: Path) -> None:
    shards = list_shards(str(workshop.root / "corpus"))
    steps: list[PipelineStep] = [
        ReadShards(shards),
        ScoreTokens(settings),
        WriteScores(shards, tmp_path, ["toxic"], {}),
        SelectTokens([("a", tmp_path / "a")], SelectionSettings(), tmp_path),
        WriteAnnotations(shards, tmp_path, tmp_path, tmp_path, ["toxic"], {}),
    ]
    for step in steps:
        again = pickle.loads(pickle.dumps(step))
        assert {n: v for n, v in vars(again).items() if n != "stats"} == {
            n: v for n, v in vars(step).items() if n != "stats"
        }
        assert step.type.split(" - ")[1] in {"READER", "SCORER", "SELECTOR", "WRITER"}
        assert repr(step).endswith(step.name)


@pytest.mark.parametrize(("how", "said"), [("refuse", "file, row 1: is wrong"), ("die", "a worker process was killed")])
def test_no_worker_is_waited_for_in_vain(how: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        run_tasks([Misbehave(how)], tasks=3, workers=2, threads=1, logs=tmp_path, results=tmp_path)


@pytest.mark.parametrize("workers", [1, 2])
def test_statistics_of_all_tasks_add_up(workers: int, tmp_path: Path) -> None:
    stats = run_tasks([Misbehave("count")], tasks=5, workers=workers, threads=1, logs=tmp_path, results=tmp_path)
    assert total(stats, "tasks") == 0 + 1 + 2 + 3 + 4
    assert total(stats, "nothing") == 0
    assert json.loads((tmp_path / "stats.json").read_text())


def test_progress_of_shards_in_folders_adds_up(tmp_path: Path) -> None:
    for task in ("a", "a/b", "a/c.d", "e"):
        beat(tmp_path, task, 10.5, 1)
        beat(tmp_path, task, 20.5, 2)
    assert read_beats(tmp_path) == (82.0, 8)
    assert read_beats(tmp_path / "nowhere") == (0.0, 0)


def test_progress_moves_within_groups_of_rows(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text('{"text": "x"}\n' * 8)
    shards = list_shards(str(tmp_path))
    size = shards[0].size
    beats = tmp_path / "beats"
    pulse = Pulse(beats, shards)
    told = []
    for shard, first, rows in (("a", 0, 6), ("a", 6, 2), ("b", 0, 4)):
        on_batch = pulse.group(shard, first, rows, tokens=20)
        for tokens in (5, 15):
            on_batch(tokens)
            told.append(read_beats(beats))
    pulse.group("b", 4, 4, tokens=0)
    told.append(read_beats(beats))
    rows = [1.5, 6, 6.5, 8, 9, 12, 16]
    assert told == [(size * done / 8, tokens) for done, tokens in zip(rows, (5, 20, 25, 40, 45, 60, 60), strict=True)]


def test_scoring_tells_how_far_it_is_after_every_batch(
    settings: ScoreSettings, workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = list_shards(str(workshop.root / "corpus"))
    told: list[tuple[str, float, int]] = []
    monkeypatch.setattr(heartbeat, "beat", lambda _, *what: told.append(what))
    scoring = ScoreTokens(replace(settings, batch_tokens=64), pulse=Pulse(tmp_path, shards))
    documents = list(scoring.run(ReadShards(shards).run()))
    assert len(told) > 4 * len(shards)
    last = {shard: (done, tokens) for shard, done, tokens in told}
    expected = {shard.name: (pytest.approx(shard.size), 0) for shard in shards}
    for document in documents:
        size, tokens = expected[document.metadata["shard"]]
        expected[document.metadata["shard"]] = (size, tokens + len(document.metadata[TOKEN_IDS]))
    assert last == {shard: wanted for shard, wanted in expected.items() if wanted[1]}


@pytest.mark.parametrize("stage", ["score", "write"])
def test_a_finished_stage_is_at_its_end(stage: str, finished: Run, workshop: Workshop) -> None:
    full = [shard for shard in list_shards(str(workshop.root / "corpus")) if open_shard(shard).num_rows]
    done, tokens = read_beats(finished.logs / stage / "progress")
    assert done == pytest.approx(sum(shard.size for shard in full))
    assert tokens == Selection.load(finished.selection, "toxic").tokens
