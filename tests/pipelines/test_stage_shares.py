"""Stages done by tasks that see nothing of each other but the run folder, as on a cluster."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import deque
from pathlib import Path

import pytest
from commands import Command
from runs import Workshop, contents

from ifcurate.corpus.shards import list_shards
from ifcurate.errors import InputError
from ifcurate.pipelines.annotate import annotate_on_ray, submit
from ifcurate.pipelines.cluster import JOBS_FILE, SubmittedJobs, SubmittedStage, require_free
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.slurm import job_name
from ifcurate.pipelines.stage_jobs import stage_jobs
from ifcurate.pipelines.status import status
from ifcurate.pipelines.steps.run_stage import RunStage


def do(run: Run, stage: str, task: int, tasks: int) -> None:
    deque(RunStage(str(run.root), stage).run(None, task, tasks), maxlen=0)


def test_tasks_in_any_order_and_twice_make_the_bytes_of_a_local_run(
    workshop: Workshop, finished: Run, tmp_path: Path
) -> None:
    run = Run(tmp_path / "run")
    shutil.copytree(finished.root, run.root, ignore=shutil.ignore_patterns("scores", "selection", "data", "logs"))
    config, shards = workshop.config(out=run.root, tasks=3), list_shards(str(workshop.root / "corpus"))
    jobs = stage_jobs(run, config, shards, run.logs)
    assert [(job.stage, job.tasks, job.idle) for job in jobs] == [
        *[("direct", 1, ()), ("score", 3, ()), ("select", 1, ()), ("write", 3, ()), ("finish", 1, ())]
    ]
    do(run, "direct", 0, 1)
    do(run, "score", 1, 3)
    with pytest.raises(InputError, match=r"part-000\.parquet: is missing, its task failed"):
        do(run, "select", 0, 1)
    jobs = stage_jobs(run, config, shards, run.logs)
    assert (jobs[0].stage, jobs[0].idle) == ("score", (1,))
    for task in (2, 0, 1):
        do(run, "score", task, 3)
    do(run, "select", 0, 1)
    for task in (1, 2, 1, 0):
        do(run, "write", task, 3)
    jobs = stage_jobs(run, config, shards, run.logs)
    assert [(job.stage, job.tasks) for job in jobs] == [("finish", 1)]
    do(run, "finish", 0, 1)
    assert contents(run) == contents(finished)
    assert stage_jobs(run, config, shards, run.logs) == []


def test_only_tasks_with_something_to_do_are_left(workshop: Workshop, finished: Run, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    shutil.copytree(finished.root, run.root)
    config, shards = workshop.config(out=run.root), list_shards(str(workshop.root / "corpus"))
    assert stage_jobs(run, config, shards, run.logs) == []
    shards[1].annotated(run.data, "same").unlink()
    jobs = stage_jobs(run, config, shards, run.logs)
    assert [(job.stage, job.tasks, job.idle) for job in jobs] == [
        *[("select", 1, ()), ("write", 4, (0, 2, 3)), ("finish", 1, ())]
    ]
    assert jobs[1].size == shards[1].size
    shards[2].output(run.scores).unlink()
    jobs = stage_jobs(run, config, shards, run.logs)
    assert [(job.stage, job.tasks, job.idle) for job in jobs] == [
        *[("score", 4, (0, 1, 3)), ("select", 1, ()), ("write", 4, ()), ("finish", 1, ())]
    ]


@pytest.mark.parametrize("given", ["lab", "--account=lab", "account="])
def test_options_of_sbatch_have_a_name_and_a_value(workshop: Workshop, given: str) -> None:
    with pytest.raises(InputError, match=r"option --sbatch: .* is not name=value, without dashes"):
        workshop.config(sbatch=[given])


@pytest.mark.parametrize(
    ("option", "given"), [("setup", "module load cuda"), ("partition", "gpu"), ("time-limit", "1"), ("sbatch", ["a=b"])]
)
def test_what_slurm_alone_understands_is_refused_on_ray(workshop: Workshop, option: str, given: object) -> None:
    with pytest.raises(InputError, match=rf"option --{option}: is for --executor slurm"):
        workshop.config(executor="ray", **{option.replace("-", "_"): given})


def test_ray_is_asked_for_where_it_is_missing(
    workshop: Workshop, finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path / "run")
    shutil.copytree(finished.root, run.root, ignore=shutil.ignore_patterns("data", "logs"))
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"option --executor ray: .* install `ifcurate\[ray\]`"):
        annotate_on_ray(workshop.config(out=run.root, executor="ray"))
    assert not run.data.exists()


def test_what_slurm_needs_is_asked_for_before_anything_is_submitted(
    workshop: Workshop, finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path / "run")
    shutil.copytree(finished.root, run.root, ignore=shutil.ignore_patterns("data", "logs"))
    programs = tmp_path / "programs"
    programs.mkdir()
    if (git := shutil.which("git")) is not None:  # asked for the revision of a checkout
        (programs / "git").symlink_to(git)
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(InputError, match="there is no sbatch here"):
        submit(workshop.config(out=run.root, executor="slurm"))
    (programs / "sbatch").write_text(f'#!/bin/sh\n/bin/cat "$2" > {tmp_path}/script\nexit 1\n')
    (programs / "sbatch").chmod(0o755)
    with pytest.raises(InputError, match="option --partition is required"):
        submit(workshop.config(out=run.root, executor="slurm"))
    with pytest.raises(InputError, match="sbatch refused the job of select"):
        submit(workshop.config(out=run.root, executor="slurm", partition="main", sbatch=["account=lab"]))
    script = (tmp_path / "script").read_text(encoding="utf-8")
    assert {"#SBATCH --account=lab", "#SBATCH --partition=main", "#SBATCH --array=0-0%1"} <= set(script.splitlines())
    assert "OMP_NUM_THREADS=1 " in script
    require_free(run.root)  # nothing was submitted


def test_status_tells_what_each_task_does_and_other_commands_are_refused(
    finished: Run, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path / "run")
    shutil.copytree(finished.root, run.root, ignore=shutil.ignore_patterns("data", "logs"))
    logs = run.logs / "jobs" / "score"
    files = {
        run.logs / JOBS_FILE: SubmittedJobs(
            stages=[SubmittedStage(stage="score", tasks=4, job="7", logs=str(logs), size=200, since=1)]
        ).model_dump_json(),
        run.logs / "stages" / "2-score.json": json.dumps({"seconds": 9.0}),
        run.logs / "stages" / "2000000002-score.json": json.dumps({"seconds": 8.0}),
        run.logs / "score" / "progress" / "part-000.beat": "50.0 1000",
        logs / "ranks_to_run.json": "[0, 2, 3]",
        logs / "completions" / "00001": "",
        logs / "slurm_logs" / "7_0.out": "at work",
        logs / "slurm_logs" / "7_1.out": "began\nsrun: error: Killed\nsrun: Force Terminated StepId=7.0\n\n",
        tmp_path / "squeue": f'#!/bin/sh\necho "7|{job_name(run, "score")}|0|RUNNING"',
    }
    for file, text in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (state,) = status(str(run.root))
    assert (state.done, state.running, state.waiting, state.failed) == (1, 1, 1, {2: "srun: error: Killed"})
    assert (state.tokens_per_second, state.seconds_left) == (pytest.approx(100), pytest.approx(30))
    assert not state.is_over
    shown = command("status", run.root)
    assert "0.5 min" in shown.out
    assert "score, task 2 failed: srun: error: Killed" in shown.out
    assert "belongs to its Slurm jobs 7 (score)" in command("write", run.root).error


def test_a_run_without_jobs_has_no_status(finished: Run) -> None:
    with pytest.raises(InputError, match="has no jobs of Slurm"):
        status(str(finished.root))
