"""Commands in processes of their own that need no imports: children of `warm_server.py`, which may be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands import Outcome, environment

GROUP_CHARACTERS = 1200
"""So that the shards of a tiny corpus are scored in several groups."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, or minus the signal, what it said, and how often it changed files."""

    outcome: Outcome
    changes: int | None
    seconds: float

    @property
    def was_killed(self) -> bool:
        return self.outcome.code == -signal.SIGKILL


class WarmCommands:
    """Runs one command at a time."""

    def __init__(self, folder: Path) -> None:
        """`folder` takes what the commands print."""
        self._folder = folder
        script = Path(__file__).with_name("warm_server.py")
        self._server = subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
            start_new_session=True,
            preexec_fn=keep_to_one_core,
        )
        assert self._read() == "ready"

    def close(self) -> None:
        """End the server."""
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()

    def run(
        self,
        *words: str | Path,
        after: float | None = None,
        sending: int = signal.SIGKILL,
        below: Path | None = None,
        **fault: Any,
    ) -> Ended:
        """A command, from beginning to end.

        Args:
            words: of the command line.
            after: seconds after which the process and those it started get the signal `sending`.
            below: count the changes of files in this folder; the file system's, not those that Arrow or Rust make.
            fault: see `warm_server.suffer`; `moment` is the number of the change before which the process is killed.
        """
        out, err, count = (self._folder / name for name in ("out", "err", "count"))
        count.unlink(missing_ok=True)
        for file in (out, err):
            file.write_bytes(b"")  # a command may be killed before it opens them
        if below is not None:
            fault |= {"below": str(below), "count": str(count)}
        request = {
            "words": [str(word) for word in words],
            "out": str(out),
            "err": str(err),
            "fault": {"group_characters": GROUP_CHARACTERS, **fault},
        }
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        pid, started = int(self._read()), time.monotonic()
        if after is not None:
            time.sleep(after)
            kill_group(pid, sending)
        code = int(self._read())
        seconds = time.monotonic() - started
        outcome = Outcome(code, out.read_text(), err.read_text())
        return Ended(outcome, int(count.read_text()) if count.is_file() else None, seconds)

    def _read(self) -> str:
        assert self._server.stdout is not None
        line = self._server.stdout.readline()
        assert line, "the server of commands has ended"
        return line.strip()


def keep_to_one_core() -> None:
    """Threads of one command that wait for each other on busy cores take seconds for what takes a millisecond."""
    cores = sorted(os.sched_getaffinity(0))
    number = int("0" + "".join(filter(str.isdigit, os.environ.get("PYTEST_XDIST_WORKER", ""))))
    os.sched_setaffinity(0, {cores[number % len(cores)]})


def kill_group(pid: int, sending: int) -> None:
    """Signal the session of `pid`; it may have ended, or have no session of its own yet."""
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, sending)
        except ProcessLookupError:
            continue
        return


@contextmanager
def warm_commands(folder: Path) -> Iterator[WarmCommands]:
    """A server that ends with the block."""
    commands = WarmCommands(folder)
    try:
        yield commands
    finally:
        commands.close()
