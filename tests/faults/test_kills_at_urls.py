"""kill -9 of a run at `s3://`, which goes on from what lies there, on the same machine or on one that has nothing."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from object_store import BUCKET, environment_of, objects_below, serving, using
from runs import ARTIFACTS, Workshop, contents
from warm_commands import WarmCommands

from ifcurate.pipelines.run import Run
from ifcurate.storage.manifest import MANIFEST

CHANGES = 300
"""Of files in the cache, which an undisturbed run makes, sending included."""
RUNS, KILLS = 8, 6
"""Of the long form."""


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    with serving() as address:
        yield address


def kill_and_finish(
    store: str,
    name: str,
    moments: list[int],
    forgetting: list[bool],
    warm: WarmCommands,
    workshop: Workshop,
    cache: Path,
) -> dict[str, bytes]:
    """Kill a run at changes of files, each time going on with the cache or without; returns what lies at its URL."""
    fault: dict[str, Any] = {
        "environment": {**environment_of(store), "IFCURATE_CACHE": str(cache)},
        "seconds_between_sends": 0.05,
        "group_characters": 2_000_000,
    }
    words = ["annotate", *workshop.options(out=f"s3://{BUCKET}/{name}")]
    for moment, forgets in zip(moments, forgetting, strict=True):
        ended = warm.run(*words, below=cache, moment=moment, **fault)
        assert ended.was_killed or ended.outcome.code == 0, ended.outcome.err
        if forgets:
            shutil.rmtree(cache, ignore_errors=True)
    ended = warm.run(*words, **fault)
    assert ended.outcome.code == 0, ended.outcome.err
    with using(store) as filesystem:
        return objects_below(filesystem, name)


def assert_is(there: dict[str, bytes], finished: Run) -> None:
    assert {name: there[name] for name in there if name.split("/")[0] in ARTIFACTS} == contents(finished)
    assert [name for name in there if name.startswith(".ifcurate/")] == [MANIFEST]


def test_another_machine_goes_on(
    store: str, warm: WarmCommands, workshop: Workshop, finished: Run, tmp_path: Path
) -> None:
    there = kill_and_finish(store, "run", [150, 200], [True, True], warm, workshop, tmp_path / "cache")
    assert_is(there, finished)
    stages = [name.rpartition("-")[2] for name in there if name.startswith("logs/stages/")]
    assert stages.count("fit.json") == stages.count("direct.json") == 1, "what is finished is never computed again"


@pytest.mark.faults
@pytest.mark.parametrize("number", range(RUNS))
def test_killed_many_times(
    store: str, warm: WarmCommands, workshop: Workshop, finished: Run, tmp_path: Path, number: int
) -> None:
    generator = random.Random(number)
    moments = [generator.randint(1, CHANGES) for _ in range(KILLS)]
    forgetting = [generator.random() < 0.5 for _ in moments]
    there = kill_and_finish(store, f"run{number}", moments, forgetting, warm, workshop, tmp_path / "cache")
    assert_is(there, finished)
