"""Models, directions and other inputs at a URL, as those need them who read files on disk alone."""

from __future__ import annotations

import json
import shutil
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from fsspec import AbstractFileSystem

from ifcurate.errors import InputError, first_line
from ifcurate.files import finishing_folder
from ifcurate.progress import log
from ifcurate.storage.filesystems import located, persistently, stamp_of
from ifcurate.storage.remote_file import RemoteFile
from ifcurate.working import cache, is_url

BLOCK = 1 << 24
"""Bytes of one request."""


def at_hand(place: str) -> str:
    """`place` itself or, of a URL, a copy on this machine: a file, or the files that lie in a folder directly.

    Files are read once, and again when they change.

    Raises:
        InputError: there is nothing at the URL, or it cannot be read.
    """
    if not is_url(place):
        return place
    filesystem, path = located(place)
    try:
        files = persistently(place, lambda: _files(filesystem, path))
        if not files:
            raise InputError(f"{place}: there is no such file or folder.")
        listing = [place.rstrip("/"), *sorted((info["name"], info["size"], stamp_of(info)) for info in files)]
        folder = cache() / "fetched" / sha256(json.dumps(listing).encode()).hexdigest()[:20]
        if not folder.is_dir():
            log.info(f"{place}: read, {len(files):,} files, {sum(info['size'] for info in files):,} bytes")
            _fetch(filesystem, files, folder)
    except InputError:
        raise
    except Exception as error:  # every fsspec backend raises its own kinds
        raise InputError(f"{place}: cannot be read ({first_line(error)}).") from error
    (first, *others) = files
    return str(folder / _name(first) if not others and first["name"].rstrip("/") == path.rstrip("/") else folder)


def _files(filesystem: AbstractFileSystem, path: str) -> list[dict[str, Any]]:
    filesystem.invalidate_cache()
    try:
        found = filesystem.ls(path, detail=True)
    except FileNotFoundError:
        return []
    return [info for info in found if info["type"] == "file" and not info["name"].endswith("/")]


def _fetch(filesystem: AbstractFileSystem, files: list[dict[str, Any]], folder: Path) -> None:
    try:
        with finishing_folder(folder) as part:
            for info in files:
                with RemoteFile(filesystem, info["name"]) as source, (part / _name(info)).open("wb") as out:
                    shutil.copyfileobj(source, out, BLOCK)
    except OSError:
        if not folder.is_dir():  # else another process was faster
            raise


def _name(info: dict[str, Any]) -> str:
    return PurePosixPath(info["name"]).name
