"""A disk that fills up: one sentence, nothing half-written, and the same bytes once there is room."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from faulty_tasks import TASKS, Task, leftovers, results
from warm_commands import Ended, WarmCommands

PAGE = 4096


def check(task: Task, folder: Path, ended: Ended) -> bool:
    """Whether a task found the disk full; then it said so, and what has its final name is what belongs there."""
    if ended.outcome.code == 0:
        return False
    assert "Traceback" not in ended.outcome.err, ended.outcome.err
    assert ended.outcome.code == 2, ended.outcome.err
    said = ended.outcome.err.splitlines()[-1]
    assert any(words in said for words in ("no space left", "No space left", "File too large", "disk space")), said
    unfinished = [file for file in leftovers(folder) if file.name != ".unfinished"]
    assert not unfinished, unfinished
    if task.name != "train" and folder.exists():
        expected = results(task.whole)
        found = {name: content for name, content in results(folder).items() if name in expected}
        earlier = results(task.before) if task.before is not None else {}
        wrong = [name for name, content in found.items() if content not in (expected[name], earlier.get(name))]
        assert not wrong, wrong
    return True


@pytest.mark.parametrize("name", ["fit", "score", "write", "train"])
def test_files_cannot_grow(name: str, tasks: dict[str, Task], warm: WarmCommands, tmp_path: Path) -> None:
    """A limit on the size of files, which needs no privilege; the largest file that a task makes is too large."""
    task = tasks[name]
    folder = task.begin(tmp_path / "run")
    new = results(task.whole).keys() - (results(task.before).keys() if task.before is not None else set())
    largest = max((task.whole / file).stat().st_size for file in new)
    assert check(task, folder, warm.run(*task.words(folder), largest_file=int(largest * 0.6)))
    assert warm.run(*task.words(folder)).outcome.code == 0
    task.assert_whole(folder)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A disk in memory of `size` bytes; skips where mounting is not permitted."""
    folder.mkdir(parents=True)
    mounted = mount(folder, f"size={size}")
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def mount(folder: Path, options: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("mount") is None:
        pytest.skip("there is no `mount`")
    words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def space(folder: Path) -> int:
    """What a folder takes on a tmpfs: pages for its files, and none for folders."""
    return sum(-(-file.lstat().st_size // PAGE) * PAGE for file in folder.rglob("*") if file.is_file())


@pytest.mark.faults
@pytest.mark.parametrize("name", TASKS)
def test_a_small_disk(name: str, tasks: dict[str, Task], warm: WarmCommands, tmp_path: Path) -> None:
    task, generator, full = tasks[name], random.Random(f"disk {name}"), 0
    before = space(task.before) if task.before is not None else 0
    for number in range(8):
        room = before + PAGE + int((space(task.whole) - before) * generator.uniform(0, 1.1))
        with small_disk(tmp_path / str(number), room) as disk:
            folder = task.begin(disk / "run")
            full += check(task, folder, warm.run(*task.words(folder)))
            assert mount(disk, "remount,size=64m").returncode == 0
            done = warm.run(*task.words(folder)).outcome
            assert done.code == 0, done.err
            task.assert_whole(folder)
    assert full >= 3
