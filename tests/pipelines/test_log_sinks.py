"""In processes of their own: what is imported, and when, is what counts."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("imported", ["executor", "steps.read_shards", "annotate"])
def test_the_applications_sinks_stay(imported: str) -> None:
    script = f"""
from loguru import logger
seen = []
number = logger.add(seen.append, format="{{message}}")
import ifcurate.pipelines.{imported}
logger.info("said")
assert seen == ["said\\n"], seen
logger.remove(number)
logger.add(seen.append, format="{{message}}")
logger.info("again")
assert seen[1:] == ["again\\n"], seen
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
