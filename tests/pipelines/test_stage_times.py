"""The table of stages counts what was done, by killed and interrupted invocations too, and nothing twice."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from runs import Workshop, texts, write_shards

from ifcurate.errors import InputError
from ifcurate.influence.sample import Sample
from ifcurate.pipelines import score
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.stage_times import read_stages
from ifcurate.selection.scores import TOKEN_IDS

KILLED = """
import sys, time
from pathlib import Path
from ifcurate.pipelines import stage_times
stage_times.SECONDS_BETWEEN_NOTES = 0.05
with stage_times.timed(Path(sys.argv[1]), "score", lambda: {"positions": 7}) as stage:
    stage.add(tokens=5)
    print("begun", flush=True)
    time.sleep(300)
"""


def test_a_killed_stage_is_in_the_table(tmp_path: Path) -> None:
    for _ in range(2):
        with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.5)
            process.kill()
    [stage] = read_stages(tmp_path)
    assert stage.counts == {"tokens": 10, "positions": 14}
    assert 0.5 < stage.seconds < 60


def test_what_an_interrupted_run_did_is_counted_once(
    workshop: Workshop, finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score, "sample_windows", lambda *_: Sample([], 0, 0))  # it would meet the broken shard
    corpus = write_shards(tmp_path / "corpus", [texts(12, number) for number in range(3)])
    broken = {"text": pa.array([b"\xff"]).view(pa.string()), "id": ["z"]}
    pq.write_table(pa.table(broken), corpus / "z.parquet")
    options = {"corpus": corpus, "out": tmp_path / "run", "direction": finished.direction("toxic"), "engine": "jvp"}
    with pytest.raises(InputError, match="is not UTF-8"):
        workshop.annotate(**options)
    run = Run(tmp_path / "run")
    [interrupted] = [stage for stage in read_stages(run.logs) if stage.name == "score"]
    assert interrupted.counts["tokens"] > 0
    pq.write_table(pa.table({"text": ["The river was kind."], "id": ["z"]}), corpus / "z.parquet")
    workshop.annotate(**options)
    tokens = sum(
        len(row) for file in run.scores.glob("*.parquet") for row in pq.read_table(file)[TOKEN_IDS].to_pylist()
    )
    counted = {stage.name: stage.counts.get("tokens") for stage in read_stages(run.logs)}
    assert counted["score"] == counted["write"] == counted["select"] == tokens
