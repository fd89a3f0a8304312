"""Files that are either finished or absent: written as `<name>.part`, then renamed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ifcurate.errors import InputError, is_disk_full

PART_SUFFIX = ".part"


@contextmanager
def finishing(path: Path) -> Iterator[Path]:
    """Yield `<path>.part` to write to; rename it to `path` on success, remove it on any error.

    What has its final name is complete and on disk (fsync before the rename), whatever kills the process.

    Raises:
        InputError: the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + PART_SUFFIX)
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if is_disk_full(error):
            raise InputError(
                f"{path}: no space left to write this file; free some disk space and run the same command again."
            ) from error
        raise


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, whole or not at all."""
    with finishing(path) as part:
        part.write_text(text, encoding="utf-8")


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
