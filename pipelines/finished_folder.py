"""Folders that a command makes in one go: made by the same settings from the same they are left, others are refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ifcurate.config import Config, build, read_provenance, save
from ifcurate.errors import InputError
from ifcurate.files import is_free
from ifcurate.provenance import versions

MADE_FROM = "made_from"


def record_made(folder: Path, file: str, config: Config, made_from: Mapping[str, Any]) -> None:
    """Say in `folder / file` by which settings and from what the folder was made."""
    save(config, folder / file, {**versions(), MADE_FROM: dict(made_from)})


def made_from(
    folder: Path, file: str, config: Config, origin: Mapping[str, Any], free: Collection[str] = ()
) -> dict[str, Any] | None:
    """What `record_made` was told of `folder`, if the same settings made it from `origin`; None where it is free.

    Args:
        folder: the output.
        file: its name there.
        config: the settings; those that are `free` leave no trace in the folder.
        origin: what has to be the same; more may have been recorded.
        free: names of settings.

    Raises:
        InputError: the folder holds something else, or was made by other settings or from something else.
    """
    if is_free(folder):
        return None
    if not (folder / file).is_file():
        raise InputError(f"option --out: {folder} is in use by something else; give a new folder.")
    stored = build(type(config), {"out": str(folder)}, folder / file)
    for name, value in config.model_dump().items():
        if name not in {"out", *free} and value != getattr(stored, name):
            raise InputError(
                f"option --{name.replace('_', '-')}: {folder} was made with {getattr(stored, name)!r}, not {value!r}; "
                "give another --out, or --overwrite."
            )
    found: dict[str, Any] = read_provenance(folder / file, MADE_FROM)[MADE_FROM]
    if {name: found.get(name) for name in origin} != dict(origin):
        raise InputError(
            f"option --out: {folder} was made from what was there before; give another --out, or --overwrite."
        )
    return found
