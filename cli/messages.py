"""What the command line shows of the package's log, and a pipe that closes early."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
from typing import TextIO

from ifcurate.launch import is_first_process

BROKEN_PIPE = 141
"""What a shell says of a program that SIGPIPE ended, 128 + 13; ours ends itself."""

_LEVELS = {"-q": logging.WARNING, "--quiet": logging.WARNING, "-v": logging.DEBUG, "--verbose": logging.DEBUG}
VERBOSITY = frozenset(_LEVELS)


class _Standard(logging.StreamHandler[TextIO]):
    """Writes to what standard error is at the moment: a progress bar puts itself in its place while it lives."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def show_log(words: list[str]) -> None:
    """Print the log of `ifcurate` as plain lines on standard error, in the first process of a launch only.

    Args:
        words: of the command line; `-q` shows warnings only and no progress, `-v` what a run chooses too.
    """
    level = next((_LEVELS[word] for word in words if word in _LEVELS), logging.INFO)
    log = logging.getLogger("ifcurate")
    log.setLevel(level if is_first_process() else logging.ERROR)
    log.handlers = [_Standard()]
    log.propagate = False


def is_broken_pipe(error: BaseException | None) -> bool:
    """Whether `error` says that nobody reads what was written."""
    return isinstance(error, OSError) and error.errno == errno.EPIPE


def close_quietly() -> None:
    """Let nothing be written to a standard output that nobody reads any more, at exit neither."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
