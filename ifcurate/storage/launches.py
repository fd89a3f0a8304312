"""Processes of one launch at a URL: the first takes up what lies there, the others wait for it, and work in its folder.

They share their parent, torchrun or what is like it, by which they know each other before anything else connects them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ifcurate.errors import InputError
from ifcurate.files import remove, write_text
from ifcurate.lock import start_of

SECONDS_BETWEEN_LOOKS = 0.2


def require_one_machine(url: str) -> None:
    """Refuse a launch whose processes run on several machines, which have no folder in common for a URL.

    Raises:
        InputError: it is one.
    """
    total = os.environ.get("WORLD_SIZE", "1")
    if os.environ.get("LOCAL_WORLD_SIZE", total) != total:
        raise InputError(f"{url}: processes on several machines cannot work at a URL; give a folder that they share.")


@contextmanager
def announced(folder: Path) -> Iterator[None]:
    """While the block runs, the other processes of the launch find `folder` as it is to be."""
    mark = _mark(folder)
    write_text(mark, _launch())
    try:
        yield
    finally:
        remove(mark)


def wait_for(folder: Path) -> None:
    """Wait until the first process has announced `folder`.

    Raises:
        InputError: the launch has ended.
    """
    mark, launch, parent = _mark(folder), _launch(), os.getppid()
    while not (mark.is_file() and mark.read_text(encoding="utf-8") == launch):
        if os.getppid() != parent:
            raise InputError(f"{folder}: the launch that this process belongs to has ended; start it again.")
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _mark(folder: Path) -> Path:
    return folder.with_name("launch")


def _launch() -> str:
    """What tells the processes of a launch, and of its restarts, from others on this machine."""
    return f"{os.getppid()} {start_of(os.getppid())} {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
