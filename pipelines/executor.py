"""Runs datatrove steps on this machine as our recipes need it: no worker outlives the recipe or is waited for in vain.

datatrove's own pool waits forever for a task whose worker was killed, its workers go on after the main process is gone,
and its tasks take the log of whoever runs them. Here tasks run on `concurrent.futures`, which notices a lost worker,
and every worker holds one end of a pipe: when the other end closes, because a task failed or the main process died in
whatever way, the worker ends at once.
"""

from __future__ import annotations

import contextlib
import copy
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import ifcurate.pipelines.log_sinks  # noqa: F401, before datatrove

# isort: split
from datatrove.pipeline.base import PipelineStep
from datatrove.utils.logging import logger
from datatrove.utils.stats import PipelineStats

from ifcurate.errors import InputError
from ifcurate.files import remove_parts

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
QUIET_VARIABLES = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
"""Bars nobody sees would also leave locks behind, of which Python complains when a worker ends early."""


@dataclass(frozen=True)
class Tasks:
    """Steps that are run as `count` tasks in `workers` processes; task r of n does its share of the work."""

    steps: list[PipelineStep]
    count: int
    workers: int

    def run(self, on_task: Callable[[PipelineStats], None]) -> PipelineStats:
        """Run every task, hand its statistics to `on_task` when it ends, and return all of them merged.

        Raises:
            InputError: a worker process was killed.
            Exception: whatever a task raises; the others are stopped.
        """
        done = self._run_here() if self.workers == 1 else self._run_in_workers()
        merged = PipelineStats()
        for stats in done:
            on_task(stats)
            merged = merged + stats
        return merged

    def run_task(self, rank: int) -> PipelineStats:
        """Run one task on steps of its own, whose statistics begin at zero: each passes its documents to the next."""
        steps = copy.deepcopy(self.steps)
        documents = None
        for step in steps:
            documents = step(documents, rank, self.count)
        deque(documents or (), maxlen=0)
        return PipelineStats(steps)

    def _run_here(self) -> Iterator[PipelineStats]:
        return (self.run_task(rank) for rank in range(self.count))

    def _run_in_workers(self) -> Iterator[PipelineStats]:
        context = multiprocessing.get_context("forkserver")
        theirs, ours = context.Pipe(duplex=False)
        with ours, ProcessPoolExecutor(self.workers, context, _Worker.start, (self, theirs)) as pool:
            try:
                with _interrupts_held_back():
                    futures = [pool.submit(_Worker.run_task, rank) for rank in range(self.count)]
                yield from (future.result() for future in as_completed(futures))
            except BrokenProcessPool as error:
                raise InputError(
                    "option --workers: a worker process was killed, most often because memory ran out; "
                    "run the same command again, with fewer workers."
                ) from error
            except BaseException:
                ours.close()  # ends the workers in the middle of their tasks; the pool would wait for them
                raise


class _Worker:
    """What a worker process keeps from task to task."""

    tasks: Tasks

    @classmethod
    def start(cls, tasks: Tasks, lifeline: Connection) -> None:
        """Called once in every worker, which says nothing: the recipe shows progress and errors."""
        cls.tasks = tasks
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115, open as long as the worker lives
        logger.remove()
        threading.Thread(target=cls._end_with, args=(lifeline,), daemon=True).start()

    @classmethod
    def run_task(cls, rank: int) -> PipelineStats:
        return cls.tasks.run_task(rank)

    @staticmethod
    def _end_with(lifeline: Connection) -> None:
        with contextlib.suppress(EOFError, OSError):
            lifeline.recv_bytes()
        os._exit(1)


def run_tasks(
    steps: Sequence[PipelineStep],
    tasks: int,
    workers: int,
    threads: int,
    logs: Path,
    results: Path,
    on_task: Callable[[PipelineStats], None] = lambda stats: None,
) -> PipelineStats:
    """Run `steps` as `tasks` tasks in `workers` processes and return the merged statistics.

    Finished tasks are not remembered by number, as datatrove would: the recipes ask for unfinished shards only.

    Args:
        steps: the pipeline.
        tasks: how many parts the work has.
        workers: most processes at a time; one is this process itself.
        threads: CPU threads of each.
        logs: folder of the statistics, `stats.json`.
        results: where the tasks write; what they leave unfinished there when one fails is deleted.
        on_task: called with the statistics of every task that has ended.
    """
    try:
        with _environment_of_children(threads):
            stats = Tasks(list(steps), tasks, min(workers, tasks)).run(on_task)
        logs.mkdir(parents=True, exist_ok=True)
        with (logs / "stats.json").open("w", encoding="utf-8") as file:
            stats.save_to_disk(file)
        return stats
    except BaseException:
        remove_parts(results)
        raise


def environment(threads: int) -> dict[str, str]:
    """Variables of a process that computes with so many threads."""
    return {**dict.fromkeys(THREAD_VARIABLES, str(threads)), **QUIET_VARIABLES}


def total(stats: PipelineStats, label: str) -> int:
    """Sum of the statistic `label` over all steps and tasks."""
    return int(sum(step.stats[label].total for step in stats.stats if label in step.stats))


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Processes started in this block never get Ctrl-C: the main process does, once the block is over."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _environment_of_children(threads: int) -> Iterator[None]:
    variables = environment(threads)
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
