"""Ctrl-C and SIGTERM end a command in order, whatever a library makes of the exception that they raise."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
TERMINATED = 143
"""What a shell says of programs that SIGINT and SIGTERM ended, 128 + the signal; ours end themselves, once they have
tidied up."""


@contextmanager
def stopping_in_order() -> Iterator[None]:
    """While the block runs, SIGTERM ends it as Ctrl-C does: workers are stopped and what is half-written is deleted.

    DuckDB turns whatever a signal raises within a query into a RuntimeError of its own; an error that follows a signal
    is therefore taken for the end that was asked for. Raises SystemExit with `INTERRUPTED` or `TERMINATED` then.
    """
    asked: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        asked.append(INTERRUPTED)
        signal.default_int_handler(number, frame)

    def terminate(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # tidying up is not to be interrupted
        asked.append(TERMINATED)
        sys.exit(TERMINATED)

    interrupted, terminated = signal.getsignal(signal.SIGINT), signal.signal(signal.SIGTERM, terminate)
    if interrupted is signal.default_int_handler:  # else Ctrl-C is ignored, as in the background of a shell
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    except Exception as error:
        if not asked:
            raise
        raise SystemExit(asked[-1]) from error
    finally:
        signal.signal(signal.SIGINT, interrupted)
        signal.signal(signal.SIGTERM, terminated)
