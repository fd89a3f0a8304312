"""datatrove's local executor as our recipes use it: quiet, and no worker outlives the recipe or is waited for in vain.

datatrove's own pool waits forever for a task whose worker was killed, and its workers go on after the main process is
gone. Here tasks run on `concurrent.futures`, which notices a lost worker, and every worker holds one end of a pipe:
when the other end closes, because a task failed or the main process died in whatever way, the worker ends at once.
"""

from __future__ import annotations

import contextlib
import copy
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from pathlib import Path

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.utils.logging import logger
from datatrove.utils.stats import PipelineStats

from ifcurate.errors import InputError
from ifcurate.files import remove_parts

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
QUIET_VARIABLES = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
"""Bars nobody sees would also leave locks behind, of which Python complains when a worker ends early."""


class QuietExecutor(LocalPipelineExecutor):
    """A `LocalPipelineExecutor` whose tasks log to their files only; the recipe shows progress and errors itself."""

    def run(self) -> PipelineStats:
        """Run every task and return the merged statistics.

        Raises:
            InputError: a worker process was killed.
            Exception: whatever a task raises; the others are stopped.
        """
        self.save_executor_as_json()
        tasks = self._run_here() if self.workers == 1 else self._run_in_workers()
        stats = sum(tasks, start=PipelineStats())
        with self.logging_dir.open("stats.json", "wt") as file:
            stats.save_to_disk(file)
        return stats

    def run_task(self, rank: int) -> PipelineStats:
        """Run one task on steps of its own, whose statistics begin at zero."""
        executor = copy.copy(self)
        executor.pipeline = copy.deepcopy(self.pipeline)
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
            try:
                return executor._run_for_rank(rank)
            finally:
                logger.remove()  # datatrove's default sink is the stream that closes here

    def _run_here(self) -> Iterator[PipelineStats]:
        return (self.run_task(rank) for rank in range(self.tasks))

    def _run_in_workers(self) -> Iterator[PipelineStats]:
        context = multiprocessing.get_context(self.start_method)
        theirs, ours = context.Pipe(duplex=False)
        with ours, ProcessPoolExecutor(self.workers, context, _Worker.start, (self, theirs)) as pool:
            try:
                with _interrupts_held_back():
                    futures = [pool.submit(_Worker.run_task, rank) for rank in range(self.tasks)]
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

    executor: QuietExecutor

    @classmethod
    def start(cls, executor: QuietExecutor, lifeline: Connection) -> None:
        """Called once in every worker."""
        cls.executor = executor
        threading.Thread(target=cls._end_with, args=(lifeline,), daemon=True).start()

    @classmethod
    def run_task(cls, rank: int) -> PipelineStats:
        return cls.executor.run_task(rank)

    @staticmethod
    def _end_with(lifeline: Connection) -> None:
        with contextlib.suppress(EOFError, OSError):
            lifeline.recv_bytes()
        os._exit(1)


def run_tasks(
    steps: Sequence[PipelineStep], tasks: int, workers: int, threads: int, logs: Path, results: Path
) -> PipelineStats:
    """Run `steps` as `tasks` tasks in `workers` processes and return the merged statistics.

    Finished tasks are not remembered by number, as datatrove would: the recipes ask for unfinished shards only.

    Args:
        steps: the pipeline.
        tasks: how many parts the work has.
        workers: most processes at a time; one is this process itself.
        threads: CPU threads of each.
        logs: folder of datatrove's logs and statistics.
        results: where the tasks write; what they leave unfinished there when one fails is deleted.
    """
    logger.remove()
    executor = QuietExecutor(
        pipeline=list(steps),
        tasks=tasks,
        workers=min(workers, tasks),
        logging_dir=str(logs),
        skip_completed=False,
        start_method="forkserver",
    )
    try:
        with _environment_of_children(threads):
            return executor.run()
    except BaseException:
        remove_parts(results)
        raise


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
    variables = {**dict.fromkeys(THREAD_VARIABLES, str(threads)), **QUIET_VARIABLES}
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
