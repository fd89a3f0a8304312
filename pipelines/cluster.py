"""A run on a cluster: what is missing of it is submitted, and while jobs of it are there it belongs to them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ifcurate.artifacts import Artifact, read_artifact
from ifcurate.corpus.shards import Shard
from ifcurate.errors import InputError
from ifcurate.files import write_text
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.run_config import RunConfig

if TYPE_CHECKING:
    from ifcurate.pipelines.slurm import QueuedTask
    from ifcurate.pipelines.stage_jobs import StageJob

JOBS_FILE = "jobs.json"
"""In the run's logs: the jobs that were submitted last."""
REMEDY = "run `ifcurate annotate` with the run's settings again"


class SubmittedStage(Artifact):
    """A stage that was submitted: its tasks, its job, where its logs are, bytes of the shards that were left, and
    when it was, in nanoseconds of the epoch."""

    stage: str
    tasks: int
    job: str
    logs: str
    size: int
    since: int

    def done(self) -> set[int]:
        """The tasks that have ended well."""
        return {int(file.name) for file in (Path(self.logs) / "completions").glob("*")}


class SubmittedJobs(Artifact):
    """What was submitted last, in its order."""

    stages: list[SubmittedStage]


@dataclass(frozen=True)
class Submission:
    """A run that goes on without this process."""

    run: Run
    stages: list[SubmittedStage]


def submit_missing(run: Run, config: RunConfig, shards: Sequence[Shard]) -> Submission | None:
    """Submit what is missing; None where nothing is.

    Raises:
        InputError: there is no cluster here, or it refuses.
    """
    now = time.time_ns()
    if not (jobs := missing_jobs(run, config, shards, now)):
        return None
    from ifcurate.pipelines.slurm import submit

    record = run.logs / JOBS_FILE
    write_text(record, SubmittedJobs(stages=[]).model_dump_json() + "\n")  # jobs are looked for from now on
    try:
        ids = submit(run, config, jobs)
    except InputError:  # then no job is there
        record.unlink()
        raise
    stages = [
        SubmittedStage(
            stage=job.stage, tasks=job.tasks, job=ids[job.stage], logs=str(job.logs), size=job.size, since=now
        )
        for job in jobs
    ]
    write_text(record, SubmittedJobs(stages=stages).model_dump_json(indent=1) + "\n")
    return Submission(run, stages)


def missing_jobs(run: Run, config: RunConfig, shards: Sequence[Shard], now: int) -> list[StageJob]:
    """What is missing, whose progress begins anew `now`, in nanoseconds of the epoch."""
    from ifcurate.pipelines.stage_jobs import stage_jobs

    for stage in ("score", "write"):
        shutil.rmtree(run.logs / stage / "progress", ignore_errors=True)
    return stage_jobs(run, config, shards, run.logs / "jobs" / str(now))


def read_submitted(run: Run) -> SubmittedJobs:
    """What was submitted last.

    Raises:
        InputError: nothing was, or the file that says it is damaged.
    """
    file = run.logs / JOBS_FILE
    if not file.is_file():
        raise InputError(
            f"{run.root}: has no jobs of Slurm; give a run of `annotate --executor slurm`. On Ray the command itself "
            "shows how far it is."
        )
    return read_artifact(SubmittedJobs, file.read_bytes(), file, REMEDY)


def tasks_left(run: Run) -> list[QueuedTask]:
    """The tasks of a submitted run that Slurm has not done with.

    Raises:
        InputError: Slurm cannot be asked.
    """
    stages = read_submitted(run).stages
    if stages and len(stages[-1].done()) == stages[-1].tasks:  # the others came before it
        return []
    from ifcurate.pipelines.slurm import queued
    from ifcurate.pipelines.stage_shares import SHARES

    if shutil.which("squeue") is None:
        raise InputError(
            f"{run.root}: was submitted to Slurm, which cannot be asked here whether its jobs still run; use a machine "
            f"that has `squeue`, or delete {run.logs / JOBS_FILE} if there are none."
        )
    return queued(run, list(SHARES))


def require_free(root: Path) -> None:
    """Refuse a run whose jobs are still there.

    Raises:
        InputError: names them, or Slurm cannot be asked.
    """
    run = Run(root)
    if not (run.logs / JOBS_FILE).is_file():
        return
    if tasks := tasks_left(run):
        jobs = sorted({f"{task.job} ({task.stage})" for task in tasks})
        raise InputError(
            f"{root}: belongs to its Slurm jobs {', '.join(jobs)}; wait for them (`ifcurate status {root} --watch`), "
            f"or `scancel {' '.join(sorted({task.job for task in tasks}))}` first."
        )
