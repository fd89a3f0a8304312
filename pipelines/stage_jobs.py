"""What of a run is left to be done, stage by stage, as an executor is to run it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ifcurate.corpus.shards import Shard
from ifcurate.pipelines.report import REPORT_FILE
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.write import unwritten

if TYPE_CHECKING:
    from datatrove.executor.base import PipelineExecutor

WITH_MODEL = ("fit", "direct", "score")


@dataclass(frozen=True)
class StageJob:
    """A stage, its tasks, where datatrove keeps their logs and says which are done, those with nothing to do, and the
    bytes of the shards that are left."""

    stage: str
    tasks: int
    logs: Path
    idle: tuple[int, ...] = ()
    size: int = 0

    def mark_idle(self, executor: PipelineExecutor) -> None:
        """Have `executor` of this stage leave out the tasks that have nothing to do."""
        for task in self.idle:
            executor.mark_rank_as_completed(task)

    def gpus(self, config: RunConfig) -> int:
        """Of each task."""
        return config.gpus_per_task if self.stage in WITH_MODEL else 0


def stage_jobs(run: Run, config: RunConfig, shards: Sequence[Shard], folder: Path) -> list[StageJob]:
    """The stages that something is missing of, in their order; none where all is done.

    Args:
        run: where everything is.
        config: how it is divided.
        shards: the corpus.
        folder: where the logs go, a new one each time: who is done is told by the files of the run.
    """
    unscored = [shard for shard in shards if not shard.output(run.scores).is_file()]
    before = _before_scores(run, config, shards)
    unread = list(shards) if before or unscored else unwritten(run, config, shards)
    jobs = [StageJob(stage, 1, folder / stage) for stage in before]
    if unscored:
        jobs.append(_shared("score", config, shards, unscored, folder))
    if unread:
        jobs += [StageJob("select", 1, folder / "select"), _shared("write", config, shards, unread, folder)]
    if unread or not (run.root / REPORT_FILE).is_file():
        jobs.append(StageJob("finish", 1, folder / "finish"))
    return jobs


def _before_scores(run: Run, config: RunConfig, shards: Sequence[Shard]) -> list[str]:
    fit = not run.factors.is_dir() and config.needs_factors
    unscreened = config.screen is not None and not all(shard.output(run.screened).is_file() for shard in shards)
    direct = fit or unscreened or not run.behaviours or not run.engine.is_file()
    return ["fit"] * fit + ["direct"] * direct


def _shared(stage: str, config: RunConfig, shards: Sequence[Shard], left: Sequence[Shard], folder: Path) -> StageJob:
    """A stage whose tasks have every so many of the shards; those whose shards are all done have nothing to do."""
    tasks, names = min(len(shards), config.tasks or 1000), {shard.name for shard in left}
    idle = tuple(n for n in range(tasks) if names.isdisjoint(shard.name for shard in shards[n::tasks]))
    return StageJob(stage, tasks, folder / stage, idle, sum(shard.size for shard in left))
