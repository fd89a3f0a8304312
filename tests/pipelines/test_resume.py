"""A run stopped anywhere and started again: what was finished is kept, and the result is that of an undisturbed run."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import run_ifcurate, running
from processes import alive, descendants, workers_of
from runs import Workshop, contents, texts, write_shards

from ifcurate import files
from ifcurate.pipelines.run import Run

SHARDS = 24
"""Enough that three interruptions in a row each find work left, however fast the machine is."""
PATIENCE = 240.0
"""Seconds to wait for what has to come; a busy machine takes its time."""


class KilledError(BaseException):
    """No `except Exception` catches it, as none catches a kill."""


def remove_unless_killed(path: Path, remove: Callable[[Path], None] = files.remove) -> None:
    """A killed process tidies nothing up; the next one does."""
    if not isinstance(sys.exc_info()[1], KilledError):
        remove(path)


class Death:
    """A kill after some files: nothing is tidied up afterwards."""

    def __init__(self, files_before: int) -> None:
        self._left = files_before
        self._remove = files.remove

    def approach(self, path: Path) -> None:
        """Count what the run itself is about to finish: not its folders, and not what a thread notes beside it."""
        unfinished = any(name.endswith(files.PART_SUFFIX) for name in path.parts)
        if not unfinished or threading.current_thread() is not threading.main_thread():
            return
        self._left -= 1
        if self._left == 0:
            raise KilledError

    def remove(self, path: Path) -> None:
        if self._left > 0:
            self._remove(path)


@pytest.mark.slow
def test_killed_at_any_file_a_run_ends_as_if_nothing_had_happened(
    workshop: Workshop, finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    generator = random.Random(0)
    kept: dict[str, int] = {}
    deaths = 0
    while deaths < 50:
        death = Death(files_before=generator.randint(1, 20))
        with monkeypatch.context() as patch:
            patch.setattr(files, "_to_disk", death.approach)
            patch.setattr(files, "remove", death.remove)
            try:
                run = workshop.annotate(out=out)
                break
            except KilledError:
                deaths += 1
        assert list(out.rglob("*.part")) or not (out / "run.yaml").exists()
        now = times(out)
        assert {name: now.get(name) for name in kept} == kept, "what is finished is never written again"
        kept = {name: time for name, time in now.items() if not name.startswith("selection")}
    assert deaths > 3
    assert contents(run) == contents(finished)
    assert not list(out.rglob("*.part"))


def times(run: Path) -> dict[str, int]:
    return {name: (run / name).stat().st_mtime_ns for name in contents(run) if ".part" not in name}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_killed_interrupted_and_bereft_of_a_worker(workshop: Workshop, finished: Run, tmp_path: Path) -> None:
    corpus = write_shards(tmp_path / "corpus", [texts(500, seed) for seed in range(SHARDS)])
    shared = {"corpus": corpus, "direction": finished.direction("toxic")}
    undisturbed = workshop.annotate(out=tmp_path / "undisturbed", **shared)
    out = tmp_path / "run"
    words = ("annotate", *workshop.options(out=out, **{**shared, "workers": 2}))

    with running(*words) as process:
        wait_for(lambda: scored(out) > 0)
        left_behind = descendants(process.pid)
        process.kill()
        process.wait()
    assert len(left_behind) >= 3, "a server of processes and two workers"
    wait_for(lambda: not any(alive(pid) for pid in left_behind))
    first = times(out)
    assert 0 < scored(out) < SHARDS

    before = scored(out)
    with running(*words) as process:
        wait_for(lambda: scored(out) > before)
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate()
    assert process.returncode == 130, said
    assert said[1].splitlines()[-1] == "Interrupted; run the same command again to continue."
    assert "Traceback" not in said[1]
    assert not list(out.rglob("*.part"))

    before = scored(out)
    with running(*words) as process:
        wait_for(lambda: scored(out) > before)
        os.kill(workers_of(process.pid)[0], signal.SIGKILL)
        said = process.communicate()
    assert process.returncode == 2, said
    assert said[1].splitlines()[-1].startswith("Error: option --workers: a worker process was killed")
    assert "Traceback" not in said[1]
    assert scored(out) < SHARDS, "nothing was tested if the run had ended before"

    done = run_ifcurate(*words)
    assert done.code == 0, done.err
    assert contents(out) == contents(undisturbed)
    assert first.items() <= times(out).items()


def scored(run: Path) -> int:
    return len(list((run / "scores").glob("*.parquet")))


def wait_for(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)
