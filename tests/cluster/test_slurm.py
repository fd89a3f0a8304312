"""Runs on a real Slurm: the bytes of a local run, whatever happens to its tasks, and nothing is submitted twice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from runs import Workshop, contents

from ifcurate.errors import InputError
from ifcurate.pipelines.annotate import annotate, submit
from ifcurate.pipelines.cluster import Submission, require_free
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.slurm import QueuedTask, queued
from ifcurate.pipelines.stage_shares import SHARES
from ifcurate.pipelines.status import StageState, status

pytestmark = pytest.mark.cluster
SECONDS = 3600
TASKS = 2
FIRST, SECOND = "part-000", "part-001"
"""Shards of tasks 0 and 1 of `score`."""


def submitted(workshop: Workshop, partition: str, out: Path, workers: int = 2) -> Submission:
    config = workshop.config(
        out=out, executor="slurm", partition=partition, memory_per_cpu=1, workers=workers, tasks=TASKS, batch_tokens=32
    )
    submission = submit(config)
    assert isinstance(submission, Submission)
    return submission


def tasks(run: Run) -> list[QueuedTask]:
    return queued(run, list(SHARES))


def wait_until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def wait_for_the_end(run: Run) -> list[StageState]:
    wait_until(lambda: time.sleep(1) or not tasks(run))
    return status(str(run.root))


def wait_for_the_middle(run: Run, shard: str) -> None:
    """Until a batch more of `shard` is scored, and others are not."""
    beat, now = run.logs / "score" / "progress" / f"{shard}.beat", time.time_ns()
    wait_until(lambda: beat.exists() and beat.stat().st_mtime_ns > now)
    assert not (run.scores / f"{shard}.parquet").exists()


def says(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def kill(job: str, task: int) -> None:
    """As the kernel does where memory runs out."""
    wanted = {f"SLURM_ARRAY_JOB_ID={job}".encode(), f"SLURM_ARRAY_TASK_ID={task}".encode()}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words, variables = ((process / name).read_bytes().split(b"\0") for name in ("cmdline", "environ"))
        except OSError:  # it has ended
            continue
        if b"python" in words[0] and wanted <= set(variables):
            os.kill(int(process.name), signal.SIGKILL)
            return
    raise AssertionError("the task does not run")


def drain(run: Run) -> None:
    """The node is taken away from whatever runs there, and comes back."""
    node = says("sinfo", "--noheader", "--format=%N")
    says("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    for task in tasks(run):
        if task.state == "RUNNING":
            says("scontrol", "requeue", f"{task.job}_{task.place}")
    wait_until(lambda: says("sinfo", "--noheader", "--format=%T") == "drained")
    assert all(task.state == "PENDING" for task in tasks(run))
    says("scontrol", "update", f"nodename={node}", "state=resume")


def test_a_run_on_slurm_has_the_bytes_of_a_local_one(
    slurm: str, workshop: Workshop, finished: Run, tmp_path: Path
) -> None:
    submission = submitted(workshop, slurm, tmp_path / "run")
    run = submission.run
    assert [each.stage for each in submission.stages] == list(SHARES)
    with pytest.raises(InputError, match=rf"belongs to its Slurm jobs .*{submission.stages[-1].job} \(finish\)"):
        submitted(workshop, slurm, run.root)
    states = wait_for_the_end(run)
    assert all(state.is_over and state.done == state.tasks for state in states), states
    assert contents(run) == contents(finished)
    assert submit(workshop.config(out=run.root, executor="slurm", batch_tokens=32)) is None


def test_tasks_that_are_requeued_drained_killed_and_cancelled_lose_nothing(
    slurm: str, workshop: Workshop, finished: Run, tmp_path: Path
) -> None:
    run = Run(tmp_path / "run")
    shutil.copytree(
        finished.root, run.root, ignore=shutil.ignore_patterns("scores", "selection", "data", "report.html")
    )
    shutil.rmtree(run.logs)
    submission = submitted(workshop, slurm, run.root, workers=1)  # so that no task ends unseen while another is harmed
    job = next(each.job for each in submission.stages if each.stage == "score")
    wait_for_the_middle(run, FIRST)
    says("scontrol", "requeue", f"{job}_0")
    wait_for_the_middle(run, SECOND)
    drain(run)
    wait_for_the_middle(run, FIRST)
    kill(job, 0)
    wait_for_the_middle(run, SECOND)
    says("scancel", f"{job}_1")
    score, *later = wait_for_the_end(run)[1:]
    assert (score.stage, score.done, score.tokens > 0) == ("score", 0, True)
    assert "Killed" in score.failed[0]
    assert "Terminated" in score.failed[1]
    assert [(state.done, state.running, len(state.failed)) for state in later] == [(0, 0, 0)] * 3
    require_free(run.root)
    again = submitted(workshop, slurm, run.root, workers=1)
    assert [each.stage for each in again.stages] == ["score", "select", "write", "finish"]
    assert all(state.done == state.tasks for state in wait_for_the_end(run))
    assert contents(run) == contents(finished)
    assert annotate(workshop.config(out=run.root, batch_tokens=32)).run == run
