"""The run folder: where everything is, what was asked for, and what may not be mixed.

RUN/
  run.yaml                      every setting, library versions: replays the run
  combined.json                 the runs whose scores were added up, if this is such a sum
  corpus.json                   where the corpus is, and its shards
  sample.json                   what the factors were fitted on
  factors/                      Kronfluence's own files
  direction/<behaviour>.safetensors
  student/<behaviour>.safetensors      in its place, where a student scores: its head
  annotator/<behaviour>.json    likewise, where another annotator marks: what it is made of and has counted
  screened/<shard>.parquet      what the screen said of every document, where one is given
  scores/<shard>.parquet        sidecars, row-aligned with the input
  selection/<behaviour>.json    tau and counts;  .parquet: one row a record
  data/<shard>.parquet          the annotated corpus
  logs/                         datatrove's logs and statistics
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ifcurate.annotation.run_folder import RUN_FILE
from ifcurate.config import build, read_provenance, save
from ifcurate.corpus.documents import check_documents
from ifcurate.corpus.shards import Shard
from ifcurate.errors import InputError
from ifcurate.files import clear, is_free, remove_parts
from ifcurate.model.settings import TrustSettings
from ifcurate.pipelines.cluster_config import ClusterSettings
from ifcurate.pipelines.corpus_record import absolute, reconcile, record_corpus, unseen_shards
from ifcurate.pipelines.run_config import SELECTION_SETTINGS, STAGES, RunConfig, StageName, first_stage
from ifcurate.provenance import versions

FREE_TO_CHANGE = frozenset(
    {"out", "workers", "overwrite", "dry_run", "corpus", *TrustSettings.model_fields, *ClusterSettings.model_fields}
)
"""Settings that leave no trace in the result; a corpus is told by its shards."""


@dataclass(frozen=True)
class Run:
    """Paths of a run."""

    root: Path

    @property
    def file(self) -> Path:
        """Settings and versions."""
        return self.root / RUN_FILE

    @property
    def corpus(self) -> Path:
        """Where the corpus is, and its shards."""
        return self.root / "corpus.json"

    @property
    def sample(self) -> Path:
        """What the factors were fitted on."""
        return self.root / "sample.json"

    @property
    def factors(self) -> Path:
        """Kronfluence's factors."""
        return self.root / "factors"

    @property
    def combined(self) -> Path:
        """The runs whose scores were added up to those of this one, which has no model then."""
        return self.root / "combined.json"

    @property
    def logs(self) -> Path:
        """datatrove's logs, one folder a stage."""
        return self.root / "logs"

    @property
    def scores(self) -> Path:
        """Folder of the sidecars."""
        return self.root / "scores"

    @property
    def screened(self) -> Path:
        """What the screen said of every document, a file a shard, and its threshold."""
        return self.root / "screened"

    @property
    def unfinished(self) -> Path:
        """Scores of shards that are not scored to their end; no shard in a folder can have this name."""
        return self.scores / ".unfinished"

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
        """The engine chosen, its dtype and context, and its finite-difference step with the error measured for it."""
        return self.root / "scores" / "engine.json"

    def direction(self, behaviour: str) -> Path:
        """The direction that corpus is scored along."""
        return self.root / "direction" / f"{behaviour}.safetensors"

    def student(self, behaviour: str) -> Path:
        """The head of the student that the corpus is scored by, where one is."""
        return self.root / "student" / f"{behaviour}.safetensors"

    def annotator(self, behaviour: str) -> Path:
        """What the corpus is marked by, where not by influence."""
        return self.root / "annotator" / f"{behaviour}.json"

    @property
    def files_of_annotator(self) -> Path:
        """Where an annotator keeps files of its own."""
        return self.root / "annotator" / "files"

    @property
    def counted(self) -> Path:
        """What an annotator has counted, a file a shard, until it is there."""
        return self.root / "annotator" / "counted"

    def refinement(self, behaviour: str) -> Path:
        """Where the refinement of that direction stands, while it is not done."""
        return self.root / "direction" / f"{behaviour}.unfinished"

    @property
    def behaviours(self) -> list[str]:
        """Those that there are directions for, or a student or another annotator, in order of their names."""
        files = (self.direction("*"), self.student("*"), self.annotator("*"))
        return sorted(found.stem for file in files for found in file.parent.glob(file.name))

    def has_results_from(self, stage: StageName) -> bool:
        """Whether `stage`, or one after it, has left anything here."""
        left = STAGES[STAGES.index(stage) :]
        folders = {
            "fit": [self.factors],
            "direct": [self.root / "direction", self.root / "student", self.root / "annotator"],
            "score": [self.scores],
            "select": [self.selection],
            "write": [self.data],
        }
        return any(folder.is_dir() and any(folder.iterdir()) for name in left for folder in folders[name])

    def remove_parts(self) -> None:
        """Delete what a killed run left half-written."""
        remove_parts(self.root)


