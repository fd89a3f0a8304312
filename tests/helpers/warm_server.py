"""Script: runs `ifcurate` commands in children forked from a process that has imported everything, and has them fail.

Reads one JSON request a line, `{"words": [...], "out": file, "err": file, "fault": {...}}`, and answers with the pid of
the child, then with how it ended. A child is the leader of a session of its own, and what it is to suffer is decided
before the command begins.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import resource
import signal
import sys
import threading
import time
import traceback
from typing import Any, NoReturn

import ifcurate.cli
import ifcurate.cli.tables
import ifcurate.pipelines.annotate
import ifcurate.pipelines.executor
import ifcurate.pipelines.train
from ifcurate.cli.commands import COMMANDS, load
from ifcurate.pipelines.steps import score_tokens
from ifcurate.storage import mirrored

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = ("os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")


class Moments:
    """Counts the changes of files below a folder, and kills the process before the one that was named."""

    def __init__(self, below: str, fatal: int | None) -> None:
        self.count = 0
        self._below = below
        self._fatal = fatal
        self._fsync = os.fsync
        os.fsync = self._before_fsync  # type: ignore[assignment]
        sys.addaudithook(self._audit)

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = args
            if isinstance(flags, int) and flags & WRITING and str(path).startswith(self._below):
                self._happen()
        elif event in CHANGES and str(args[0]).startswith(self._below):
            self._happen()

    def _before_fsync(self, descriptor: int) -> None:
        self._happen()
        self._fsync(descriptor)

    def _happen(self) -> None:
        self.count += 1
        if self.count == self._fatal:
            os.killpg(os.getpgid(0), signal.SIGKILL)


def suffer(fault: dict[str, Any]) -> None:
    """Bring about what `fault` says."""
    if "group_characters" in fault:
        score_tokens.CHARACTERS_PER_GROUP = fault["group_characters"]
    if "largest_file" in fault:
        resource.setrlimit(resource.RLIMIT_FSIZE, (fault["largest_file"],) * 2)
    os.environ.update(fault.get("environment", {}))
    if "seconds_between_sends" in fault:
        mirrored.SECONDS_BETWEEN_SENDS = fault["seconds_between_sends"]
    if "clock" in fault:
        now, now_ns, shift = time.time, time.time_ns, fault["clock"]
        time.time = lambda: now() + shift
        time.time_ns = lambda: now_ns() + int(shift * 1e9)


def child(request: dict[str, Any]) -> int:
    """Run the command; returns its exit code."""
    os.setsid()
    writing = os.O_WRONLY | os.O_CREAT
    for number, (path, flags) in enumerate(
        [(os.devnull, os.O_RDONLY), (request["out"], writing), (request["err"], writing)]
    ):
        os.dup2(os.open(path, flags), number)
    fault = request["fault"]
    suffer(fault)
    moments = Moments(fault["below"], fault.get("moment")) if "below" in fault else None
    sys.argv = ["ifcurate", *request["words"]]
    try:
        ifcurate.cli.main()
        return 0
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        if moments is not None:
            with open(fault["count"], "w") as file:  # noqa: PTH123
                file.write(str(moments.count))


def leave(code: int) -> NoReturn:
    """End as Python does, without the seconds that it takes to free what was imported."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def serve() -> None:
    for command in COMMANDS:
        load(command)
    gc.freeze()
    requests = sys.stdin.detach()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    answers.write("ready\n")
    for line in iter(requests.readline, b""):
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            answers.close()
            leave(child(request))
        answers.write(f"{pid}\n")
        _, status = os.waitpid(pid, 0)
        answers.write(f"{os.waitstatus_to_exitcode(status)}\n")


if __name__ == "__main__":
    serve()
