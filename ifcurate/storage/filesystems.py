"""File systems behind URLs: found, and asked again where they fail for a while."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs

from ifcurate.credentials import masked, require_none
from ifcurate.errors import InputError, first_line
from ifcurate.files import write_text
from ifcurate.progress import log
from ifcurate.working import is_url

Result = TypeVar("Result")

ATTEMPTS = 4
SECONDS_BEFORE_SECOND = 0.5
GROWTH = 4.0
"""How much longer each wait is than the one before it. Clients such as s3fs try several times within each attempt."""

_STAMPS = ("mtime", "created", "ETag", "etag", "LastModified", "last_modified", "updated", "md5Hash", "blob_id")
"""What file systems call the time of a file's last change, or a hash; on disk, `created` is that of its inode's."""

_LASTING = (
    *(FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError),
    *(NotImplementedError, ValueError, TypeError, InputError),
)
_LASTING_NAMES = ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError")
"""Of botocore, which may not be installed."""


def stamp_of(info: Mapping[str, Any]) -> str:
    """What a file system says of the last change of a file, by fsspec's `info`, or nothing where it says nothing."""
    return ":".join(str(info[name]) for name in _STAMPS if info.get(name) is not None)


def located(place: str) -> tuple[AbstractFileSystem, str]:
    """The file system that `place` is on, a local path or any fsspec URL, and the path there.

    Raises:
        InputError: the URL holds credentials, or a package that opens its kind is not installed.
    """
    require_none(place)
    try:
        filesystem, path = url_to_fs(place)
    except ImportError as error:
        extra = "; run `pip install 'ifcurate[s3]'`" if place.startswith(("s3://", "s3a://")) else ""
        raise InputError(
            f"{place}: cannot be opened without a package that is not here ({first_line(error)}){extra}."
        ) from error
    return filesystem, path


def exists(url: str) -> bool:
    """Whether there is anything at `url`.

    Raises:
        InputError: see `located`.
        OSError: it cannot be asked.
    """
    filesystem, path = located(url)
    return persistently(url, lambda: bool(filesystem.exists(path)))


def write_text_at(place: str, text: str) -> None:
    """Write `text` to a file, on disk or at a URL, as UTF-8, whole or not at all.

    Raises:
        InputError: see `located`.
        OSError: it cannot be written.
    """
    if not is_url(place):
        write_text(Path(place), text)
        return
    filesystem, path = located(place)
    persistently(place, lambda: filesystem.pipe_file(path, text.encode()))


def persistently(what: str, work: Callable[[], Result]) -> Result:
    """What `work` returns, which is called again, after a wait that grows, where it fails for a reason that may pass.

    Reasons that pass are timeouts, lost connections, short answers, and servers that are busy or out of order; a file
    that is not there, or may not be read, is reported at once.

    Args:
        what: is worked on, for the log.
        work: may be called `ATTEMPTS` times.

    Raises:
        OSError: it failed for such a reason to the last.
        Exception: what `work` raised for another.
    """
    wait = SECONDS_BEFORE_SECOND
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return work()
        except Exception as error:
            if isinstance(error, _LASTING) or type(error).__name__ in _LASTING_NAMES:
                raise
            if attempt == ATTEMPTS:
                raise OSError(masked(first_line(error))) from error
            log.info(f"{masked(what)}: {masked(first_line(error))}; trying again")
        time.sleep(wait * random.uniform(0.5, 1.0))  # so that workers do not come back all at once
        wait *= GROWTH
    raise AssertionError("the last attempt returns or raises")
