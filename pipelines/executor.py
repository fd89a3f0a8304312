"""datatrove's local executor as our recipes use it: quiet, one thread a worker, errors passed on as they are."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.utils.logging import logger
from datatrove.utils.stats import PipelineStats

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


class QuietExecutor(LocalPipelineExecutor):
    """A `LocalPipelineExecutor` whose tasks log to their files only; the recipe shows progress and errors itself."""

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> PipelineStats:
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
            try:
                return super()._run_for_rank(rank, local_rank, node_rank)
            finally:
                logger.remove()  # datatrove's default sink is the stream that closes here


def run_tasks(steps: Sequence[PipelineStep], tasks: int, workers: int, threads: int, logs: Path) -> PipelineStats:
    """Run `steps` as `tasks` tasks in `workers` processes and return the merged statistics.

    Finished tasks are not remembered by number, as datatrove would: the recipes ask for unfinished shards only.
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
    with _threads_of_children(threads):
        return executor.run()


def total(stats: PipelineStats, label: str) -> int:
    """Sum of the statistic `label` over all steps and tasks."""
    return int(sum(step.stats[label].total for step in stats.stats if label in step.stats))


@contextlib.contextmanager
def _threads_of_children(threads: int) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update({name: str(threads) for name in THREAD_VARIABLES})
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
