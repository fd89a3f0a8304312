"""Memory does not grow with the corpus."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from runs import Workshop, texts, write_shards

from ifcurate.pipelines.run import Run

PEAK = """
import json, sys
from ifcurate.config import build
from ifcurate.pipelines.annotate import annotate
from ifcurate.pipelines.run_config import RunConfig
annotate(build(RunConfig, json.loads(sys.argv[1])))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
SHARDS, DOCUMENTS = 2, 800


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads its peak memory from /proc")
def test_ten_times_the_shards_take_the_same_memory(workshop: Workshop, finished: Run, tmp_path: Path) -> None:
    def peak(shards: int) -> int:
        corpus = write_shards(tmp_path / f"corpus-{shards}", [texts(DOCUMENTS, seed) for seed in range(shards)])
        settings = workshop.settings(
            corpus=corpus, out=tmp_path / f"run-{shards}", direction=finished.direction("toxic")
        )
        command = [sys.executable, "-c", PEAK, json.dumps(settings)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return int(done.stdout.split()[-1])

    assert peak(10 * SHARDS) < 1.1 * peak(SHARDS)
