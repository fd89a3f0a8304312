"""Every command that writes something, what it begins from, and what it leaves when nothing goes wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runs import Workshop
from warm_commands import Ended, WarmCommands

STAGES = ("fit", "direct", "score", "select", "write")
TASKS = (*STAGES, "annotate", "train")
NO_RESULT = ("logs", "run.yaml", "training.yaml", "metrics.json", "training_args.bin")
"""What says when and where something was done, or how long it took."""


@dataclass(frozen=True)
class Task:
    """A command on a folder.

    Attributes:
        name: of the command.
        words: of the command line that works on a folder.
        before: the folder that it begins from, if any.
        whole: the same folder after a command that nothing disturbed.
        undisturbed: how that command ended.
    """

    name: str
    words: Callable[[Path], list[str]]
    before: Path | None
    whole: Path
    undisturbed: Ended

    def begin(self, folder: Path) -> Path:
        """A new `folder` for the command to work on."""
        if self.before is not None:
            shutil.copytree(self.before, folder, dirs_exist_ok=True)
        return folder

    def assert_whole(self, folder: Path) -> None:
        """The results in `folder` are those of the undisturbed command, byte by byte, and nothing else is there."""
        self.assert_whole_but(folder)

    def assert_whole_but(self, folder: Path, *others: str) -> None:
        """The same, apart from files that the command does not make."""
        found, expected = results(folder), results(self.whole)
        if self.name != "train":
            for name in others:
                found.pop(name, None)
                expected.pop(name, None)
        missing_or_new = sorted(found.keys() ^ expected.keys())
        assert not missing_or_new, missing_or_new
        different = [name for name in found if found[name] != expected[name]]
        assert not different, different
        assert not leftovers(folder), leftovers(folder)


def results(folder: Path) -> dict[str, bytes]:
    """Every file of a finished folder whose bytes depend on what was asked for alone, by path."""
    files = {file.relative_to(folder): file for file in sorted(folder.rglob("*")) if file.is_file()}
    return {
        str(path): file.read_bytes()
        for path, file in files.items()
        if path.parts[0] not in NO_RESULT and not path.parts[0].startswith("checkpoint-")
    }


def leftovers(folder: Path) -> list[Path]:
    """What no command may leave in a folder or beside it: half-written files, and the lock."""
    below = [file for file in folder.rglob("*") if file.name.endswith(".part") or file.name == ".unfinished"]
    return below + list(folder.parent.glob(f".{folder.name}.ifcurate.lock*"))


def make_tasks(warm: WarmCommands, workshop: Workshop, root: Path) -> dict[str, Task]:
    """All of `TASKS`, each run once without a fault."""
    tasks: dict[str, Task] = {}
    before: Path | None = None
    for name, words in commands(workshop, root / "write").items():
        whole = root / name
        begins_from = before if name in STAGES else None
        if begins_from is not None:
            shutil.copytree(begins_from, whole)
        ended = warm.run(*words(whole), below=root)
        assert ended.outcome.code == 0, ended.outcome.err
        assert leftovers(whole) == []
        tasks[name] = Task(name, words, begins_from, whole, ended)
        before = whole
    return tasks


def commands(workshop: Workshop, annotated: Path) -> dict[str, Callable[[Path], list[str]]]:
    """The words of every task, given the folder that it works on; training reads the run `annotated`."""
    queries = [f"--queries={workshop.root / 'toxic.jsonl'}", f"--contrast={workshop.root / 'safe.jsonl'}"]
    later = {"queries": None, "contrast": None, "quantile": None, "budget": None, "workers": None}
    shape = ["--tokens-per-step=64", "--context=32", "--max-steps=6", "--save-steps=2", "--device=cpu", "--no-watch"]
    trained = ["--data", str(annotated), "--model", str(workshop.root / "model"), "--penalty=toxic=0.5", *shape]
    return {
        "fit": lambda folder: ["fit", *workshop.options(out=folder, **later)],
        "direct": lambda folder: ["direct", str(folder), *queries],
        "score": lambda folder: ["score", str(folder), "--workers=1"],
        "select": lambda folder: ["select", str(folder), "--quantile=0.9", "--budget=5%"],
        "write": lambda folder: ["write", str(folder), "--workers=1"],
        "annotate": lambda folder: ["annotate", *workshop.options(out=folder)],
        "train": lambda folder: ["train", "--out", str(folder), *trained],
    }
