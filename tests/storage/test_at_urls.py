"""Commands whose output is at `s3://`, on moto's server: the bytes of a folder, from whatever machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Command
from object_store import BUCKET, SECRET, objects_below, serving, using
from runs import ARTIFACTS, Workshop, contents

from ifcurate.pipelines.run import Run
from ifcurate.storage.manifest import MANIFEST

RUN = f"s3://{BUCKET}/run"


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    with serving() as address:
        yield address


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of a machine that has seen no run."""
    monkeypatch.setenv("IFCURATE_CACHE", str(tmp_path / "machine"))
    return tmp_path / "machine"


def test_a_run_at_a_url_is_that_in_a_folder(
    store: str, machine: Path, workshop: Workshop, finished: Run, command: Command
) -> None:
    with using(store) as filesystem:
        done = command("annotate", *workshop.options(out=RUN))
        assert done.code == 0, done.err
        assert f"annotated corpus: {RUN}/data" in done.out
        there = objects_below(filesystem, "run")
        assert {name: content for name, content in there.items() if name.split("/")[0] in ARTIFACTS} == contents(
            finished
        )
        assert f"out: {RUN}\n".encode() in there["run.yaml"]
        everything = b"".join(there.values()) + done.out.encode() + done.err.encode()
        assert str(machine).encode() not in everything
        assert SECRET.encode() not in everything
        assert not any(name.startswith(".ifcurate/") for name in there if name != MANIFEST)

        shutil.rmtree(machine)
        before = dict(there)
        again = command("annotate", *workshop.options(out=RUN))
        assert again.code == 0, again.err
        assert f"{RUN}: taken up" in again.err
        after = objects_below(filesystem, "run")
        unchanged = [name for name in before if name.split("/")[0] in (*ARTIFACTS, "run.yaml")]
        assert {name: after[name] for name in unchanged} == {name: before[name] for name in unchanged}
