"""The launch that a process is one of, as torchrun tells it in the environment; alone, it is the first."""

from __future__ import annotations

import os


def processes() -> int:
    """How many there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Whether this is the one that prints, and that writes what is there once."""
    return os.environ.get("RANK", "0") == "0"
