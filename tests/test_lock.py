"""One command at a time for a folder; the lock of a dead process holds nobody up."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from ifcurate import lock
from ifcurate.errors import InputError
from ifcurate.lock import Holder, owning

HOLD = """
import sys, time
from pathlib import Path
from ifcurate.lock import owning
with owning(Path(sys.argv[1]), "ifcurate annotate"):
    print("held", flush=True)
    time.sleep(300)
"""


@contextmanager
def held_elsewhere(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that owns `folder` until it is killed."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def lock_of(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.ifcurate.lock"


def test_the_second_is_refused_at_once_and_goes_on_once_the_first_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with held_elsewhere(folder) as first:
        (tmp_path / "link").symlink_to(folder)
        for name in (folder, tmp_path / "link"):
            began = time.monotonic()
            with pytest.raises(InputError) as refused, owning(name, "ifcurate select"):
                pass
            assert time.monotonic() - began < 1
            said = f"{name}: is being written by `ifcurate annotate`, process {first.pid} on {socket.gethostname()}, "
            assert str(refused.value).startswith(said + "since 20")
        first.kill()
        first.poll()  # may still be a zombie, which writes nothing either
        deadline = time.monotonic() + 10
        while lock._kernel_says_held(lock_of(folder)):
            assert time.monotonic() < deadline
        with owning(folder, "ifcurate select"):
            assert json.loads(lock_of(folder).read_text())["pid"] == os.getpid()
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_a_later_process_of_the_same_number_is_another_one(tmp_path: Path) -> None:
    ours = Holder.here("ifcurate annotate")
    before = Holder(**{**asdict(ours), "started": ours.started + "0"})
    lock_of(tmp_path / "run").write_text(json.dumps(asdict(before)))
    with owning(tmp_path / "run", "ifcurate select"):
        pass


def test_on_another_machine_the_time_of_the_last_beat_decides(tmp_path: Path) -> None:
    file = lock_of(tmp_path / "run")
    holder = Holder("elsewhere", 1, "boot:1", "ifcurate score", "yesterday", "")
    file.write_text(json.dumps(asdict(holder)))
    with (
        pytest.raises(InputError, match="by `ifcurate score`, process 1 on elsewhere, since yesterday"),
        owning(tmp_path / "run", "ifcurate select"),
    ):
        pass
    silent = time.time() - lock.SECONDS_UNTIL_DEAD - 1
    os.utime(file, (silent, silent))
    with owning(tmp_path / "run", "ifcurate select"):
        pass
    assert not file.exists()


def test_what_the_dead_left_while_they_took_a_lock_is_removed(tmp_path: Path) -> None:
    ours, name = Holder.here("ifcurate annotate"), lock_of(tmp_path / "run").name
    dead = json.dumps(asdict(Holder(**{**asdict(ours), "started": ours.started + "0"})))
    (tmp_path / f"{name}.dead").write_text(dead)
    (tmp_path / f"{name}.dead.stale").write_text(dead)
    (tmp_path / f"{name}.alive").write_text(json.dumps(asdict(ours)))
    (tmp_path / f"{name}.alive.stale").write_text(dead)
    (tmp_path / f"{name}.torn").write_text("{")
    with owning(tmp_path / "run", "ifcurate select"):
        pass
    alive = [f"{name}.alive", f"{name}.alive.stale"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [*alive, f"{name}.torn"]
    silent = time.time() - lock.SECONDS_UNTIL_DEAD - 1
    os.utime(tmp_path / f"{name}.torn", (silent, silent))
    with owning(tmp_path / "run", "ifcurate select"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == alive


def test_beats_go_on_while_a_lock_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "SECONDS_BETWEEN_BEATS", 0.01)
    file = lock_of(tmp_path / "run")
    with owning(tmp_path / "run", "ifcurate score"):
        os.utime(file, (0, 0))
        deadline = time.monotonic() + 10
        while file.stat().st_mtime < 1:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_one_process_has_a_folder_once_and_again_when_it_is_done(tmp_path: Path) -> None:
    for _ in range(2):
        with owning(tmp_path / "new" / "run", "ifcurate fit"):
            with pytest.raises(InputError, match=f"process {os.getpid()}"), owning(tmp_path / "new/run", "x"):
                pass
            with owning(tmp_path / "new" / "other", "ifcurate fit"):
                pass
        assert not list(tmp_path.iterdir())


def test_without_hard_links_and_kernel_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on some network file systems."""

    def unsupported(*_: object) -> None:
        raise OSError("not supported")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", unsupported)
        patch.setattr(lock.fcntl, "lockf", unsupported)
        with held_elsewhere(tmp_path / "run") as first:
            with pytest.raises(InputError, match=f"process {first.pid}"), owning(tmp_path / "run", "x"):
                pass
            first.kill()
            first.wait()
            with owning(tmp_path / "run", "x"):
                assert json.loads(lock_of(tmp_path / "run").read_text())["pid"] == os.getpid()
    assert not list(tmp_path.iterdir())
