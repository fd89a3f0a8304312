"""How far the submitted jobs of a run are: what datatrove and the tasks left on disk, and what Slurm says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ifcurate.pipelines.cluster import SubmittedStage, read_submitted, tasks_left
from ifcurate.pipelines.heartbeat import read_beats
from ifcurate.pipelines.run import Run, open_run
from ifcurate.pipelines.stage_times import span

if TYPE_CHECKING:
    from ifcurate.pipelines.slurm import QueuedTask

RUNNING = ("RUNNING", "COMPLETING", "CONFIGURING")
SAID_OF_EVERY_FAILURE = ("srun: Force Terminated", "srun: Terminating", "Exited with exit code")


@dataclass(frozen=True)
class StageState:
    """A submitted stage.

    Attributes:
        stage: its name.
        tasks: how many it has; those that had nothing to do are done.
        done: how many have ended well.
        running: how many do something now.
        failed: number of a task -> the last line of its log.
        is_over: whether the cluster is done with it.
        tokens: worked through since it was submitted.
        tokens_per_second: since its first task began.
        seconds_left: at the pace so far; None where nothing is known.
    """

    stage: str
    tasks: int
    done: int
    running: int
    failed: Mapping[int, str]
    is_over: bool
    tokens: int
    tokens_per_second: float
    seconds_left: float | None

    @property
    def waiting(self) -> int:
        """Tasks that have not begun."""
        return self.tasks - self.done - self.running - len(self.failed)


def status(root: str) -> list[StageState]:
    """Every stage that was submitted last, in their order.

    Raises:
        InputError: the folder is no run, nothing was submitted, or Slurm does not answer.
    """
    run, _ = open_run(root)
    stages, queue = read_submitted(run).stages, tasks_left(run)
    return [_state(run, each, [task for task in queue if task.stage == each.stage]) for each in stages]


def _state(run: Run, submitted: SubmittedStage, queue: Sequence[QueuedTask]) -> StageState:
    logs = Path(submitted.logs)
    numbers = json.loads((logs / "ranks_to_run.json").read_text(encoding="utf-8"))
    done = submitted.done()
    there = {numbers[task.place]: task.state for task in queue if task.place is not None}
    running = {number for number, state in there.items() if state in RUNNING} - done
    begun = {numbers[int(file.stem.rpartition("_")[2])]: file for file in (logs / "slurm_logs").glob("*.out")}
    failed = sorted(begun.keys() - done - there.keys())
    size, tokens = read_beats(run.logs / submitted.stage / "progress")
    seconds = span(run.logs, submitted.stage, submitted.since)
    return StageState(
        stage=submitted.stage,
        tasks=submitted.tasks,
        done=len(done),
        running=len(running),
        failed={number: _last_line(begun[number]) for number in failed},
        is_over=not queue,
        tokens=tokens,
        tokens_per_second=tokens / seconds if seconds else 0.0,
        seconds_left=seconds * (submitted.size - size) / size if running and size else None,
    )


def _last_line(file: Path) -> str:
    """The last one that says why."""
    lines = [line.strip() for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if not any(said in line for said in SAID_OF_EVERY_FAILURE)]
    return telling[-1] if telling else "without a word"