def create_run(config: RunConfig, shards: Sequence[Shard]) -> Run:
    """The run folder `config.out`: made, or taken up again where the same run was stopped.

    Before anything is made, every shard is opened and checked; later, those that are new or changed, which are scored
    again, see `reconcile`.

    Raises:
        InputError: the folder holds something else, or results of other settings or of another corpus; names them.
            Or the corpus cannot be used, and there is no folder then.
    """
    run = Run(Path(config.out))
    if config.overwrite:
        clear(run.root, RUN_FILE)
    _refuse_other_folder(run, config)
    _refuse_combined(run)
    run.remove_parts()
    unseen = list(shards)
    if run.file.is_file():
        _, stored = open_run(config.out)
        changed = _changed_settings(stored, config)
        for name in changed:
            if run.has_results_from(first_stage(name)):
                raise _mixed(run, name, stored, config)
        if not changed:
            unseen = unseen_shards(run, shards)
    check_documents(unseen, config.text_column, config.id_column, config.bad_rows)
    if run.has_results_from(STAGES[0]):
        reconcile(run, config, config.corpus, shards)
    record(run, config, {"place": absolute(config.corpus), "bytes": sum(shard.size for shard in shards)})
    record_corpus(run, config.corpus, config.part, shards)
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


def continue_run(root: str, stage: StageName, given: Mapping[str, Any], anew: bool = False) -> tuple[Run, RunConfig]:
    """An existing run for its next stage, with the settings of that stage changed to those `given`.

    Args:
        root: the run folder.
        stage: what comes next.
        given: settings by name; None leaves one as it is.
        anew: the stage replaces its results; otherwise, once there are any, other settings would mix two runs.

    Raises:
        InputError: the folder is not a run, or there are results of other settings; names the first of them.
    """
    run, stored = open_run(root)
    if stage in ("direct", "score"):
        _refuse_combined(run)
    wanted = {name: value for name, value in given.items() if value is not None}
    config = build(RunConfig, {**stored.model_dump(), **_in_the_place_of(wanted), **wanted})
    changed = _changed_settings(stored, config)
    run.remove_parts()
    if changed and not anew and run.has_results_from(stage):
        raise _mixed(run, changed[0], stored, config)
    if config != stored:
        place = {"place": absolute(config.corpus)} if given.get("corpus") else {}
        record(run, config, {**read_provenance(run.file, "corpus")["corpus"], **place})
    return run, config


def _in_the_place_of(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a run that others, which are `wanted` now, take the place of: tau is said in one way or the other."""
    if "quantile" in wanted:
        return {"threshold": None}
    return {"quantile": RunConfig.model_fields["quantile"].default} if "threshold" in wanted else {}


def record(run: Run, config: RunConfig, corpus: Mapping[str, Any]) -> None:
    """Write `run.yaml`; `corpus` says where the corpus is and how large it was."""
    save(config, run.file, {**versions(), "corpus": dict(corpus)})


def _refuse_other_folder(run: Run, config: RunConfig) -> None:
    """Refuse to write into a folder that holds something else, or whose files would become part of the corpus."""
    if not (run.file.is_file() or is_free(run.root)):
        raise InputError(f"option --out: {run.root} is not empty and no run; give a new folder or a run.")
    corpus = Path(config.corpus)
    if corpus.is_dir() and run.root.resolve().is_relative_to(corpus.resolve()):
        raise InputError(
            f"option --out: {run.root} lies inside the corpus, of which its files would become a part; "
            "give a folder elsewhere."
        )


def _refuse_combined(run: Run) -> None:
    if run.combined.is_file():
        raise InputError(
            f"{run.root}: adds up the scores of other runs, which {run.combined.name} in it names, and has no "
            "direction of its own; give another run folder, or `ifcurate combine` them again."
        )


def _changed_settings(stored: RunConfig, config: RunConfig) -> list[str]:
    free = FREE_TO_CHANGE | ({"bad_rows"} if config.bad_rows == "skip" else set())  # what was scored had none
    names = (name for name in RunConfig.model_fields if name not in free)
    return [name for name in names if getattr(config, name) != getattr(stored, name)]


def _mixed(run: Run, name: str, stored: RunConfig, config: RunConfig) -> InputError:
    option, before, now = name.replace("_", "-"), getattr(stored, name), getattr(config, name)
    hint = "give another --out"
    if name in SELECTION_SETTINGS:
        hint += f", or `ifcurate select {run.root}` with it and then `ifcurate write {run.root}`"
    elif first_stage(name) == "write":
        hint += f", or `ifcurate write {run.root}` with it"
    return InputError(f"option --{option}: {run.root} was made with {before!r}, not {now!r}; {hint}.")
