"""Files that were cut short or have a flipped bit: refused in a sentence that names them, made anew with a word, or
provably without a consequence; never used in silence."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from faulty_tasks import Task
from warm_commands import WarmCommands


@dataclass(frozen=True)
class Artifact:
    """A file that a command reads.

    Attributes:
        file: its path below the folder.
        folder: whose whole result has it.
        reader: the command that reads it.
    """

    file: str
    folder: str
    reader: str


ARTIFACTS = {
    "factors": Artifact("factors/factors_ekfac/activation_eigenvectors.safetensors", "fit", "direct"),
    "eigenvalues": Artifact("factors/factors_ekfac/lambda_matrix.safetensors", "fit", "direct"),
    "direction": Artifact("direction/toxic.safetensors", "direct", "score"),
    "sidecar": Artifact("scores/part-000.parquet", "score", "select"),
    "sidecar, written": Artifact("scores/part-001.parquet", "select", "write"),
    "selection": Artifact("selection/toxic.json", "select", "write"),
    "selection's table": Artifact("selection/toxic.parquet", "select", "write"),
    "selection's origin": Artifact("selection/toxic.settings.json", "select", "write"),
    "selection, again": Artifact("selection/toxic.json", "select", "select"),
    "checkpoint": Artifact("checkpoint-4/model.safetensors", "train", "train"),
    "optimizer": Artifact("checkpoint-4/optimizer.pt", "train", "train"),
    "state": Artifact("checkpoint-4/trainer_state.json", "train", "train"),
    "random numbers": Artifact("checkpoint-4/rng_state.pth", "train", "train"),
    "sums": Artifact("checkpoint-4/checksums.json", "train", "train"),
}


def flipped(content: bytes, generator: random.Random) -> bytes:
    return flipped_at(generator.randrange(len(content)), content, generator)


def flipped_at(place: int, content: bytes, generator: random.Random) -> bytes:
    return content[:place] + bytes([content[place] ^ 1 << generator.randrange(8)]) + content[place + 1 :]


def cut(content: bytes, generator: random.Random) -> bytes:
    return content[: generator.randrange(len(content))]


def harm(
    artifact: Artifact,
    how: Callable[[bytes, random.Random], bytes],
    generator: random.Random,
    tasks: dict[str, Task],
    warm: WarmCommands,
    folder: Path,
) -> str:
    """Damage a file, run the command that reads it, and say how that went."""
    shutil.copytree(tasks[artifact.folder].whole, folder)
    if artifact.folder == "train":  # stopped after its fourth step
        (folder / "metrics.json").unlink()
        shutil.rmtree(folder / "checkpoint-6")
    file = folder / artifact.file
    file.write_bytes(how(file.read_bytes(), generator))
    task = tasks[artifact.reader]
    outcome = warm.run(*task.words(folder)).outcome
    if outcome.code == 2:
        assert file.name in outcome.error or f"{file.parent}" in outcome.error, outcome.error
        return "refused"
    assert outcome.code == 0, outcome.err
    task.assert_whole_but(folder, artifact.file)
    return "told" if file.name in outcome.err else "harmless"


@pytest.mark.parametrize("name", ["factors", "direction", "sidecar", "selection", "checkpoint"])
def test_a_damaged_file(name: str, tasks: dict[str, Task], warm: WarmCommands, tmp_path: Path) -> None:
    generator = random.Random(f"damage {name}")
    for number, how in enumerate((flipped, cut)):
        end = harm(ARTIFACTS[name], how, generator, tasks, warm, tmp_path / str(number) / "run")
        assert end == "refused" or (end, name, how) == ("harmless", "sidecar", flipped)


@pytest.mark.faults
@pytest.mark.parametrize("name", ARTIFACTS)
def test_many_damaged_bits(name: str, tasks: dict[str, Task], warm: WarmCommands, tmp_path: Path) -> None:
    generator, ends = random.Random(f"many {name}"), []
    for number in range(25):
        how = cut if number % 5 == 0 else flipped
        ends.append(harm(ARTIFACTS[name], how, generator, tasks, warm, tmp_path / str(number) / "run"))
    if name.startswith("sidecar"):
        assert ends.count("refused") > 15  # bits of statistics and names of writers change nothing
    else:
        assert "harmless" not in ends, ends


@pytest.mark.faults
def test_every_part_of_a_sidecars_footer(tasks: dict[str, Task], warm: WarmCommands, tmp_path: Path) -> None:
    """Pages have checksums of their own, the footer has none: it is flipped all along."""
    artifact = ARTIFACTS["sidecar"]
    content = (tasks["score"].whole / artifact.file).read_bytes()
    begin = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    ends = []
    places = range(begin, len(content), max(1, (len(content) - begin) // 120))
    for number, place in enumerate(places):
        how, folder = partial(flipped_at, place), tmp_path / str(number) / "run"
        ends.append(harm(artifact, how, random.Random(0), tasks, warm, folder))
    assert ends.count("refused") > len(ends) // 3
