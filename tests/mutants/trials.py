"""Tests of a mutated package, in processes that fork from one with all libraries imported."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS_BETWEEN_LOOKS = 0.02
IMPORTED = "imported.txt"


class Outcome(Enum):
    """What became of a mutant."""

    PASSED = "survived"
    FAILED = "killed"
    TIMED_OUT = "killed by the clock"


class PackageCopy:
    """The package as it is installed, in a folder that precedes all others on the path, of processes begun too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT / "ifcurate", folder / "ifcurate", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("cli", "pipelines"):
            shutil.copytree(ROOT / name, folder / "ifcurate" / name, ignore=shutil.ignore_patterns("__pycache__"))
        sys.path.insert(0, str(folder))
        sys.dont_write_bytecode = True
        os.environ |= {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}

    def run(self, path: str, source: str, tests: Sequence[str], seconds: float) -> Outcome:
        """Run `tests`, until one fails, with `source` in the place of `path`."""
        before = (self.folder / path).read_text(encoding="utf-8")
        (self.folder / path).write_text(source, encoding="utf-8")
        try:
            return self._fork(tests, seconds)
        finally:
            (self.folder / path).write_text(before, encoding="utf-8")

    def import_libraries(self) -> None:
        """Import here what the tests that ran last had imported, the package and the tests themselves apart."""
        for name in (self.folder / IMPORTED).read_text(encoding="utf-8").split():
            with contextlib.suppress(Exception):  # a module that wants to be imported by another one
                importlib.import_module(name)

    def _fork(self, tests: Sequence[str], seconds: float) -> Outcome:
        child = os.fork()
        if child == 0:
            os.setsid()
            os._exit(_child(self.folder, tests))
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return Outcome.PASSED if os.waitstatus_to_exitcode(status) == 0 else Outcome.FAILED
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return Outcome.TIMED_OUT


class OwnData:
    """Leaves out the tests that need data which is not part of the repository."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if "shared" not in getattr(item, "fixturenames", ())]


def _child(folder: Path, tests: Sequence[str]) -> int:
    """Exit status of pytest, its words in a file beside the package; examples are drawn alike and not made smaller."""
    import hypothesis

    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutants", derandomize=True, database=None, phases=phases)
    hypothesis.settings.load_profile("mutants")
    with (folder / "tests.log").open("w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        os.chdir(ROOT)
        status = int(pytest.main([*tests, "-x", "-q", "-p", "no:cacheprovider"], plugins=[OwnData()]))
    (folder / IMPORTED).write_text("\n".join(_libraries()), encoding="utf-8")
    return status


def _libraries() -> list[str]:
    """Modules of this process that are installed, neither ours nor the tests'."""
    files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    return [name for name, file in files.items() if file and "site-packages" in file and "ifcurate" not in file]
