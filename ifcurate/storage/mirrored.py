"""A folder at a URL for the length of a command: taken up before it, sent while it works and when it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from ifcurate.credentials import masked
from ifcurate.errors import InputError, first_line
from ifcurate.lock import owning
from ifcurate.progress import log
from ifcurate.repeating import repeating
from ifcurate.storage.manifest import MANIFEST
from ifcurate.storage.mirror import Mirror
from ifcurate.storage.objects import Objects
from ifcurate.storage.url_lock import Lease, leasing
from ifcurate.working import work_at

SECONDS_BETWEEN_SENDS = 60.0


@contextmanager
def written_at(url: str, command: str) -> Iterator[Path]:
    """A folder on disk, as it is at `url`, that is sent there as it changes, and as it is when the block ends.

    Files are sent once they are finished, with what was finished before them, whether the block ends well or not. The
    folder stays on this machine, so that the next command reads from the URL what other machines have changed there.

    Args:
        url: of an object store.
        command: what works in it, for a second one that is refused.

    Raises:
        InputError: another process writes there, the URL holds something else, or what was made could not be sent.
    """
    mirror = Mirror(Objects(url), work_at(url))
    with owning(mirror.folder, command), ExitStack() as stack:
        with _reaching(mirror.objects.url):
            lease = stack.enter_context(leasing(mirror.objects, command))
            mirror.take_up(lease)
        try:
            with _sending(mirror, lease):
                yield mirror.folder
        except BaseException:
            try:
                _end(mirror, lease)
            except Exception as error:
                log.warning(str(error))
            raise
        _end(mirror, lease)


@contextmanager
def read_at(url: str, command: str) -> Iterator[Path]:
    """A folder on disk, as it is at `url`, for commands that only read; see `written_at`."""
    mirror = Mirror(Objects(url), work_at(url))
    with owning(mirror.folder, command), _reaching(mirror.objects.url):
        mirror.take_up()
    yield mirror.folder


def root_of(url: str) -> str:
    """The URL itself or, where it lies below one that was written as a whole, that; the nearest of several.

    Raises:
        InputError: it cannot be reached.
    """
    place = url.rstrip("/")
    while not place.endswith("/"):
        with _reaching(url), suppress(PermissionError):  # above, there may be other people's
            if Objects(place).read(MANIFEST) is not None:
                return place
        place = place.rpartition("/")[0]
    return url.rstrip("/")


@contextmanager
def _reaching(url: str) -> Iterator[None]:
    """Have whatever a file system raises in the block be one sentence."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # every fsspec backend raises its own kinds
        raise InputError(
            f"{url}: cannot be reached ({masked(first_line(error))}); see that there is such a place, and that "
            "credentials for it are where its file system looks for them."
        ) from error


def _end(mirror: Mirror, lease: Lease) -> None:
    """Send what is left.

    Raises:
        InputError: that cannot be done.
    """
    try:
        if not mirror.send(lease):
            raise OSError("files are still changing")
        mirror.forget_if_empty()
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{mirror.objects.url}: not everything could be written there ({masked(first_line(error))}); it is kept on "
            "this machine: run the same command again here, and it is sent."
        ) from error


def _sending(mirror: Mirror, lease: Lease) -> AbstractContextManager[None]:
    """Send from time to time while the block runs."""

    def send() -> bool:
        try:
            if not mirror.send(lease):
                log.debug(f"{mirror.objects.url}: files changed too fast to be sent; they are sent later")
        except Exception as error:
            log.warning(f"{mirror.objects.url}: could not be written ({masked(first_line(error))}); it is tried again")
        return True

    return repeating(send, SECONDS_BETWEEN_SENDS, f"sends to {mirror.objects.url}")
