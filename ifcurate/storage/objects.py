"""The files below a URL as they are written, read and deleted there: each whole or not at all, and asked for again."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from ifcurate.errors import InputError
from ifcurate.files import finishing
from ifcurate.storage.filesystems import located, persistently
from ifcurate.storage.remote_file import RemoteFile

BLOCK = 1 << 24
"""Bytes of one request."""


class Objects:
    """The files below `url`, by their names there.

    An upload is complete or leaves what was there: object stores show the end of a multipart upload only.

    Raises:
        InputError: the URL holds credentials, needs a package that is not installed, or is a folder on disk.
        OSError: from every method, where the store fails to the last attempt.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        filesystem, root = located(self.url)
        if isinstance(filesystem, LocalFileSystem):
            raise InputError(f"{url}: is a folder on disk; give it without {url.partition('://')[0]}://.")
        self._filesystem: AbstractFileSystem = filesystem
        self._root = root.rstrip("/")

    def address(self, name: str) -> str:
        """The URL of a file."""
        return f"{self.url}/{name}"

    def sizes(self) -> dict[str, int]:
        """Bytes of every file by name, as the store lists them now."""

        def find() -> dict[str, int]:
            self._filesystem.invalidate_cache()
            try:
                found = self._filesystem.find(self._root, detail=True)
            except FileNotFoundError:
                return {}
            below = {path.removeprefix(f"{self._root}/"): int(info["size"]) for path, info in found.items()}
            return {name: size for name, size in below.items() if not name.endswith("/")}

        return persistently(self.url, find)

    def read(self, name: str) -> bytes | None:
        """The bytes of a small file; None where there is none."""
        try:
            return persistently(self.address(name), lambda: bytes(self._filesystem.cat_file(self._path(name))))
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Store a small file, in the place of what was there."""
        persistently(self.address(name), lambda: self._filesystem.pipe_file(self._path(name), content))

    def create(self, name: str, content: bytes) -> bool:
        """Store a small file unless there is one; whether it is ours now."""
        try:
            persistently(
                self.address(name), lambda: self._filesystem.pipe_file(self._path(name), content, mode="create")
            )
        except FileExistsError:  # an answer may have been lost, and ours be there
            return self.read(name) == content
        return True

    def upload(self, file: Path, name: str) -> None:
        """Store a file of any size."""

        def put() -> None:
            self._filesystem.put_file(str(file), self._path(name))
            self._filesystem.invalidate_cache()
            if (size := self._filesystem.size(self._path(name))) != file.stat().st_size:
                raise OSError(f"{size:,} bytes arrived of {file.stat().st_size:,}")

        persistently(self.address(name), put)

    def download(self, name: str, size: int, sha256_wanted: str, file: Path) -> bool:
        """Store the bytes of `name` as `file`, if they are those that are wanted; whether they are."""
        try:
            with RemoteFile(self._filesystem, self._path(name)) as source, finishing(file) as part:
                digest, left = sha256(), size + 1
                with part.open("wb") as out:
                    while left and (block := source.read(min(BLOCK, left))):
                        digest.update(block)
                        out.write(block)
                        left -= len(block)
                if digest.hexdigest() != sha256_wanted:
                    raise _OtherBytesError
        except (_OtherBytesError, FileNotFoundError):
            return False
        return True

    def copy(self, name: str, to: str) -> None:
        """Store what is at `name` as `to`, too."""
        persistently(self.address(to), lambda: self._filesystem.cp_file(self._path(name), self._path(to)))

    def delete(self, names: Collection[str]) -> None:
        """Delete files; those that are not there are left alone."""
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                persistently(self.address(name), partial(self._filesystem.rm_file, self._path(name)))

    def changed(self, name: str) -> datetime | None:
        """When a file was last written, by the store's own clock; None where it does not say, or there is none."""

        def ask() -> datetime:
            self._filesystem.invalidate_cache()
            moment: datetime = self._filesystem.modified(self._path(name))
            return moment

        try:
            return persistently(self.address(name), ask)
        except (FileNotFoundError, NotImplementedError):
            return None

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


class _OtherBytesError(Exception):
    """Drops what was being written."""
