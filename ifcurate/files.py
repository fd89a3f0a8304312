"""Files and folders that are either finished or absent: written as `<name>.<random>.part`, then renamed."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ifcurate.errors import InputError, is_disk_full

PART_SUFFIX = ".part"
_PART_NAME = re.compile(r"\.[0-9a-f]{8}\.part$")


@contextmanager
def finishing(path: Path) -> Iterator[Path]:
    """Yield a path to write to; rename it to `path` on success, remove it on any error.

    What has its final name is complete and on disk (fsync before the rename, and of the folder after it), whatever
    kills the process or the machine. Two processes that write the same `path` never write to the same part.

    Raises:
        InputError: the disk is full.
    """
    with _part_of(path) as part:
        yield part
        _to_disk(part)
        part.replace(path)
        _to_disk(path.parent)


@contextmanager
def finishing_folder(path: Path) -> Iterator[Path]:
    """`finishing` for a folder, which is yielded empty; `path` must not exist, or be an empty folder.

    Raises:
        InputError: the disk is full.
    """
    with _part_of(path) as part:
        part.mkdir()
        yield part
        for file in part.rglob("*"):
            _to_disk(file)
        _to_disk(part)
        part.replace(path)
        _to_disk(path.parent)


@contextmanager
def telling_of_full_disk(path: Path) -> Iterator[None]:
    """For what others write to `path`, in whose errors a full disk is hard to see.

    Raises:
        InputError: the disk is full.
    """
    try:
        yield
    except Exception as error:
        if not is_disk_full(error):
            raise
        raise InputError(
            f"{path}: no space left to write this; free some disk space and run the same command again."
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, whole or not at all."""
    with finishing(path) as part:
        part.write_text(text, encoding="utf-8")


def remove(path: Path) -> None:
    """Delete a file or a folder with all it holds, if it is there."""
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def is_free(folder: Path) -> bool:
    """Whether `folder` may be made: nothing is there, or a folder with nothing but what killed processes left."""
    return not folder.exists() or (folder.is_dir() and all(_PART_NAME.search(entry.name) for entry in folder.iterdir()))


def clear(folder: Path, marker: str) -> None:
    """Delete `folder` with all it holds, if it is there and a file `marker` in it says that it is ours.

    A process that is killed meanwhile leaves whole results, half-deleted ones under the names of parts, and the
    marker, which goes last.

    Raises:
        InputError: it holds something else.
    """
    if is_free(folder):
        return
    if not (folder / marker).is_file():
        raise InputError(
            f"option --overwrite: {folder} has no {marker}, so nothing says that it may be deleted; give another --out."
        )
    for entry in sorted(folder.iterdir(), key=lambda entry: (entry.name == marker, entry.name)):
        doomed = entry.rename(_part_name(entry))
        remove(doomed)
    folder.rmdir()


def is_part(name: str) -> bool:
    """Whether a file or folder of this name is not finished yet."""
    return bool(_PART_NAME.search(name))


def remove_parts(folder: Path) -> None:
    """Delete what processes that are gone left half-written in `folder` and below."""
    for part in list(folder.rglob(f"*{PART_SUFFIX}")):
        if _PART_NAME.search(part.name):
            remove(part)


def remove_parts_of(path: Path) -> None:
    """Delete what processes that are gone left half-written of `path`, beside it."""
    for part in list(path.parent.glob(f"{glob.escape(path.name)}.*{PART_SUFFIX}")):
        if _PART_NAME.fullmatch(part.name.removeprefix(path.name)):
            remove(part)


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def _part_of(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _part_name(path)
    try:
        with telling_of_full_disk(path):
            yield part
    except BaseException:
        remove(part)
        raise


def _part_name(path: Path) -> Path:
    return path.with_name(f"{path.name}.{secrets.token_hex(4)}{PART_SUFFIX}")


def _to_disk(path: Path) -> None:
    """Have the bytes of a file, or the names in a folder, written to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
