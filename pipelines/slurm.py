"""A run on Slurm: a job a stage, each beginning when the one before it is done. Nothing waits for them here.

Jobs have the name of their run and stage, by which they are found again: while one of them is in the queue, the run
belongs to it.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import ifcurate.pipelines.log_sinks  # noqa: F401, before datatrove

# isort: split
from datatrove.executor.slurm import SlurmPipelineExecutor
from datatrove.utils.logging import logger

from ifcurate.errors import InputError
from ifcurate.pipelines.executor import environment
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.stage_jobs import StageJob
from ifcurate.pipelines.steps.run_stage import RunStage

LAUNCHER = "launch_pickled_pipeline"
MODULE = f"datatrove.tools.{LAUNCHER}"


@dataclass(frozen=True)
class QueuedTask:
    """A task that Slurm has not done with: the number of its job, its stage, its place in the job, and `RUNNING`,
    `PENDING`, ...; the place is None where Slurm does not say it."""

    job: str
    stage: str
    place: int | None
    state: str


class StageExecutor(SlurmPipelineExecutor):
    """datatrove's, without its job that adds up statistics: those of a run are in its own logs."""

    def launch_merge_stats(self) -> None:
        """Nothing."""

    def get_launch_file_contents(self, sbatch_args: dict[str, Any], run_script: str) -> str:
        """The script with datatrove's launcher as a module: its command may lie elsewhere than this environment's."""
        return str(
            super().get_launch_file_contents(sbatch_args, run_script.replace(LAUNCHER, f"python -m {MODULE}", 1))
        )


def submit(run: Run, config: RunConfig, jobs: Sequence[StageJob]) -> dict[str, str]:
    """Submit `jobs`, each after the one before; stage -> job id.

    Raises:
        InputError: there is no Slurm here, no partition is named, or Slurm refuses a job; those before it are
            cancelled.
    """
    if shutil.which("sbatch") is None:
        raise InputError("option --executor slurm: there is no sbatch here; run this on a node that submits jobs.")
    if config.partition is None:
        raise InputError("option --partition is required with --executor slurm; `sinfo` lists them.")
    logger.disable("datatrove")
    submitted: dict[str, str] = {}
    for job in jobs:
        executor = _executor(run, config, job, list(submitted.values())[-1:])
        job.mark_idle(executor)
        try:
            executor.launch_job()  # `run` would take a session within a job for a task of it
        except subprocess.CalledProcessError as error:
            if submitted:
                subprocess.run(["scancel", *submitted.values()], check=False)
            raise InputError(f"option --executor slurm: sbatch refused the job of {job.stage} ({error}).") from error
        submitted[job.stage] = str(executor.job_id)
    return submitted


def _executor(run: Run, config: RunConfig, job: StageJob, after: list[str]) -> StageExecutor:
    setup = config.setup or f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"
    variables = " ".join(f"{name}={value}" for name, value in environment(config.threads).items())
    return StageExecutor(
        [RunStage(str(run.root.resolve()), job.stage)],
        tasks=job.tasks,
        time=config.time_limit,
        partition=str(config.partition),
        cpus_per_task=config.cpus_per_task,
        mem_per_cpu_gb=config.memory_per_cpu,
        gpus_per_task=job.gpus(config),
        workers=config.workers or -1,
        job_name=job_name(run, job.stage),
        qos="",
        env_command=f"{setup}; export {variables}",
        sbatch_args={"kill-on-invalid-dep": "yes", **config.sbatch_options},
        depends_job_id=after[0] if after else None,
        logging_dir=str(job.logs.resolve()),
    )


def queued(run: Run, stages: Sequence[str]) -> list[QueuedTask]:
    """The tasks of a run that Slurm has not done with.

    Raises:
        InputError: Slurm does not answer.
    """
    names = {job_name(run, stage): stage for stage in stages}
    command = ["squeue", "--noheader", "--array", f"--name={','.join(names)}", "--format=%F|%j|%K|%T"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    if asked.returncode:
        raise InputError(f"squeue does not answer ({asked.stderr.strip()}); whether jobs run is not known.")
    found = []
    for line in asked.stdout.splitlines():
        job, name, number, state = line.split("|")
        found.append(QueuedTask(job, names[name], int(number) if number.isdigit() else None, state))
    return found


def job_name(run: Run, stage: str) -> str:
    """The name of the job of a stage, of this run folder alone."""
    return f"ifcurate-{sha256(str(run.root.resolve()).encode()).hexdigest()[:12]}-{stage}"
