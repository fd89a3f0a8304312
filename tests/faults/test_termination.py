"""SIGTERM, and workers that the kernel kills: the command ends by itself, and leaves nothing behind that runs or is
half-written."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
from commands import running
from faulty_tasks import TASKS, Task, leftovers
from processes import alive, descendants, workers_of
from warm_commands import WarmCommands

PATIENCE = 120.0


def terminate_and_finish(task: Task, warm: WarmCommands, folder: Path, after: float) -> int:
    """Ask a task to terminate, check what is left, and let it end; returns the exit code of the first command."""
    ended = warm.run(*task.words(task.begin(folder)), after=after, sending=signal.SIGTERM)
    assert ended.outcome.code in (0, 143, -signal.SIGTERM), ended.outcome.err
    if ended.outcome.code == 143:
        assert ended.outcome.err.splitlines()[-1] == "Terminated; run the same command again to continue."
        assert "Traceback" not in ended.outcome.err
        unfinished = [file for file in leftovers(folder) if file.name != ".unfinished"]
        assert not unfinished, unfinished
    again = warm.run(*task.words(folder))
    assert again.outcome.code == 0, again.outcome.err
    task.assert_whole(folder)
    return ended.outcome.code


def test_every_command_is_terminated_in_order(tasks: dict[str, Task], warm: WarmCommands, tmp_path: Path) -> None:
    codes = [
        terminate_and_finish(task, warm, tmp_path / name / "run", 0.3 * task.undisturbed.seconds)
        for name, task in tasks.items()
    ]
    assert codes.count(143) > len(TASKS) // 2, "a busy machine may let some end, or begin, before"


@pytest.mark.faults
@pytest.mark.parametrize("name", TASKS)
def test_terminated_at_any_time(name: str, tasks: dict[str, Task], warm: WarmCommands, tmp_path: Path) -> None:
    task, generator = tasks[name], random.Random(f"terminated {name}")
    codes = [
        terminate_and_finish(task, warm, tmp_path / str(number) / "run", generator.uniform(0, task.undisturbed.seconds))
        for number in range(5)
    ]
    assert any(codes), "none was stopped"


@pytest.mark.faults
@pytest.mark.parametrize("fault", ["the command is terminated", "its session is terminated", "a worker is killed"])
def test_two_workers(fault: str, tasks: dict[str, Task], warm: WarmCommands, tmp_path: Path) -> None:
    """They are stopped while they load their model."""
    task, folder = tasks["score"], tmp_path / "run"
    task.begin(folder)
    with running("score", folder, "--workers=2") as process:
        until = time.monotonic() + PATIENCE
        while len(workers_of(process.pid)) < 2:
            assert time.monotonic() < until
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        below = descendants(process.pid)
        if fault == "the command is terminated":
            process.terminate()
        elif fault == "its session is terminated":
            os.killpg(process.pid, signal.SIGTERM)
        else:
            os.kill(workers_of(process.pid)[0], signal.SIGKILL)
        _, err = process.communicate(timeout=PATIENCE)
    assert "Traceback" not in err
    if fault == "a worker is killed":
        assert process.returncode == 2, err
        assert err.splitlines()[-1].startswith("Error: option --workers: a worker process was killed")
    else:
        assert process.returncode in (2, 143), err
    until = time.monotonic() + PATIENCE
    while any(alive(pid) for pid in below):
        assert time.monotonic() < until, "a worker outlives its command"
        time.sleep(0.01)
    unfinished = [file for file in leftovers(folder) if file.name != ".unfinished"]
    assert not unfinished, unfinished
    assert warm.run(*task.words(folder)).outcome.code == 0
    task.assert_whole(folder)
