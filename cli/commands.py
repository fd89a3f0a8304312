"""The list of commands, each in a file of its own."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add every command to `app`."""
