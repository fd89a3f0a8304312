"""Imports datatrove without harm to the application: when first imported, it removes every sink of loguru's logger."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module


@contextmanager
def _sinks_kept() -> Iterator[None]:
    """While the block runs, nobody adds a sink to loguru's logger or removes one."""
    loguru = sys.modules.get("loguru")
    if loguru is None:  # then nobody has added one
        yield
        return
    changed = vars(loguru.logger)
    changed.update(add=lambda *_, **__: 0, remove=lambda *_: None)  # in the way of the class's own methods
    try:
        yield
    finally:
        del changed["add"], changed["remove"]


with _sinks_kept():
    import_module("datatrove.utils.logging")
