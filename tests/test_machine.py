from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ifcurate.machine import cores, memory

HERE = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def group(root: Path, membership: str, files: dict[str, str]) -> dict[str, Path]:
    """A tree of control groups: file name to content, and what /proc/self/cgroup says."""
    for name, content in files.items():
        (root / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "tree" / name).write_text(content + "\n")
    (root / "membership").write_text(membership)
    return {"groups": root / "tree", "membership": root / "membership"}


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="there is no affinity here")
def test_affinity_counts_not_what_is_installed() -> None:
    one = min(os.sched_getaffinity(0))
    script = f"import os; os.sched_setaffinity(0, [{one}]); from ifcurate.machine import cores; print(cores())"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "1\n"


@pytest.mark.parametrize(("said", "expected"), [("1", 1), ("4096", HERE), ("", HERE), ("0", HERE), ("(null)", HERE)])
def test_a_slurm_that_binds_nothing_is_believed(
    said: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", said)
    assert cores(tmp_path / "none", tmp_path / "none") == expected


@pytest.mark.parametrize(
    ("limit", "expected"), [("100000 100000", 1), ("150000 100000", 1), ("20000 100000", 1), ("max 100000", HERE)]
)
def test_a_quota_of_cpu_time_is_cores(tmp_path: Path, limit: str, expected: int) -> None:
    assert (
        cores(**group(tmp_path, "0::/job/step\n", {"job/cpu.max": limit, "job/step/cpu.max": "max 100000"})) == expected
    )


def test_the_older_version_has_a_tree_for_each_controller(tmp_path: Path) -> None:
    files = {
        "cpu/job/cpu.cfs_quota_us": "100000",
        "cpu/job/cpu.cfs_period_us": "100000",
        "memory/job/memory.limit_in_bytes": "9223372036854771712",
        "memory/memory.limit_in_bytes": "1000000",
    }
    machine = group(tmp_path, "3:cpu,cpuacct:/job\n2:memory:/job\n1:name=systemd:/\n0::/\n", files)
    assert (cores(**machine), memory(**machine)) == (1, 1_000_000)
    unlimited = group(tmp_path, "3:cpu,cpuacct:/job\n", {"cpu/job/cpu.cfs_quota_us": "-1"})
    assert cores(**unlimited) == HERE


def test_memory_is_what_the_tightest_group_leaves(tmp_path: Path) -> None:
    files = {"memory.max": "max", "job/memory.max": "4000000", "job/step/memory.max": "5000000"}
    assert memory(**group(tmp_path, "0::/job/step\n", files)) == 4_000_000


def test_without_groups_the_machine_is_all_there_is(tmp_path: Path) -> None:
    nowhere = {"groups": tmp_path / "none", "membership": tmp_path / "none"}
    assert cores(**nowhere) == HERE
    assert memory(**nowhere) == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
