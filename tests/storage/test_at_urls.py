"""Commands whose output is at `s3://`, on moto's server: the bytes of a folder, from whatever machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Command
from object_store import BUCKET, SECRET, Faults, failing, objects_below, serving, using
from runs import ARTIFACTS, Workshop, contents

from ifcurate.errors import InputError
from ifcurate.pipelines.run import Run
from ifcurate.storage.manifest import MANIFEST
from ifcurate.storage.mirrored import read_at, written_at

AT = f"s3://{BUCKET}"
RUN = f"{AT}/run"
CONTENT = bytes(range(256)) * 300


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    with serving() as address:
        yield address


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of a machine that has seen no run; what fails there is asked for again at once, and by us alone."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("ifcurate.storage.filesystems.SECONDS_BEFORE_SECOND", 0.01)
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


@pytest.mark.parametrize("fault", ["busy", "lost"])
def test_what_is_sent_is_sent_again_where_it_fails(store: str, machine: Path, fault: str) -> None:
    faults = Faults(matching="/faulty", method="PUT", coming=[fault] * 3)
    with failing(store, faults) as address, using(address), written_at(f"{AT}/faulty-{fault}", "test") as folder:
        folder.mkdir()
        (folder / "a.bin").write_bytes(CONTENT)
    assert faults.happened == [fault] * 3
    faults = Faults(matching="a.bin", coming=["truncated", "short", fault])
    shutil.rmtree(machine)
    with failing(store, faults) as address, using(address), read_at(f"{AT}/faulty-{fault}", "test") as folder:
        assert (folder / "a.bin").read_bytes() == CONTENT
    assert faults.coming == []


def test_what_cannot_be_sent_is_kept_and_sent_the_next_time(
    store: str, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{AT}/refused"
    faults = Faults(matching="b.bin", method="PUT", coming=["busy"] * 1000)
    with failing(store, faults) as address, using(address) as filesystem:
        with written_at(url, "test") as folder:
            folder.mkdir()
            (folder / "a.bin").write_bytes(CONTENT)
        monkeypatch.setattr("ifcurate.storage.filesystems.ATTEMPTS", 1)
        monkeypatch.setattr(filesystem, "retries", 1)
        with pytest.raises(InputError, match=rf"^{url}: not everything could be written there .* run the same"):  # noqa: SIM117
            with written_at(url, "test") as folder:
                (folder / "b.bin").write_bytes(CONTENT)
        assert "b.bin" not in objects_below(filesystem, "refused")
        faults.coming = []
        with written_at(url, "test") as folder:
            assert (folder / "b.bin").read_bytes() == CONTENT
        assert objects_below(filesystem, "refused")["b.bin"] == CONTENT


def test_a_place_that_is_not_there_is_one_sentence(
    store: str, machine: Path, workshop: Workshop, command: Command
) -> None:
    with using(store):
        refused = command("annotate", *workshop.options(out="s3://nowhere/run")).error
        assert refused.startswith("s3://nowhere/run: cannot be reached (The specified bucket does not exist")
        assert command("select", f"{AT}/nothing").error.startswith(f"{AT}/nothing: is not a run, it has no run.yaml")
        assert "holds credentials" in command("select", f"s3://me:{SECRET}@{BUCKET}/run").error
