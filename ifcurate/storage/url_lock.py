"""One command at a time for a URL, on whatever machines: an object there says who writes, and is written again and
again while he does."""

from __future__ import annotations

import _thread
import contextlib
from collections.abc import Iterator

from ifcurate.errors import InputError
from ifcurate.lock import Holder, refusal
from ifcurate.progress import log
from ifcurate.repeating import repeating
from ifcurate.storage.manifest import CONTROL
from ifcurate.storage.objects import Objects

LOCK = f"{CONTROL}/lock.json"
SECONDS_BETWEEN_BEATS = 20.0
SECONDS_UNTIL_DEAD = 180.0
"""Without a beat, by the clock of the store."""


class Lease:
    """The URL belongs to this process as long as the object is what it wrote.

    Whoever takes a URL over from a process that he holds for dead may be wrong: that one notices before it changes
    anything of what is there.
    """

    def __init__(self, objects: Objects, ours: Holder) -> None:
        self._objects = objects
        self._ours = ours

    def require(self) -> None:
        """Refuse to go on where another process has taken the URL over.

        Raises:
            InputError: names it.
        """
        content = self._objects.read(LOCK)
        if content is None and self._objects.create(LOCK, self._ours.encoded()):
            return
        if content != self._ours.encoded():
            raise refusal(self._objects.url, _holder(content or self._objects.read(LOCK) or b""))

    def beat(self) -> None:
        """Say that the process lives.

        Raises:
            InputError: see `require`.
        """
        self.require()
        self._objects.write(LOCK, self._ours.encoded())

    def end(self) -> None:
        """Give the URL free, if it is still ours."""
        if self._objects.read(LOCK) == self._ours.encoded():
            self._objects.delete([LOCK])


@contextlib.contextmanager
def leasing(objects: Objects, command: str) -> Iterator[Lease]:
    """While the block runs, the URL belongs to this process; it is interrupted when another one takes it over.

    Args:
        objects: what lies at the URL.
        command: what runs, as the refusal of a second command names it.

    Raises:
        InputError: another living process has it; names host, process, command and since when.
    """
    ours = Holder.here(command)
    while not objects.create(LOCK, ours.encoded()):
        content = objects.read(LOCK)
        if content is None:
            continue  # its process has just ended
        holder = _holder(content)
        if not (holder.is_gone() or _age(objects, ours) > SECONDS_UNTIL_DEAD):
            raise refusal(objects.url, holder)
        if objects.read(LOCK) == content:
            log.info(f"{objects.url}: taken over from process {holder.pid} on {holder.host}, which is gone")
            objects.delete([LOCK])
    lease = Lease(objects, ours)
    try:
        with repeating(lambda: _beats(lease, objects), SECONDS_BETWEEN_BEATS, f"lease of {command}"):
            yield lease
    finally:
        with contextlib.suppress(Exception):  # what cannot be deleted now is seen to be gone later
            lease.end()


def _beats(lease: Lease, objects: Objects) -> bool:
    """Say that the process lives; interrupts it, and returns False, where another one has taken the URL over."""
    try:
        lease.beat()
    except InputError as error:
        log.error(str(error))
        _thread.interrupt_main()
        return False
    except Exception as error:  # a store that is out of order now may answer the next time
        log.debug(f"{objects.address(LOCK)}: {error}")
    return True


def _holder(content: bytes) -> Holder:
    return Holder.of(content) or Holder("an unknown host", 0, "", "an unknown command", "an unknown time", "")


def _age(objects: Objects, ours: Holder) -> float:
    """Seconds since the last beat, by the store's clock; none where it has no clock, whose locks are for people."""
    mark = f"{CONTROL}/{ours.token}"
    objects.write(mark, b"now")
    now, last = objects.changed(mark), objects.changed(LOCK)
    objects.delete([mark])
    return 0.0 if now is None or last is None else (now - last).total_seconds()
