"""The `ifcurate` command as a user sees it: what it prints, and with which code it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """What a command left on the terminal."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one sentence of a refusal, checked to be that and nothing more."""
        assert self.code == 2, self.err or self.out
        assert "Traceback" not in self.out + self.err
        *progress, last = self.err.splitlines()
        assert all(
            re.search("tokens/s|documents/s|^corpus: |^eigenvectors of |^influence is over ", line) for line in progress
        ), self.err
        assert last.endswith("."), last
        return last.removeprefix("Error: ")


Command = Callable[..., Outcome]


def ifcurate_command(*words: str | Path) -> list[str]:
    return [str(Path(sys.executable).parent / "ifcurate"), *map(str, words)]


def run_ifcurate(*words: str | Path, **options: Any) -> Outcome:
    """The command in a process of its own."""
    done = subprocess.run(
        ifcurate_command(*words), capture_output=True, text=True, check=False, env=environment(), **options
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@contextmanager
def running(*words: str | Path) -> Iterator[subprocess.Popen[str]]:
    """The command in a session of its own, killed in the end whatever happens; Ctrl-C reaches it.

    A shell without a terminal has its background jobs ignore Ctrl-C, these tests among them, and children inherit that.
    """
    pipe = subprocess.PIPE
    with subprocess.Popen(
        ifcurate_command(*words),
        stdout=pipe,
        stderr=pipe,
        text=True,
        start_new_session=True,
        env=environment(),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
