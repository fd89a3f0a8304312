"""What this process may use of the machine: cores and memory, as affinity and control groups (cgroups) leave them.

A batch system or container runtime gives a job 4 of 128 cores by the affinity of its processes, by a quota of CPU time,
or both, and caps memory below what is installed. A Slurm that binds nothing only says how many cores a task has.
Version 2 of cgroups has one tree of folders, version 1 one for each controller; a limit of any folder from the
process's own to the root holds.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
"""A line `number:controllers:folder` for each tree."""


def cores(groups: Path = GROUPS, membership: Path = MEMBERSHIP) -> int:
    """CPU cores that this process may keep busy, at least one; a quota of 2.5 cores counts as 2."""
    able = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [_share(*_words(folder / "cpu.max")) for folder in _folders("", groups, membership)]
    for folder in _folders("cpu", groups, membership):
        quotas.append(_share(*_words(folder / "cpu.cfs_quota_us"), *_words(folder / "cpu.cfs_period_us")))
    return max(1, math.floor(min([able, _said_by_slurm(), *quotas])))


def memory(groups: Path = GROUPS, membership: Path = MEMBERSHIP) -> int:
    """Bytes of memory that this process may use, whether they are free now or not."""
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    files = [folder / "memory.max" for folder in _folders("", groups, membership)]
    files += [folder / "memory.limit_in_bytes" for folder in _folders("memory", groups, membership)]
    limits = [int(word) for file in files for word in _words(file) if word.isdigit()]
    return min([installed, *(limit for limit in limits if limit > 0)])


def _said_by_slurm() -> float:
    """Cores of the task that this process is, or is started by."""
    said = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return int(said) if said.isdigit() and int(said) > 0 else math.inf


def _folders(controller: str, groups: Path, membership: Path) -> Iterator[Path]:
    """The process's folder in the tree of `controller` (version 1), or of all (""), and those above it."""
    tree = groups / controller
    for line in _lines(membership):
        _, controllers, place = line.split(":", 2)
        if controller in controllers.split(","):
            own = tree / place.strip("/")
            yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(tree))


def _share(quota: str = "max", period: str = "0") -> float:
    """Cores of a quota of CPU time a period, both in microseconds; no quota is `max` or -1."""
    limited = quota.isdigit() and period.isdigit() and int(quota) > 0 and int(period) > 0
    return int(quota) / int(period) if limited else math.inf


def _words(file: Path) -> list[str]:
    return " ".join(_lines(file)).split()


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except OSError:  # no such controller here
        return []
