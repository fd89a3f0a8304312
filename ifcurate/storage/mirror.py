"""A folder on disk and a URL: the URL gets the folder's state again and again, and a folder takes up that of the URL.

What is at the URL is what the manifest there says, which is written last. A file that takes the place of another is
stored under its hash first, so that both are there until the manifest says which; a name that was not there before is
written in place, and the manifest says beforehand that it is none of the files yet. Whatever kills the process, the
next one finds a state that the folder had.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ifcurate.errors import InputError
from ifcurate.files import finishing, remove, sha256_of
from ifcurate.progress import log
from ifcurate.storage.manifest import CONTROL, MANIFEST, Manifest, Sent
from ifcurate.storage.objects import Objects
from ifcurate.storage.snapshots import Snapshot, Stat, snapshot, stats
from ifcurate.storage.url_lock import Lease

TRANSFERS = 8
"""Files at a time."""
LARGE = 1 << 26
"""Bytes of a file that is sent alone: s3fs holds several parts of it in memory, to send them together."""
REPLACED = f"{CONTROL}/replaced"

Item = TypeVar("Item")


class Mirror:
    """What lies at a URL, and the folder on this machine where it is worked on.

    Args:
        objects: what is at the URL.
        folder: the working folder; what is kept of it lies beside it.
    """

    def __init__(self, objects: Objects, folder: Path) -> None:
        self.objects = objects
        self.folder = folder
        self._last = folder.with_name("manifest.json")
        """The manifest at the URL when this machine last saw it: where it still is that, the folder is ahead."""
        self._holding = folder.with_name("sending")
        self._manifest = Manifest()

    def take_up(self, lease: Lease | None = None) -> None:
        """Make the folder what the URL has, unless this machine was the last to write there: then it goes on.

        Args:
            lease: of a process that will write; what killed ones left half-done is put right then.

        Raises:
            InputError: the URL holds something else, or files are not what was written.
            OSError: the store fails.
        """
        content, listed = self.objects.read(MANIFEST), self.objects.sizes()
        if content is None and any(not name.startswith(f"{CONTROL}/") for name in listed):
            raise InputError(
                f"{self.objects.url}: holds files that ifcurate did not write, as there is no {MANIFEST}; give "
                "another URL, or copy them to a folder and give that."
            )
        self._manifest = Manifest.read(content, self.objects.address(MANIFEST))
        there = {name: sent for name, sent in self._manifest.files.items() if _is_there(name, sent, listed)}
        if lost := self._manifest.files.keys() - there.keys():
            log.warning(
                f"{self.objects.url}: {len(lost):,} files were deleted, such as {min(lost)}; they are made again"
            )
        if self._last_seen() == (content or b""):
            self._drop(lost)
        else:
            self._make_equal(there)
            self._see(content or b"")
        if lease is not None:
            lease.require()
            self._settle(listed)

    def send(self, lease: Lease) -> bool:
        """Bring what has changed in the folder to the URL; whether a moment was found at which nothing was changing.

        Raises:
            InputError: another process has taken the URL over.
            OSError: the store fails; what is there stays as it was.
        """
        found = snapshot(self.folder, self._manifest.files, self._holding)
        try:
            return found is not None and self._commit(found, lease)
        finally:
            shutil.rmtree(self._holding, ignore_errors=True)

    def forget_if_empty(self) -> None:
        """Leave nothing at a URL that nothing was written to."""
        if not self._manifest.files:
            self.objects.delete([MANIFEST])
            remove(self._last)

    def _commit(self, found: Snapshot, lease: Lease) -> bool:
        before = self._manifest.files
        removed = sorted(before.keys() - found.stats.keys())
        if not found.held and not removed:
            return True
        sent = {
            name: Sent(size=found.stats[name].size, sha256=sha256_of(file), changed=found.stats[name].changed)
            for name, file in found.held.items()
        }
        new = [name for name in sent if name not in before]
        replaced = [name for name in sent if name in before and before[name].sha256 != sent[name].sha256]
        lease.require()
        if new:
            self._publish(Manifest(files=before, doomed=sorted({*self._manifest.doomed, *new})))
        self._upload({name: found.held[name] for name in new})
        self._upload({_aside(sent[name]): found.held[name] for name in replaced})
        if not all(found.is_intact(name) for name in sent):
            return False
        lease.require()
        kept = {name: before[name] for name in found.stats if name in before}
        self._publish(Manifest(files={**kept, **sent}, doomed=removed))
        _each(lambda name: self.objects.copy(_aside(sent[name]), name), replaced)
        self.objects.delete([*removed, *{_aside(sent[name]) for name in replaced}])
        return True

    def _upload(self, files: Mapping[str, Path]) -> None:
        large = [name for name, file in files.items() if file.stat().st_size >= LARGE]
        _each(lambda name: self.objects.upload(files[name], name), files.keys() - large)
        for name in large:
            self.objects.upload(files[name], name)

    def _publish(self, manifest: Manifest) -> None:
        self.objects.write(MANIFEST, manifest.encoded())
        self._manifest = manifest
        self._see(manifest.encoded())

    def _settle(self, listed: Collection[str]) -> None:
        """Do what a killed process had still to do once its manifest was written."""
        for name, sent in self._manifest.files.items():
            if _aside(sent) in listed:
                self.objects.copy(_aside(sent), name)
        self.objects.delete(
            [*(name for name in self._manifest.doomed if name in listed and name not in self._manifest.files)]
            + [name for name in listed if name.startswith(f"{REPLACED}/")]
        )

    def _make_equal(self, wanted: dict[str, Sent]) -> None:
        self._drop([name for name in stats(self.folder) if name not in wanted])
        missing = [name for name, sent in wanted.items() if not self._has(name, sent)]
        if missing:
            size = sum(wanted[name].size for name in missing)
            log.info(f"{self.objects.url}: taken up, {len(missing):,} files, {size:,} bytes")
        _each(lambda name: self._fetch(name, wanted[name]), missing)

    def _has(self, name: str, sent: Sent) -> bool:
        file = self.folder / name
        return file.is_file() and Stat.of(file).is_of(sent)

    def _fetch(self, name: str, sent: Sent) -> None:
        file = self.folder / name
        for stored in (name, _aside(sent)):
            if self.objects.download(stored, sent.size, sent.sha256, file):
                os.utime(file, ns=(sent.changed, sent.changed))
                return
        raise InputError(
            f"{self.objects.address(name)}: is not what was written there, or is being changed now; run the same "
            "command again, or delete the file to have it made again."
        )

    def _drop(self, names: Iterable[str]) -> None:
        for name in names:
            remove(self.folder / name)
        for above, _, _ in os.walk(self.folder, topdown=False):
            with contextlib.suppress(OSError):
                Path(above).rmdir()  # which leaves those alone that hold something

    def _last_seen(self) -> bytes:
        return self._last.read_bytes() if self._last.is_file() else b""

    def _see(self, content: bytes) -> None:
        with finishing(self._last) as part:
            part.write_bytes(content)


def _is_there(name: str, sent: Sent, listed: Collection[str]) -> bool:
    return name in listed or _aside(sent) in listed


def _aside(sent: Sent) -> str:
    """Where what is to take the place of another file lies until the manifest has it."""
    return f"{REPLACED}/{sent.sha256}"


def _each(work: Callable[[Item], None], items: Iterable[Item]) -> None:
    """Call `work` with every item, several at a time; the first error is raised once those begun have ended."""
    with ThreadPoolExecutor(TRANSFERS) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
