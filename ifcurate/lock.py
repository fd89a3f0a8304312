"""One command at a time for an output folder, on one machine or on several that share a disk.

A lock is a file beside the folder, which says who has it. It is held as long as its process lives: on the same machine
the process table tells, on another one the time at which the file was last touched, read from the file system's own
clock. A process that dies, however, leaves a lock that the next one takes over.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from ifcurate.errors import InputError
from ifcurate.repeating import repeating

SECONDS_BETWEEN_BEATS = 10.0
SECONDS_UNTIL_DEAD = 90.0
"""Without a beat, on a machine whose processes we cannot see."""

STALE_SUFFIX = ".stale"

_held: set[Path] = set()


@dataclass(frozen=True)
class Holder:
    """Who has a lock: the process, what tells it from a later one of the same number, its command, and since when."""

    host: str
    pid: int
    started: str
    command: str
    since: str
    token: str

    @classmethod
    def here(cls, command: str) -> Holder:
        """This process."""
        since = time.strftime("%Y-%m-%d %H:%M:%S %Z")
        return cls(socket.gethostname(), os.getpid(), start_of(os.getpid()), command, since, secrets.token_hex(8))

    @classmethod
    def of(cls, content: bytes) -> Holder | None:
        """The holder that a lock file names; None where a crash of the machine left it torn."""
        try:
            return cls(**json.loads(content))
        except (ValueError, TypeError):
            return None

    def encoded(self) -> bytes:
        """What a lock file holds."""
        return json.dumps(asdict(self)).encode()

    def is_gone(self) -> bool:
        """Whether it ran on this machine, since that was started, and has ended."""
        boot = self.started.partition(":")[0]
        here = self.host == socket.gethostname() and boot != "" and boot == _boot()
        return here and start_of(self.pid) != self.started


@contextlib.contextmanager
def owning(folder: Path, command: str) -> Iterator[None]:
    """While the block runs, `folder` belongs to this process; it need not exist yet.

    Args:
        folder: what the command writes; several names of one folder are the same.
        command: what runs, as the refusal of a second command names it.

    Raises:
        InputError: another living process has it; names host, process, command and since when.
    """
    lock = _lock_file(folder)
    if lock in _held:
        raise refusal(folder, Holder.here(command))
    made = not lock.parent.exists()
    lock.parent.mkdir(parents=True, exist_ok=True)
    ours = Holder.here(command)
    try:
        _take(lock, folder, ours)
        _held.add(lock)
        with _kernel_lock(lock), _beating(lock, ours):
            yield
    finally:
        _held.discard(lock)
        if _content(lock) == ours.encoded():
            lock.unlink(missing_ok=True)
        if made:
            with contextlib.suppress(OSError):
                lock.parent.rmdir()


def _lock_file(folder: Path) -> Path:
    """Beside the folder, so that it is no part of it; within, where what is beside cannot be written."""
    place = folder.resolve()
    above = place.parent
    if place.is_dir() and not os.access(above, os.W_OK):
        return place / ".ifcurate.lock"
    return above / f".{place.name}.ifcurate.lock"


def _take(lock: Path, folder: Path, ours: Holder) -> None:
    """Create `lock`, in the place of one that a dead process left."""
    fresh = lock.with_name(f"{lock.name}.{ours.token}")
    try:
        fresh.write_bytes(ours.encoded())
        while not _created(fresh, lock):
            content = _content(lock)
            if content is None:
                continue  # its process has just ended
            holder = Holder.of(content)
            if holder is None and _age(lock, fresh) < SECONDS_UNTIL_DEAD:
                holder = Holder("an unknown host", 0, "", "an unknown command", "an unknown time", "")
            if holder is not None and (_kernel_says_held(lock) or _is_alive(holder, lock, fresh)):
                raise refusal(folder, holder)
            _remove_stale(lock, content, fresh)
        _remove_strays(lock, fresh)
    finally:
        fresh.unlink(missing_ok=True)


def _created(fresh: Path, lock: Path) -> bool:
    """Give the finished file `fresh` the name `lock`, unless there is one: a hard link is atomic on NFS, too."""
    try:
        os.link(fresh, lock)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        try:
            with lock.open("xb") as file:
                file.write(fresh.read_bytes())
        except FileExistsError:
            return False
    return True


def _remove_stale(lock: Path, content: bytes, fresh: Path) -> None:
    """Delete `lock` if it still holds `content`: somebody else may have taken it over meanwhile."""
    aside = _aside(fresh)
    try:
        lock.rename(aside)
    except FileNotFoundError:
        return
    if aside.read_bytes() != content:
        _created(aside, lock)
    aside.unlink()


def _remove_strays(lock: Path, fresh: Path) -> None:
    """Delete what processes left beside `lock` that died while they took it."""
    for stray in lock.parent.glob(f"{glob.escape(lock.name)}.*"):
        content = _content(stray)
        if stray == fresh or stray.suffix == STALE_SUFFIX or content is None:
            continue
        holder = Holder.of(content)
        if not (_age(stray, fresh) < SECONDS_UNTIL_DEAD if holder is None else _is_alive(holder, stray, fresh)):
            stray.unlink(missing_ok=True)
            _aside(stray).unlink(missing_ok=True)


def _aside(fresh: Path) -> Path:
    """Where the process of `fresh` moves a lock that it takes for a dead process's."""
    return fresh.with_name(f"{fresh.name}{STALE_SUFFIX}")


