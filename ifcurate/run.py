"""The run folder: where everything is, what was asked for, and what may not be mixed.

RUN/
  run.yaml                      every setting, library versions: replays the run
  factors/                      Kronfluence's own files
  direction/<behaviour>.safetensors
  scores/<shard>.parquet        sidecars, row-aligned with the input
  selection/<behaviour>.json    tau and counts;  .parquet: one row a record
  data/<shard>.parquet          the annotated corpus
  logs/                         datatrove's logs and statistics
"""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ifcurate.config import PROVENANCE_KEY, build, read_yaml, save
from ifcurate.errors import InputError
from ifcurate.files import PART_SUFFIX
from ifcurate.run_config import SELECTION_SETTINGS, RunConfig
from ifcurate.shards import Shard, list_shards
from ifcurate.version import __version__

RUN_FILE = "run.yaml"
FREE_TO_CHANGE = frozenset({"out", "workers"})
"""Settings that leave no trace in the result."""
NAMED_LIBRARIES = ("torch", "transformers", "tokenizers", "kronfluence", "datatrove", "pyarrow", "duckdb", "numpy")


@dataclass(frozen=True)
class Run:
    """Paths of a run."""

    root: Path

    @property
    def file(self) -> Path:
        """Settings and versions."""
        return self.root / RUN_FILE

    @property
    def factors(self) -> Path:
        """Kronfluence's factors."""
        return self.root / "factors"

    @property
    def logs(self) -> Path:
        """datatrove's logs, one folder a stage."""
        return self.root / "logs"

    @property
    def scores(self) -> Path:
        """Folder of the sidecars."""
        return self.root / "scores"

    @property
    def data(self) -> Path:
        """Folder of the annotated corpus."""
        return self.root / "data"

    @property
    def selection(self) -> Path:
        """Folder of the selections."""
        return self.root / "selection"

    @property
    def engine(self) -> Path:
        """The engine chosen, its context, and its finite-difference step with the error measured for it."""
        return self.root / "scores" / "engine.json"

    def direction(self, behaviour: str) -> Path:
        """The direction that corpus is scored along."""
        return self.root / "direction" / f"{behaviour}.safetensors"

    def remove_parts(self) -> None:
        """Delete what a killed run left half-written."""
        for part in self.root.rglob(f"*{PART_SUFFIX}"):
            shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)


def create_run(config: RunConfig, shards: Sequence[Shard]) -> Run:
    """The run folder `config.out`: made, or taken up again where the same run was stopped.

    Raises:
        InputError: the folder holds something else, or a run with other settings or another corpus; names them.
    """
    run = Run(Path(config.out))
    fingerprint = corpus_fingerprint(shards)
    if run.root.exists() and (not run.root.is_dir() or (any(run.root.iterdir()) and not run.file.is_file())):
        raise InputError(f"option --out: {run.root} is not empty and no run; give a new folder or a run.")
    if run.file.is_file():
        _refuse_other_settings(run, config)
        _refuse_other_corpus(run, fingerprint)
        run.remove_parts()
    else:
        record(run, config, fingerprint)
    return run


def open_run(root: str) -> tuple[Run, RunConfig]:
    """An existing run and its settings.

    Raises:
        InputError: the folder is not a run.
    """
    run = Run(Path(root))
    if not run.file.is_file():
        raise InputError(f"{root}: is not a run, it has no {RUN_FILE}; give a folder made by `ifcurate annotate`.")
    return run, build(RunConfig, {"out": root}, run.file)


def continue_run(
    root: str, given: Mapping[str, Any], artifact: Callable[[Run, RunConfig], Path] | None = None
) -> tuple[Run, RunConfig]:
    """An existing run for its next stage, with the settings of that stage changed to those `given`.

    Args:
        root: the run folder.
        given: settings by name; None leaves one as it is.
        artifact: what the stage makes; once it is there, other settings would mix two runs. None: it is made anew.

    Raises:
        InputError: the folder is not a run, or its artifact was made with other settings; names the first of them.
    """
    run, stored = open_run(root)
    config = build(RunConfig, {**stored.model_dump(), **{name: v for name, v in given.items() if v is not None}})
    changed = [name for name in RunConfig.model_fields if getattr(config, name) != getattr(stored, name)]
    run.remove_parts()
    if artifact is not None and artifact(run, stored).exists():
        for name in changed:
            if name not in FREE_TO_CHANGE:
                raise _mixed(run, name, stored, config, "give another run folder")
    if changed:
        record(run, config, read_yaml(run.file)[PROVENANCE_KEY]["corpus"])
    return run, config


def corpus_of(run: Run, config: RunConfig) -> list[Shard]:
    """The shards a run was made from.

    Raises:
        InputError: the corpus is gone or is another one now.
    """
    shards = list_shards(config.corpus)
    _refuse_other_corpus(run, corpus_fingerprint(shards))
    return shards


def record(run: Run, config: RunConfig, fingerprint: dict[str, Any]) -> None:
    """Write `run.yaml`."""
    save(config, run.file, {**versions(), "corpus": fingerprint})


def corpus_fingerprint(shards: Sequence[Shard]) -> dict[str, Any]:
    """Number, bytes and a hash of names and sizes of the shards: enough to notice another corpus."""
    listing = "\n".join(f"{shard.name}\t{shard.size}" for shard in shards)
    return {
        "shards": len(shards),
        "bytes": sum(shard.size for shard in shards),
        "listing": sha256(listing.encode()).hexdigest(),
    }


def versions() -> dict[str, Any]:
    """Version of this package, its git revision where there is one, Python and the libraries that compute."""
    return {
        "version": __version__,
        "revision": _git_revision(),
        "python": platform.python_version(),
        "libraries": {name: importlib.metadata.version(name) for name in NAMED_LIBRARIES},
    }


def _git_revision() -> str | None:
    here = Path(__file__).resolve().parent.parent
    if not (here / ".git").exists():
        return None
    command = ["git", "-C", str(here), "rev-parse", "HEAD"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None


def _refuse_other_settings(run: Run, config: RunConfig) -> None:
    stored = build(RunConfig, {"out": config.out}, run.file)
    for name in RunConfig.model_fields:
        if name not in FREE_TO_CHANGE and getattr(config, name) != getattr(stored, name):
            hint = "give another --out"
            if name in SELECTION_SETTINGS:
                hint += f", or `ifcurate select {run.root}` with it and then `ifcurate write {run.root}`"
            raise _mixed(run, name, stored, config, hint)


def _mixed(run: Run, name: str, stored: RunConfig, config: RunConfig, hint: str) -> InputError:
    before, now = getattr(stored, name), getattr(config, name)
    return InputError(f"option --{name.replace('_', '-')}: {run.root} was made with {before!r}, not {now!r}; {hint}.")


def _refuse_other_corpus(run: Run, fingerprint: dict[str, Any]) -> None:
    stored = read_yaml(run.file)[PROVENANCE_KEY]["corpus"]
    if stored != fingerprint:
        raise InputError(
            f"option CORPUS: {run.root} was made from {stored['shards']} shards of {stored['bytes']:,} bytes, now "
            f"there are {fingerprint['shards']} of {fingerprint['bytes']:,}; give another --out."
        )
