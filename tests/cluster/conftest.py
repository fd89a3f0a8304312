from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from runs import Workshop

from ifcurate.pipelines.run import Run

NEEDED = ("slurmctld", "slurmd", "munged", "sbatch")
SMALL_BATCHES = 32
SMALL_NODE = {"memory": 2 << 30, "object_store_memory": 100 << 20}
"""Of Ray."""
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


@pytest.fixture(scope="session")
def nodes() -> Iterator[Any]:
    """A Ray cluster on loopback of two nodes with a core each, which ends with the tests; its head has none."""
    pytest.importorskip("ray", reason="needs Ray: pip install 'ifcurate[ray]'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # else tasks hardly move beside whatever else computes
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **SMALL_NODE})
        try:
            for _ in range(2):
                cluster.add_node(num_cpus=1, **SMALL_NODE)
            patch.setenv("RAY_ADDRESS", cluster.address)
            yield cluster
        finally:
            cluster.shutdown()
