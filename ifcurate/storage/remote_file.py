"""A file behind a URL, read by ranges: what comes short is asked for again, so that no shard ends early unnoticed."""

from __future__ import annotations

import contextlib
import io
from functools import partial
from typing import TYPE_CHECKING, Any

from ifcurate.storage.filesystems import persistently

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


class RemoteFile(io.RawIOBase):
    """The bytes of one file, of the size that its file system said when it was opened.

    A read gives as many bytes as were asked for, to the end of the file. It is not buffered: readers here do that.

    Args:
        filesystem: where it is.
        path: its path there.

    Raises:
        OSError: it cannot be opened or read, after several attempts.
    """

    def __init__(self, filesystem: AbstractFileSystem, path: str) -> None:
        super().__init__()
        self._filesystem = filesystem
        self._path = path
        self._position = 0
        self._stream: Any = None
        self._size = persistently(path, self._find_size)

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase`."""
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), self._size - self._position)
        filled = 0
        while filled < wanted:
            data = persistently(self._path, partial(self._some, wanted - filled))
            view[filled : filled + len(data)] = data
            filled += len(data)
            self._position += len(data)
        return filled

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See `io.IOBase`."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"position {start + offset} is before the beginning of {self._path}")
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        """See `io.IOBase`."""
        return self._position

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def close(self) -> None:
        """See `io.IOBase`."""
        self._drop()
        super().close()

    def _some(self, most: int) -> bytes:
        """At least one of the bytes that come next, from a new connection where the last one failed."""
        try:
            stream = self._opened()
            stream.seek(self._position)
            data = bytes(stream.read(most))
            if not 0 < len(data) <= most:
                raise OSError(f"{len(data):,} bytes at {self._position:,}, where {most:,} were asked for")
        except BaseException:
            self._drop()
            raise
        return data

    def _find_size(self) -> int:
        size = getattr(self._opened(), "size", None)
        size = self._filesystem.size(self._path) if size is None else size
        if size is None:
            raise ValueError("its server does not say how long it is")
        return int(size)

    def _opened(self) -> Any:
        if self._stream is None:
            self._stream = self._filesystem.open(self._path, "rb", cache_type="none")
        return self._stream

    def _drop(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            with contextlib.suppress(Exception):
                stream.close()
