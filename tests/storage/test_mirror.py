"""What lies at a URL after some of it was sent, taken up, replaced, deleted or left half-done; in fsspec's memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from pydantic import ValidationError

from ifcurate.errors import InputError
from ifcurate.lock import Holder
from ifcurate.storage import url_lock
from ifcurate.storage.launches import announced, require_one_machine, wait_for
from ifcurate.storage.manifest import MANIFEST, Manifest
from ifcurate.storage.mirror import Mirror
from ifcurate.storage.mirrored import read_at, root_of, written_at
from ifcurate.storage.objects import Objects
from ifcurate.storage.url_lock import LOCK, leasing
from ifcurate.working import folder_of, work_at

URL = "memory://bucket/run"


@pytest.fixture
def objects() -> Iterator[Objects]:
    MemoryFileSystem.store.clear()
    yield Objects(URL)
    MemoryFileSystem.store.clear()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IFCURATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        file = folder / f"sub/{name}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def there(objects: Objects) -> dict[str, str]:
    names = [name for name in objects.sizes() if name != MANIFEST]
    return {name.removeprefix("sub/"): (objects.read(name) or b"").decode() for name in names}


def files_of(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.rglob("*") if file.is_file()}


def on_another_machine(monkeypatch: pytest.MonkeyPatch, cache: Path, name: str) -> None:
    monkeypatch.setenv("IFCURATE_CACHE", str(cache.with_name(name)))


def test_a_folder_goes_from_machine_to_machine(objects: Objects, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with written_at(URL, "first") as folder:
        write(folder, a="1", b="1", same="1")
    assert there(objects) == {"a": "1", "b": "1", "same": "1"}

    on_another_machine(monkeypatch, cache, "other")
    with written_at(URL, "second") as other:
        assert files_of(other) == {"a": "1", "b": "1", "same": "1"}
        assert (other / "sub/a").stat().st_mtime_ns == (folder / "sub/a").stat().st_mtime_ns
        write(other, a="22", c="2")
        (other / "sub/b").unlink()
        (other / "sub/d.0123abcd.part").write_text("unfinished")
    assert there(objects) == {"a": "22", "c": "2", "same": "1"}

    on_another_machine(monkeypatch, cache, "cache")
    kept = (folder / "sub/same").stat()
    with read_at(URL, "third") as again:
        assert again == folder
        assert files_of(folder) == {"a": "22", "c": "2", "same": "1"}
        assert (folder / "sub/same").stat().st_ino == kept.st_ino, "what is the same is not read again"


def test_what_fails_is_sent_and_what_is_empty_leaves_nothing(objects: Objects) -> None:
    with pytest.raises(ZeroDivisionError), written_at(URL, "command"):
        raise ZeroDivisionError
    assert objects.sizes() == {}
    with pytest.raises(ZeroDivisionError), written_at(URL, "command") as folder:
        write(folder, a="1")
        raise ZeroDivisionError
    assert there(objects) == {"a": "1"}


@pytest.mark.parametrize("dies_at", range(1, 8))
@pytest.mark.parametrize("forgets", [True, False])
def test_a_state_is_whole_wherever_sending_stops(
    objects: Objects, cache: Path, monkeypatch: pytest.MonkeyPatch, dies_at: int, forgets: bool
) -> None:
    with written_at(URL, "before") as folder:
        write(folder, a="1", b="1", c="1")
    before, after = {"a": "1", "b": "1", "c": "1"}, {"a": "2", "c": "1", "d": "2", "e": "2"}
    with leasing(objects, "killed") as lease:
        mirror = Mirror(objects, folder)
        mirror.take_up(lease)
        write(folder, a="2", d="2", e="2")
        (folder / "sub/b").unlink()
        with monkeypatch.context() as patch:
            _die_at(dies_at, patch)
            with pytest.raises(KeyboardInterrupt):
                mirror.send(lease)
    if forgets:
        on_another_machine(monkeypatch, cache, "other")
    with written_at(URL, "after") as folder:
        found = files_of(folder)
        assert found in (before, after)
        assert forgets or found == after
    assert there(objects) == found


def _die_at(number: int, patch: pytest.MonkeyPatch) -> None:
    """The process is killed before the change of that number at the URL; seven are made."""
    calls = iter(range(1, 1000))

    def dying(method: Any) -> Any:
        def call(*arguments: Any) -> Any:
            if next(calls) >= number:
                raise KeyboardInterrupt
            return method(*arguments)

        return call

    for name in ("write", "upload", "copy", "delete"):
        patch.setattr(Objects, name, dying(getattr(Objects, name)))


def test_files_deleted_at_the_url_are_gone(objects: Objects) -> None:
    with written_at(URL, "first") as folder:
        write(folder, a="1", b="1")
    objects.delete(["sub/a"])
    with written_at(URL, "second") as folder:
        assert files_of(folder) == {"b": "1"}
        write(folder, c="2")
    assert there(objects) == {"b": "1", "c": "2"}


def test_what_is_not_ours_is_refused(objects: Objects, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects.write("sub/a", b"somebody's")
    with (
        pytest.raises(InputError, match=r"^memory://bucket/run: holds files that ifcurate did not write"),
        written_at(URL, "command"),
    ):
        pass
    assert there(objects) == {"a": "somebody's"}
    objects.delete(["sub/a"])
    with written_at(URL, "command") as folder:
        write(folder, a="ours")
    objects.write("sub/a", b"somebody's")
    on_another_machine(monkeypatch, cache, "other")
    with pytest.raises(InputError, match=r"/run/sub/a: is not what was written there"), read_at(URL, "command"):
        pass


def test_a_manifest_leads_nowhere_else() -> None:
    sent = {"size": 0, "sha256": "0" * 64, "changed": 0}
    for name in ("../a", "/a", "a/../../b", ".ifcurate/lock.json", "", "a//b"):
        with pytest.raises(ValidationError):
            Manifest.model_validate({"files": {name: sent}})
    with pytest.raises(InputError, match=r"^memory://x: is damaged or of another version"):
        Manifest.read(b"{", "memory://x")


def test_a_second_writer_is_refused_until_the_first_is_gone(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = Holder("node7", 77, "boot:1", "ifcurate annotate", "today", "token")
    objects.write(LOCK, elsewhere.encoded())
    refusal = r"^memory://bucket/run: is being written by `ifcurate annotate`, process 77 on node7, since today; wait"
    with pytest.raises(InputError, match=refusal), written_at(URL, "ifcurate select"):
        pass
    assert objects.read(LOCK) == elsewhere.encoded()
    monkeypatch.setattr(url_lock, "SECONDS_UNTIL_DEAD", -1.0)
    with written_at(URL, "ifcurate select"):
        assert (objects.read(LOCK) or b"") != elsewhere.encoded()
    assert objects.sizes() == {}


def test_who_is_taken_over_changes_nothing_any_more(objects: Objects) -> None:
    other = Holder("node7", 77, "boot:1", "ifcurate annotate", "today", "token")
    with pytest.raises(InputError, match="process 77 on node7"), written_at(URL, "slept") as folder:
        write(folder, a="1")
        objects.write(LOCK, other.encoded())
    assert list(objects.sizes()) == [LOCK]
    assert objects.read(LOCK) == other.encoded()


def test_the_others_of_a_launch_wait_for_the_first(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, seen = work_at(URL), []

    def wait() -> None:
        wait_for(folder)
        seen.append(folder.is_dir())

    with monkeypatch.context() as patch:
        patch.setenv("TORCHELASTIC_RESTART_COUNT", "7")
        with announced(folder):  # of another launch, of which a kill has left it
            kept = folder.with_name("launch").read_text()
    folder.with_name("launch").write_text(kept)
    other = threading.Thread(target=wait)
    other.start()
    time.sleep(0.3)
    folder.mkdir()
    with announced(folder):
        other.join(60)
    assert seen == [True]
    monkeypatch.setenv("WORLD_SIZE", "4")
    require_one_machine(URL)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(InputError, match="processes on several machines cannot work at a URL"):
        require_one_machine(URL)


def test_what_lies_in_a_run_is_reached_through_the_run(objects: Objects) -> None:
    with written_at(URL, "test") as folder:
        write(folder, a="1")
    assert root_of(f"{URL}/evaluation/") == root_of(f"{URL}/") == URL
    assert root_of("memory://bucket/other/") == "memory://bucket/other"
    with read_at(root_of(f"{URL}/sub/a"), "test"):
        assert Path(folder_of(f"{URL}/sub/a")).read_text() == "1"
