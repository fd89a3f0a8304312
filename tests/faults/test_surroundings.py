"""What changes around a command: an input that cannot be written, a clock that jumps, a corpus that is edited."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest
from faulty_tasks import Task
from runs import Workshop, texts, write_shards
from warm_commands import WarmCommands

from ifcurate.pipelines.stage_times import read_stages

YEAR = 365 * 24 * 3600.0


def test_the_input_is_only_read(tasks: dict[str, Task], warm: WarmCommands, workshop: Workshop, tmp_path: Path) -> None:
    """No command changes a file of its input, or puts one beside it; root could, whatever the permissions say."""
    folders = [workshop.root / name for name in ("corpus", "model")]
    before = {file: file.stat().st_mtime_ns for folder in folders for file in sorted(folder.rglob("*"))}
    for folder in folders:
        folder.chmod(0o555)
    try:
        for name in ("annotate", "train"):
            ended = warm.run(*tasks[name].words(tmp_path / name))
            assert ended.outcome.code == 0, ended.outcome.err
            tasks[name].assert_whole(tmp_path / name)
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert {file: file.stat().st_mtime_ns for folder in folders for file in sorted(folder.rglob("*"))} == before


@pytest.mark.parametrize("shift", [-YEAR, YEAR])
def test_a_clock_that_jumps(shift: float, tasks: dict[str, Task], warm: WarmCommands, tmp_path: Path) -> None:
    """A run that is killed goes on in another year: nothing is done twice, no time is negative."""
    task, folder = tasks["annotate"], tmp_path / "run"
    changes = task.undisturbed.changes or 1
    assert warm.run(*task.words(folder), below=tmp_path, moment=int(changes * 0.7)).was_killed
    for file in folder.rglob("*"):
        os.utime(file, (2e9, 2e9))
    kept = {file: file.read_bytes() for file in folder.glob("direction/*")}
    ended = warm.run(*task.words(folder), clock=shift)
    assert ended.outcome.code == 0, ended.outcome.err
    task.assert_whole(folder)
    assert kept and all(file.stat().st_mtime == 2e9 for file in kept)
    assert all(stage.seconds > 0 for stage in read_stages(folder / "logs"))
    again = warm.run(*task.words(folder), clock=-shift)
    assert again.outcome.code == 0, again.outcome.err
    task.assert_whole(folder)


@pytest.mark.faults
@pytest.mark.parametrize("number", range(6))
def test_a_corpus_that_changes_under_a_run(number: int, warm: WarmCommands, workshop: Workshop, tmp_path: Path) -> None:
    """A shard is replaced while the run is stopped; scores are of the new texts, and those of the others stay."""
    generator = random.Random(f"changes {number}")
    corpus = tmp_path / "corpus"
    write_shards(corpus, [texts(20, seed) for seed in range(3)])
    direction = tmp_path / "toxic.safetensors"
    first = warm.run("annotate", *workshop.options(corpus=corpus, out=tmp_path / "made"))
    assert first.outcome.code == 0, first.outcome.err
    shutil.copy(tmp_path / "made" / "direction" / "toxic.safetensors", direction)
    options = {"corpus": corpus, "direction": direction, "engine": "jvp"}  # without a step found on the corpus
    whole = warm.run("annotate", *workshop.options(out=tmp_path / "before", **options), below=tmp_path / "before")
    moment = generator.randint(1, whole.changes or 1)
    warm.run("annotate", *workshop.options(out=tmp_path / "run", **options), below=tmp_path / "run", moment=moment)
    write_shards(tmp_path / "other", [texts(20, 10 + number)])
    shutil.copy(tmp_path / "other" / "part-000.parquet", corpus / "part-001.parquet")
    ended = warm.run("annotate", *workshop.options(out=tmp_path / "run", **options))
    assert ended.outcome.code == 0, ended.outcome.err
    after = warm.run("annotate", *workshop.options(out=tmp_path / "after", **options))
    assert after.outcome.code == 0, after.outcome.err
    for place in ("scores", "selection", "data"):
        for file in sorted((tmp_path / "after" / place).rglob("*")):
            other = tmp_path / "run" / file.relative_to(tmp_path / "after")
            if file.name != "engine.json":
                assert other.read_bytes() == file.read_bytes(), file
