"""A run on Ray: stage after stage, the tasks of each wherever the cluster has room, and this process waits for them."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import ifcurate.pipelines.log_sinks  # noqa: F401, before datatrove

# isort: split
from datatrove.executor.ray import RayPipelineExecutor
from datatrove.utils.logging import logger
from datatrove.utils.stats import PipelineStats

from ifcurate.corpus.shards import Shard
from ifcurate.errors import InputError
from ifcurate.pipelines.cluster import missing_jobs
from ifcurate.pipelines.executor import environment
from ifcurate.pipelines.heartbeat import watching
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.stage_jobs import StageJob
from ifcurate.pipelines.steps.run_stage import RunStage
from ifcurate.progress import log, track

LIVES = 4
"""How often a task is begun whose worker is lost each time."""


class StageExecutor(RayPipelineExecutor):
    """datatrove's, but a task of ours is one of Ray's, which notices when it is lost.

    datatrove runs a task in a child of Ray's worker, and waits forever for a child that is killed. It does not end well
    either where some tasks have nothing to do, nor does it say which failed.
    """

    def __init__(self, run: Run, config: RunConfig, job: StageJob) -> None:
        super().__init__(
            [RunStage(str(run.root.resolve()), job.stage)],
            tasks=job.tasks,
            workers=config.workers or -1,
            logging_dir=str(job.logs.resolve()),
            cpus_per_task=config.cpus_per_task,
            mem_per_cpu_gb=config.memory_per_cpu,
            gpus_per_task=job.gpus(config),
            ray_remote_kwargs={"runtime_env": {"env_vars": environment(config.threads)}, "max_retries": 0},
        )
        self.stage = job.stage
        self.working_directory = str(Path.cwd())
        self.failed: dict[int, str] = {}
        """Number of a task -> why it failed."""

    @property
    def resources(self) -> dict[str, float]:
        """What a task takes of a node, in Ray's words."""
        memory = self.mem_per_cpu_gb * self.cpus_per_task * (1 << 30)
        return {"CPU": self.cpus_per_task, "GPU": self.gpus_per_task, "memory": memory}

    def run(self) -> None:
        """Run the tasks that have something to do, all of them, whichever fail."""
        import ray

        task = ray.remote(_run_task).options(
            num_cpus=self.cpus_per_task,
            num_gpus=self.gpus_per_task,
            memory=self.resources["memory"],
            **self.ray_remote_kwargs,
        )
        left, begun = deque(self.get_incomplete_ranks()), Counter[int]()
        going: dict[Any, int] = {}
        while left or going:
            while left and len(going) < self.workers:
                number = left.popleft()
                begun[number] += 1
                going[task.remote(self, number)] = number
            (ended, *_), _ = ray.wait(list(going))
            number = going.pop(ended)
            if self._is_lost(ended, number, begun[number]):
                left.append(number)

    def _is_lost(self, ended: Any, number: int, begun: int) -> bool:
        """Whether a task that ended, having begun so many times, is to begin again: its worker or its node is gone."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            ray.get(ended)
        except RayTaskError as error:  # what the task raised
            self.failed[number] = f"{error.cause}"
        except RayError as error:
            reason = str(error).strip().splitlines()[0]
            if begun < LIVES:
                log.warning(f"{self.stage}, task {number}: its worker is lost, and it begins again ({reason})")
                return True
            self.failed[number] = f"its worker was lost {begun} times ({reason})"
        return False

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> PipelineStats:
        """With a log that is there while the task runs; datatrove's for Ray is copied when it ends."""
        return super(RayPipelineExecutor, self)._run_for_rank(rank, local_rank, node_rank)


def _run_task(executor: StageExecutor, number: int) -> None:
    """A task, in a worker of Ray's, where paths mean what they mean where the command was given."""
    os.chdir(executor.working_directory)
    executor._run_for_rank(number)


def run_missing(run: Run, config: RunConfig, shards: Sequence[Shard]) -> None:
    """Do what is missing on the Ray cluster that `RAY_ADDRESS` names, else on one that runs here, or is started.

    Raises:
        InputError: Ray is not installed or does not answer, or a task failed; what others did stays.
    """
    if jobs := missing_jobs(run, config, shards, time.time_ns()):
        logger.disable("datatrove")
        with _connected():
            for job in jobs:
                _run_job(run, config, job)


def _run_job(run: Run, config: RunConfig, job: StageJob) -> None:
    executor = StageExecutor(run, config, job)
    job.mark_idle(executor)
    _warn_of_want(executor)
    log.info(f"{job.stage}: {job.tasks - len(job.idle):,} tasks on Ray")
    with _watched(run, job):
        executor.run()
    for number, why in sorted(executor.failed.items()):
        log.error(f"{job.stage}, task {number} failed: {why}; see {job.logs}/logs/task_{number:05d}.log")
    if executor.failed:
        first, why = min(executor.failed.items())
        raise InputError(
            f"{job.stage}: {len(executor.failed):,} of {job.tasks:,} tasks failed, first task {first}, whose log is "
            f"{job.logs}/logs/task_{first:05d}.log: {why} Run the same command again to do what is missing."
        )


def _watched(run: Run, job: StageJob) -> AbstractContextManager[None]:
    """Shows how far the shards of a stage are, where it has any."""
    if not job.size:
        return nullcontext()
    return watching(run.logs / job.stage / "progress", track(job.stage, job.size))


def _warn_of_want(executor: StageExecutor) -> None:
    """Say so where no node could ever take a task: one that can may be on its way."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    wanted = executor.resources
    if not any(all(node.get(name, 0) >= amount for name, amount in wanted.items()) for node in nodes):
        log.warning(
            f"{executor.stage}: no node of the Ray cluster has {wanted['CPU']:,} cores, {wanted['GPU']:,} GPUs and "
            f"{wanted['memory'] / (1 << 30):,.0f} GB (--cpus-per-task, --gpus-per-task, --memory-per-cpu); tasks wait "
            "for one"
        )


@contextmanager
def _connected() -> Iterator[None]:
    """While the block runs, this process is a driver of Ray; when it ends, so do its tasks.

    Raises:
        InputError: Ray is not installed, or does not answer.
    """
    try:
        import ray
    except ImportError as error:
        raise InputError("option --executor ray: needs ray; install `ifcurate[ray]`.") from error
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster that is started here tells nobody
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(f"option --executor ray: Ray does not answer ({error}); see RAY_ADDRESS.") from error
    try:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)  # Ray has put its own in the place of ours
        has = ray.cluster_resources()
        log.info(f"Ray: {len(ray.nodes()):,} nodes, {has.get('CPU', 0):,.0f} cores, {has.get('GPU', 0):,.0f} GPUs")
        yield
    finally:
        ray.shutdown()
