"""kill -9 at any moment, and again: the same command ends as if nothing had happened.

A moment is a random time, or the one just before a random change of a file: of its name, its content or its being on
disk. Both come from seeds.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from faulty_tasks import TASKS, Task
from warm_commands import WarmCommands

KILLS = 10
"""Of each task, at least; seven tasks."""
AGAIN = 0.4
"""Probability that the command that goes on is killed, too."""


def moment(task: Task, generator: random.Random) -> dict[str, Any]:
    """Where a command is killed: before a change of a file, or at a time."""
    if generator.random() < 0.6:
        return {"moment": generator.randint(1, task.undisturbed.changes or 1)}
    return {"after": generator.uniform(0, task.undisturbed.seconds)}


def kill_and_finish(task: Task, warm: WarmCommands, folder: Path, generator: random.Random) -> int:
    """Kill a task at least once, let it end, and compare what it leaves; returns how often it was killed."""
    task.begin(folder)
    words, killed = task.words(folder), 0
    while killed == 0 or generator.random() < AGAIN:
        ended = warm.run(*words, below=folder.parent, **moment(task, generator))
        assert ended.was_killed or ended.outcome.code == 0, ended.outcome.err
        killed += ended.was_killed
        if not ended.was_killed and killed:
            break
        if not ended.was_killed:  # it had ended before
            task.assert_whole(folder)
            return 0
    ended = warm.run(*words)
    assert ended.outcome.code == 0, ended.outcome.err
    task.assert_whole(folder)
    return killed


@pytest.mark.parametrize("name", TASKS)
def test_killed_once(name: str, tasks: dict[str, Task], warm: WarmCommands, tmp_path: Path) -> None:
    task, generator = tasks[name], random.Random(name)
    task.begin(tmp_path / "run")
    words = task.words(tmp_path / "run")
    changes = task.undisturbed.changes
    assert changes
    assert warm.run(*words, below=tmp_path, moment=generator.randint(changes // 2, changes - 2)).was_killed
    assert warm.run(*words).outcome.code == 0
    task.assert_whole(tmp_path / "run")


@pytest.mark.faults
@pytest.mark.parametrize("name", TASKS)
def test_killed_many_times(name: str, tasks: dict[str, Task], warm: WarmCommands, tmp_path: Path) -> None:
    generator, killed, number = random.Random(f"many {name}"), 0, 0
    while killed < KILLS:
        killed += kill_and_finish(tasks[name], warm, tmp_path / str(number) / "run", generator)
        number += 1
