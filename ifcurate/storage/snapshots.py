"""The files of a folder at one moment, held fast while others go on writing there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ifcurate.files import is_part
from ifcurate.storage.manifest import Sent

ATTEMPTS = 3
PASSING = (".beat", ".fresh")
"""Ends of names of files that say how far a process is that is running."""


@dataclass(frozen=True)
class Stat:
    """What tells a file from an earlier one of its name: bytes, time of the last change in nanoseconds, and inode."""

    size: int
    changed: int
    inode: int

    @classmethod
    def of(cls, file: Path) -> Stat:
        """That of a file."""
        stat = file.stat()
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ino)

    def is_of(self, sent: Sent | None) -> bool:
        """Whether the file is as it was sent, as far as this tells."""
        return sent is not None and (self.size, self.changed) == (sent.size, sent.changed)


@dataclass(frozen=True)
class Snapshot:
    """Every finished file of a folder by its path there, and where those are held that were not sent before."""

    stats: dict[str, Stat]
    held: dict[str, Path]

    def is_intact(self, name: str) -> bool:
        """Whether a file that is held has the bytes of the moment; one that is written in place has not."""
        now, then = Stat.of(self.held[name]), self.stats[name]
        return (now.size, now.changed) == (then.size, then.changed)


def stats(folder: Path) -> dict[str, Stat]:
    """Every finished file below `folder`, by its path there."""
    found: dict[str, Stat] = {}
    for above, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_part(name))
        for name in sorted(files):
            file = Path(above) / name
            if not is_part(name) and not name.endswith(PASSING):
                try:
                    found[file.relative_to(folder).as_posix()] = Stat.of(file)
                except FileNotFoundError:  # deleted since it was listed
                    continue
    return found


def snapshot(folder: Path, sent: Mapping[str, Sent], holding: Path) -> Snapshot | None:
    """The files of `folder` at one moment, or None where they change too often for one to be found.

    Those that are not as they were `sent` get a second name in `holding`, which is made anew on the same disk: one that
    is replaced or deleted afterwards stays there as it was.
    """
    for _ in range(ATTEMPTS):
        shutil.rmtree(holding, ignore_errors=True)
        holding.mkdir(parents=True)
        found = stats(folder)
        new = [name for name, stat in found.items() if not stat.is_of(sent.get(name))]
        held = {name: holding / str(number) for number, name in enumerate(new)}
        try:
            for name, second in held.items():
                _give_second_name(folder / name, second)
        except FileNotFoundError:
            continue
        if stats(folder) == found:
            return Snapshot(found, held)
    return None


def _give_second_name(file: Path, name: Path) -> None:
    try:
        os.link(file, name)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links
        shutil.copy2(file, name)
