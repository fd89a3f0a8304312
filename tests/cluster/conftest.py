from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from runs import Workshop

from ifcurate.pipelines.run import Run

NEEDED = ("slurmctld", "slurmd", "munged", "sbatch")
SMALL_BATCHES = 32
SCRIPT = Path(__file__).with_name("slurm.sh")


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A corpus that takes long enough to score, in `SMALL_BATCHES`, for a task to be met in the middle of it."""
    return Workshop.build(tmp_path_factory.mktemp("workshop"), documents=240)


@pytest.fixture(scope="session")
def finished(workshop: Workshop) -> Run:
    """What a run on this machine alone makes of it."""
    return workshop.annotate(batch_tokens=SMALL_BATCHES)


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Slurm of one node with two task slots, which ends with the tests; the name of its partition."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        pytest.skip(f"needs Slurm, and there is no {', '.join(missing)}: apt-get install slurm-wlm munge")
    if os.geteuid() != 0:
        pytest.skip("needs to be root, to start Slurm's daemons")
    folder = tmp_path_factory.mktemp("slurm")
    try:
        subprocess.run(["sh", SCRIPT, "start", folder], check=True)
        os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
        yield "main"
    finally:
        subprocess.run(["sh", SCRIPT, "stop", folder], check=True)
        os.environ.pop("SLURM_CONF", None)