def _is_alive(holder: Holder, lock: Path, fresh: Path) -> bool:
    if holder.host == socket.gethostname() and holder.started:
        return start_of(holder.pid) == holder.started
    return _age(lock, fresh) < SECONDS_UNTIL_DEAD


def _age(lock: Path, fresh: Path) -> float:
    """Seconds since the last beat, by the clock of the file system that holds both."""
    os.utime(fresh)
    with contextlib.suppress(FileNotFoundError):
        return fresh.stat().st_mtime - lock.stat().st_mtime
    return SECONDS_UNTIL_DEAD


def start_of(pid: int) -> str:
    """When a process started, with the boot it belongs to; empty where there is none, or no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        boot = _boot()
    except OSError:
        return ""
    state, started = fields[0], fields[19]
    return "" if state in "ZX" else f"{boot}:{started}"


def _boot() -> str:
    """What tells this start of this machine from others."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


@contextlib.contextmanager
def _kernel_lock(lock: Path) -> Iterator[None]:
    """Hold the kernel's lock on the file as well, where the file system has locks; it ends with the process."""
    with lock.open("rb+") as file:
        with contextlib.suppress(OSError):
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _kernel_says_held(lock: Path) -> bool:
    """Whether another process has the kernel's lock; processes in other containers are seen this way, too."""
    try:
        with lock.open("rb+") as file:
            return not _can_lock(file)
    except FileNotFoundError:
        return False


def _can_lock(file: IO[bytes]) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # no locks on this file system: nothing is known
        return True
    return True


def _beating(lock: Path, ours: Holder) -> contextlib.AbstractContextManager[None]:
    """Touch the file from time to time while the block runs."""

    def beat() -> bool:
        with contextlib.suppress(OSError):
            os.utime(lock)
        return True

    return repeating(beat, SECONDS_BETWEEN_BEATS, f"lock of {ours.command}")


def _content(lock: Path) -> bytes | None:
    """What the file holds, read without opening it where this process has the kernel's lock on it."""
    try:
        return lock.read_bytes()
    except FileNotFoundError:
        return None


def refusal(place: Path | str, holder: Holder) -> InputError:
    """Why `place` cannot be written now."""
    return InputError(
        f"{place}: is being written by `{holder.command}`, process {holder.pid} on {holder.host}, since "
        f"{holder.since}; wait for it, or stop it."
    )
