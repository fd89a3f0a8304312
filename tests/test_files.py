from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from full_disks import full_for_python, full_for_safetensors

from ifcurate import files
from ifcurate.errors import InputError, is_disk_full, sentence
from ifcurate.files import (
    clear,
    finishing,
    finishing_folder,
    is_free,
    remove,
    remove_parts,
    remove_parts_of,
    write_text,
)


def test_a_file_has_its_name_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    with finishing(path) as part:
        part.write_text("half")
        assert not path.exists()
        assert part.parent == path.parent
        assert part.name.endswith(".part")
    assert path.read_text() == "half"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_has_its_name_when_it_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr(files, "_to_disk", lambda file: synced.append(file.name))
    with finishing_folder(tmp_path / "a") as part:
        write_text(part / "one", "1")
        (part / "sub").mkdir()
        (part / "sub" / "two").write_text("2")
        synced.clear()
    part_name = synced[-2]
    assert sorted(synced[:-2]) == ["one", "sub", "two"]
    assert (part_name.startswith("a."), synced[-1]) == (True, tmp_path.name)  # the name is on disk, too
    assert (tmp_path / "a" / "sub" / "two").read_text() == "2"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
@pytest.mark.parametrize("kind", [finishing, finishing_folder])
def test_an_error_leaves_nothing(
    kind: Callable[[Path], AbstractContextManager[Path]], error: BaseException, tmp_path: Path
) -> None:
    with pytest.raises(type(error)), kind(tmp_path / "a") as part:
        (part / "x" if part.is_dir() else part).write_text("half")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_two_writers_of_one_name_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with finishing(path) as one, finishing(path) as other:
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("write", [full_for_safetensors, full_for_python])
def test_a_full_disk_is_one_sentence(write: Callable[[Path], None], tmp_path: Path) -> None:
    """In a child process, because a limit on the size of files stays."""
    script = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parent / "helpers")!r})
from pathlib import Path
from ifcurate.errors import InputError
from ifcurate.files import finishing
from full_disks import {write.__name__} as write
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
path = Path({str(tmp_path)!r}) / "a"
try:
    with finishing(path) as part:
        write(part)
except InputError as error:
    assert str(error).startswith(f"{{path}}: no space left to write this"), error
    assert list(path.parent.iterdir()) == []
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "refused\n", done.stderr


def test_what_a_full_disk_looks_like() -> None:
    for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        assert is_disk_full(OSError(code, os.strerror(code)))
        assert is_disk_full(RuntimeError(f"I/O error: {os.strerror(code)} (os error {code})"))
    assert not is_disk_full(OSError(errno.ENOENT, os.strerror(errno.ENOENT)))
    assert not is_disk_full(KeyboardInterrupt())


def test_an_error_of_the_system_names_its_file() -> None:
    assert sentence(PermissionError(13, "Permission denied", "/x")).startswith("/x: Permission denied; ")
    assert sentence(OSError("odd")) == "odd"
    assert sentence(InputError("a.txt: is broken; mend it.")) == "a.txt: is broken; mend it."


def test_remove_takes_files_folders_and_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "file").write_text("x")
    for name in ("folder", "file", "nothing"):
        remove(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_parts_are_removed_and_finished_files_are_not(tmp_path: Path) -> None:
    for name in ("a", "deep/a"):
        write_text(tmp_path / name, "whole")
        write_text(tmp_path / f"{name}.0123abcd.part", "half")
        write_text(tmp_path / f"{name}.89abcdef.part" / "x", "half")
    remove_parts(tmp_path)
    remove_parts(tmp_path / "nowhere")
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [tmp_path / "a", tmp_path / "deep/a"]


def test_parts_of_one_name_are_removed(tmp_path: Path) -> None:
    names = ("a[1]", "a[1].0123abcd.part", "a[1].b.0123abcd.part", "a1.0123abcd.part")
    for name in names:
        write_text(tmp_path / name / "x", "x")
    remove_parts_of(tmp_path / "a[1]")
    assert {file.name for file in tmp_path.iterdir()} == set(names) - {"a[1].0123abcd.part"}


def test_a_folder_with_nothing_but_parts_is_free(tmp_path: Path) -> None:
    assert is_free(tmp_path / "nowhere")
    assert is_free(tmp_path)
    (tmp_path / "run.yaml.0123abcd.part").touch()
    assert is_free(tmp_path)
    (tmp_path / "x.part").touch()
    assert not is_free(tmp_path)
    assert not is_free(tmp_path / "x.part")


def test_what_a_kill_leaves_of_a_folder_can_still_be_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    for name in ("a/1", "a/2", "b/1", "marker", "z"):
        write_text(folder / name, "x")

    def killed(path: Path) -> None:
        if path.name.startswith("b."):
            (path / "1").unlink()
            raise KeyboardInterrupt
        remove(path)

    with monkeypatch.context() as patch:
        patch.setattr(files, "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            clear(folder, "marker")
    left = sorted(entry.name for entry in folder.iterdir())
    assert left[1:] == ["marker", "z"], "the marker goes last, and `a` is gone"
    assert left[0].startswith("b.") and left[0].endswith(".part"), "what is half-deleted has no final name"
    clear(folder, "marker")
    assert not folder.exists()
