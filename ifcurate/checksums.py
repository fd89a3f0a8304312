"""Files that say themselves whether they are what was written: a list of hashes inside a folder, or one inside JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from ifcurate.errors import InputError
from ifcurate.files import sha256_of, write_text

CHECKSUMS_FILE = "checksums.json"
CHECKSUM = "checksum"
"""Key of a JSON object under which the hash of all others stands."""


def write_checksums(folder: Path) -> None:
    """List the hash of every file in `folder` and below in `CHECKSUMS_FILE` there."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != CHECKSUMS_FILE)
    sums = {file.relative_to(folder).as_posix(): sha256_of(file) for file in files}
    write_text(folder / CHECKSUMS_FILE, json.dumps(checked(sums), indent=1) + "\n")


def verify_checksums(folder: Path, remedy: str) -> None:
    """Compare every file that is listed with what was written; a folder without a list is taken as it is.

    Raises:
        InputError: one is missing or damaged, or the list is; names it and ends with `remedy`.
    """
    listing = folder / CHECKSUMS_FILE
    if not listing.is_file():
        return
    try:
        sums = json.loads(listing.read_bytes())
        whole = is_whole(sums)
    except (ValueError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise InputError(f"{listing}: is damaged; {remedy}.")
    for name, expected in sums.items():
        if name != CHECKSUM and (not (folder / name).is_file() or sha256_of(folder / name) != expected):
            raise InputError(f"{folder / name}: is not what was written, it was damaged since; {remedy}.")


def checked(content: Mapping[str, Any]) -> dict[str, Any]:
    """JSON `content` with the hash of itself under `CHECKSUM`."""
    return {**content, CHECKSUM: _hash(content)}


def is_whole(content: Mapping[str, Any]) -> bool:
    """Whether `content` is what `checked` returned."""
    return content.get(CHECKSUM) == _hash({name: value for name, value in content.items() if name != CHECKSUM})


def _hash(content: Mapping[str, Any]) -> str:
    return sha256(json.dumps(dict(content), sort_keys=True).encode()).hexdigest()
