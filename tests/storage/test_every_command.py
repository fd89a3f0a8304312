"""Every command with its output at a URL, here in fsspec's memory: the files that it leaves in a folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from commands import Command
from fsspec.implementations.memory import MemoryFileSystem
from runs import Workshop, contents, rows_of, texts, write_queries
from tiny_classifiers import save_toxigen

from ifcurate.pipelines.run import Run
from ifcurate.storage.mirrored import read_at, written_at

OTHER = {"logs", "metrics.json", "training_args.bin", "trainer_state.json", "checksums.json"}
"""What says when something was done, or how long it took; so do keys of others, of which some say where."""
KEYS = {"seconds", "out", "checksum"}
SHAPE = ["--tokens-per-step=64", "--context=32", "--max-steps=2", "--save-steps=1", "--device=cpu", "--no-watch"]


@dataclass(frozen=True)
class World:
    """What commands begin from; `run` is a finished run, on disk or at a URL."""

    workshop: Workshop
    folder: Path
    run: str

    @property
    def model(self) -> str:
        return str(self.workshop.root / "model")

    def texts(self) -> str:
        file = self.folder / "labelled.jsonl"
        rows = [{"text": text, "toxic": number % 2, "prompt": text} for number, text in enumerate(texts(40)) if text]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(file)

    def queries(self) -> str:
        return str(write_queries(self.folder / "others.jsonl", ["hideous", "nasty"]))

    def classifier(self) -> str:
        if not (self.folder / "classifier").exists():
            save_toxigen(self.folder / "classifier")
        return f"toxigen:{self.folder / 'classifier'}"


Words = Callable[[World, str], list[str]]
NEW: dict[str, Words] = {
    "publish": lambda world, out: ["publish", world.run, "--repo=a/b", "--license=mit", "--dry-run", "--out", out],
    "export": lambda world, out: ["export", world.run, "--format=neox", f"--tokenizer={world.model}", "--out", out],
}
"""Commands that make a folder."""
LONG: dict[str, Words] = {
    "distil": lambda world, out: ["distil", world.run, f"--student={world.model}", "--out", out, "--device=cpu"],
    "train": lambda world, out: ["train", "--data", world.run, f"--model={world.model}", "--out", out, *SHAPE],
    "screen": lambda world, out: ["screen", world.run, "--out", out],
    "verify": lambda world, out: [
        *("verify", world.run, "--rows=24", "--context=16", "--steps=4", "--seeds=1", "--tokens-per-step=64"),
        *("--eval-tokens=128", "--save-steps=2", "--queries", world.queries(), "--device=cpu"),
        *("--out", out),
    ],
    "reward-model": lambda world, out: [
        *("reward-model", world.texts(), f"--model={world.model}", "--label-column=toxic", "--num-train-epochs=1"),
        *("--device=cpu", "--out", out),
    ],
    "queries": lambda world, out: [
        *("queries", world.texts(), "--classifier=profanity-check", "--continuation-column=text", "--out", out),
        *("--device=cpu", "--near-duplicate=1", "--behaviour-from=0.1"),
    ],
    "eval": lambda world, out: [
        *("eval", "toxicity", world.model, f"--classifier={world.classifier()}", "--prompts", world.texts()),
        *("--completions=2", "--max-new-tokens=3", "--device=cpu", "--threads=1", "--out", out),
    ],
}
AT = "memory://bucket"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("IFCURATE_CACHE", str(tmp_path / "cache"))
    MemoryFileSystem.store.clear()
    yield tmp_path / "cache"
    MemoryFileSystem.store.clear()


def send(run: Run, url: str) -> str:
    with written_at(url, "test") as folder:
        shutil.copytree(run.root, folder, dirs_exist_ok=True)
    return url


def files_of(folder: Path) -> dict[str, Any]:
    """What is to be the same: bytes, or what JSON says."""
    files = {file.relative_to(folder): file for file in sorted(folder.rglob("*")) if file.is_file()}
    return {
        str(path): without_keys(json.loads(file.read_bytes())) if path.suffix == ".json" else file.read_bytes()
        for path, file in files.items()
        if not OTHER & set(path.parts) and path.suffix != ".yaml"
    }


def without_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_keys(each) for key, each in value.items() if key not in KEYS}
    return [without_keys(each) for each in value] if isinstance(value, list) else value


def files_at(url: str, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """As another machine finds them."""
    with monkeypatch.context() as patch:
        patch.setenv("IFCURATE_CACHE", str(elsewhere))
        with read_at(url, "test") as folder:
            return files_of(folder)


@pytest.mark.parametrize("name", [*NEW, *(pytest.param(name, marks=pytest.mark.faults) for name in LONG)])
def test_a_command_makes_at_a_url_what_it_makes_in_a_folder(
    name: str, workshop: Workshop, finished: Run, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = {**NEW, **LONG}[name]
    on_disk = command(*words(World(workshop, tmp_path, str(finished.root)), str(tmp_path / "out")))
    assert on_disk.code == 0, on_disk.err
    run, out = send(finished, f"{AT}/run"), f"{AT}/out"
    for _ in range(2):  # and once more, when it is there already
        done = command(*words(World(workshop, tmp_path, run), out))
        assert done.code == 0, done.err
        assert str(tmp_path / "cache") not in done.out + done.err
        there, expected = files_at(out, tmp_path / "elsewhere", monkeypatch), files_of(tmp_path / "out")
        assert there.keys() == expected.keys()
        assert [name for name in there if there[name] != expected[name]] == []
        named = [
            path for path, file in MemoryFileSystem.store.items() if str(tmp_path / "cache").encode() in file.getvalue()
        ]
        assert {path.rpartition("/")[2] for path in named} <= {"training_args.bin"}, "which transformers writes"


def test_stages_of_a_run_at_a_url(
    workshop: Workshop, finished: Run, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, folder = send(finished, f"{AT}/run"), tmp_path / "run"
    shutil.copytree(finished.root, folder)
    for place in (url, str(folder)):
        for words in (["select", place, "--budget=10%"], ["write", place], ["report", place]):
            done = command(*words)
            assert done.code == 0, done.err
            assert place in done.out
    assert files_at(url, tmp_path / "elsewhere", monkeypatch) == files_of(folder)
    with read_at(url, "test") as working:
        assert rows_of(working / "data") == rows_of(folder / "data")
    assert command("inspect", url).out == command("inspect", folder).out


def test_one_file_goes_to_its_url(finished: Run, tmp_path: Path, command: Command) -> None:
    for out in (f"{AT}/deep/overlap.json", str(tmp_path / "overlap.json")):
        done = command("overlap", finished.root, finished.root, "--out", out)
        assert done.code == 0, done.err
        assert f"written: {out}" in done.out
    assert MemoryFileSystem().cat_file("/bucket/deep/overlap.json") == (tmp_path / "overlap.json").read_bytes()


def test_models_and_directions_are_read_from_urls(
    workshop: Workshop, finished: Run, tmp_path: Path, command: Command
) -> None:
    filesystem = MemoryFileSystem()
    for file in (workshop.root / "model").iterdir():
        filesystem.pipe_file(f"/bucket/model/{file.name}", file.read_bytes())
    filesystem.pipe_file("/bucket/model/checkpoint-1/model.safetensors", b"of no use")
    filesystem.pipe_file("/bucket/toxic.safetensors", finished.direction("toxic").read_bytes())
    words = ("--text", "What a vile river.", "--plain")
    shown = [
        command("inspect", "--direction", direction, "--model", model, *words)
        for direction, model in (
            (finished.direction("toxic"), workshop.root / "model"),
            (f"{AT}/toxic.safetensors", f"{AT}/model"),
        )
    ]
    assert [each.code for each in shown] == [0, 0], shown
    assert shown[0].out == shown[1].out
    run = workshop.annotate(out=tmp_path / "run", model=f"{AT}/model", direction=f"{AT}/toxic.safetensors")
    assert contents(run, ["direction"]) == contents(finished, ["direction"])
    assert rows_of(run.data) == rows_of(finished.data)
    assert "there is no such file or folder" in command("inspect", "--direction", f"{AT}/nothing", *words).error
