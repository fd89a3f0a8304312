"""Folders that are uploaded to a Hub on this machine, killed in the middle, and what is downloaded from it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_server import Event, Hub, Repository, environment_of, hub_server

UPLOAD = """
import sys
from pathlib import Path
import ifcurate.hub
from ifcurate.errors import InputError
ifcurate.hub.FILES_A_COMMIT = 2
try:
    print(ifcurate.hub.upload(Path(sys.argv[1]), "org/name", "dataset", sys.argv[2] == "private", ["data"]))
except InputError as error:
    sys.exit(f"Error: {error}")
"""
DOWNLOAD = "import sys, ifcurate.hub; print(ifcurate.hub.downloaded(sys.argv[1], 'dataset', 'data/*'))"
NAME = "datasets/org/name"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with hub_server() as server:
        yield server


def folder_of(path: Path, seed: int = 0) -> dict[str, bytes]:
    """A folder like a published data set; what of it is to be on the Hub."""
    draw = random.Random(seed)
    files = {f"data/train-0000{number}-of-00005.parquet": draw.randbytes(2000 + number) for number in range(5)}
    files |= {"figures/a.png": draw.randbytes(50), "checksums.json": b"{}"}
    files["README.md"] = f"---\nlicense: odc-by\n---\n# {seed}\n".encode()
    for name, content in {**files, ".publish.yaml": b"hidden: true"}.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return files


def python(hub: Hub, home: Path, *words: str | Path) -> subprocess.Popen[str]:
    """A process that knows this Hub."""
    environment = {**os.environ, **environment_of(hub, home)}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", *map(str, words)], stdout=pipe, stderr=pipe, text=True, env=environment
    )


def upload(hub: Hub, folder: Path, private: bool = True) -> tuple[int, str]:
    process = python(hub, folder.parent / "home", UPLOAD, folder, "private" if private else "public")
    out, err = process.communicate(timeout=300)
    return process.returncode, (out + err).strip().splitlines()[-1]


def test_a_folder_is_uploaded_and_its_card_comes_last(hub: Hub, tmp_path: Path) -> None:
    files = folder_of(tmp_path / "folder")
    assert upload(hub, tmp_path / "folder") == (0, f"{hub.address}/{NAME}")
    repository = hub.repositories[NAME]
    assert repository.private
    assert repository.files == files
    assert repository.commits[-1] == ["README.md"]
    assert len(repository.commits) == 5
    events = len(hub.events)
    assert upload(hub, tmp_path / "folder")[0] == 0
    assert hub.events[events:] == []
    repository.files["data/train-00000-of-00006.parquet"] = b"of another time"
    (tmp_path / "folder" / "README.md").write_text("---\nlicense: mit\n---\n")
    assert upload(hub, tmp_path / "folder")[0] == 0
    assert hub.events[events:] == [("commit", ["data/train-00000-of-00006.parquet", "README.md"])]


@pytest.mark.parametrize("moment", [3, 5])
def test_a_killed_upload_goes_on(hub: Hub, tmp_path: Path, moment: int) -> None:
    """Killed at an event of each kind; what the server has, as an object or in a commit, is not sent again."""
    files = folder_of(tmp_path / "folder")
    process = python(hub, tmp_path / "home", UPLOAD, tmp_path / "folder", "private")

    def kill(event: Event) -> None:
        if len(hub.events) == moment:
            process.send_signal(signal.SIGKILL)
            process.wait()

    hub.on_event = kill
    process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL
    with hub.lock:  # what was at work when the process was killed is done
        hub.on_event = lambda event: None
    sent = [oid for kind, oid in hub.events if kind == "put"]
    committed = [path for paths in hub.repositories[NAME].commits for path in paths]
    assert len(committed) < len(files)
    before = len(hub.events)
    assert upload(hub, tmp_path / "folder")[0] == 0
    repository = hub.repositories[NAME]
    assert repository.files == files
    assert [path for paths in repository.commits for path in paths].count("README.md") == 1
    again = [path for kind, paths in hub.events[before:] if kind == "commit" for path in paths]
    assert not set(again) & set(committed)
    assert not {oid for kind, oid in hub.events[before:] if kind == "put"} & set(sent)


def test_what_is_public_stays_untouched_unless_public_is_asked_for(hub: Hub, tmp_path: Path) -> None:
    files = folder_of(tmp_path / "folder")
    hub.repositories[NAME] = Repository(private=False)
    code, said = upload(hub, tmp_path / "folder")
    assert (code, said) == (
        1,
        "Error: option --repo: org/name is public already; give --public, or another one.",
    )
    assert hub.events == []
    assert upload(hub, tmp_path / "folder", private=False)[0] == 0
    assert hub.repositories[NAME].files == files


def test_a_card_that_the_hub_refuses_is_refused_before_anything_is_sent(hub: Hub, tmp_path: Path) -> None:
    folder_of(tmp_path / "folder")
    (tmp_path / "folder" / "README.md").write_text("---\ntags: []\n---\n")
    code, said = upload(hub, tmp_path / "folder")
    assert code == 1
    assert said.startswith("Error: org/name: cannot be uploaded to the Hub (")
    assert "license" in said
    assert hub.events == []
    assert NAME not in hub.repositories


def test_files_are_downloaded_once(hub: Hub, tmp_path: Path) -> None:
    wanted: dict[str, Any] = {"data/a.parquet": b"a", "other/b.parquet": b"b"}
    hub.repositories[NAME] = Repository(private=False, files=wanted)
    for _ in range(2):
        out, err = python(hub, tmp_path / "home", DOWNLOAD, "org/name").communicate(timeout=300)
        folder = Path(out.strip())
        assert (folder / "data" / "a.parquet").read_bytes() == b"a", err
        assert not (folder / "other").exists()
    assert hub.events == [("get", "data/a.parquet")]
    _, err = python(hub, tmp_path / "home", DOWNLOAD, "org/other@v1").communicate(timeout=300)
    assert "org/other@v1: is no file or folder here and cannot be loaded from the Hub" in err
