"""A study at work: its pieces as commands, the folders that these write to, and what is known of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from ifcurate.config import Config, build
from ifcurate.errors import InputError
from ifcurate.evaluation.config import FluencyConfig, RecognitionConfig, ToxicityConfig
from ifcurate.evaluation.results import ModelFolder
from ifcurate.model.trust import Trust
from ifcurate.pipelines.attack_config import AttackConfig
from ifcurate.pipelines.dpo_config import DpoConfig
from ifcurate.pipelines.preferences_config import PreferencesConfig
from ifcurate.pipelines.reward_model_config import RewardModelConfig
from ifcurate.pipelines.run_config import PRESETS, RunConfig
from ifcurate.pipelines.study_shared_prompts import SharedPromptsConfig
from ifcurate.studies.arm_pieces import JUDGE
from ifcurate.studies.chosen import chosen_pieces
from ifcurate.studies.declared import Study
from ifcurate.studies.layout import Layout
from ifcurate.studies.pieces import Kind, Measuring, Piece
from ifcurate.studies.records import Record, read_record
from ifcurate.training.config import PRESETS as TRAINING_PRESETS
from ifcurate.training.config import TrainConfig

MODEL = "model"
"""Name of the one model that an evaluation is of."""
SETTINGS: Mapping[Kind, type[Config]] = {
    "shared_prompts": SharedPromptsConfig,
    "reward_model": RewardModelConfig,
    "annotation": RunConfig,
    "training": TrainConfig,
    "preferences": PreferencesConfig,
    "dpo": DpoConfig,
    "completions": ToxicityConfig,
    "fluency": FluencyConfig,
    "attack": AttackConfig,
    "recognition": RecognitionConfig,
}
NAMED: Mapping[Kind, Mapping[str, Mapping[str, Any]]] = {"annotation": PRESETS, "training": TRAINING_PRESETS}
"""Settings with a name of their own, by kind."""


@dataclass(frozen=True)
class Workplace:
    """A study, its pieces, and the folder that they are in.

    Attributes:
        trust: what may run code while models are loaded.
        threads: of torch, as this process began with: recipes that change them leave them changed, and what a piece
            is must not depend on what was made before it.
        launch: what starts the commands that several processes can share out; None: this process does them.
        tables: names of those that are to be made; none: all.
    """

    study: Study
    layout: Layout
    root: Path
    trust: Trust
    threads: int
    launch: str | None = None
    tables: tuple[str, ...] = ()

    @property
    def pieces(self) -> list[Piece]:
        """What the tables that are to be made show, and the arm that they compare with, in the order of making."""
        return chosen_pieces(self.study, self.layout, self.tables)

    def folder(self, piece: Piece) -> Path:
        """Where `piece` is, or will be."""
        return self.root / piece.place

    def results(self, piece: Piece) -> ModelFolder:
        """Where the results of an evaluation are."""
        return ModelFolder(self.folder(piece) / MODEL)

    def settings(self, piece: Piece) -> Any:
        """The settings of the command that makes `piece`.

        Raises:
            InputError: a setting is unknown or does not fit; names the piece.
        """
        kind = SETTINGS[piece.kind]
        folders = self._needed(piece)
        trust = {"allow_pickle": self.trust.allow_pickle, "trust_remote_code": self.trust.trust_remote_code}
        trusted = {name: value for name, value in trust.items() if name in kind.model_fields}
        given = {**piece.settings, **folders, **trusted, "out": str(self.folder(piece))}
        if piece.kind in get_args(Measuring):
            given["models"] = [f"{MODEL}={given.pop('model')}"]
        if JUDGE in piece.needs:
            del given[JUDGE]
            given["classifier"], given["label"] = self._made_judge(piece.needs[JUDGE], given["label"])
        if piece.kind == "completions":
            given["classifier"], given["label"] = self.classifier(next(iter(self.study.judges)))
        try:
            return build(kind, given, presets=NAMED.get(piece.kind))
        except InputError as error:
            raise InputError(f"{piece.title}: {error}") from error

    def _needed(self, piece: Piece) -> dict[str, Any]:
        """The folders of what `piece` is made from, by setting; those of `ROLE.NUMBER` are a list."""
        folders: dict[str, Any] = {}
        for role, needed in piece.needs.items():
            setting, dot, _ = role.partition(".")
            place = str(self.folder(needed))
            folders[setting] = [*folders.get(setting, []), place] if dot else place
        return folders

    def classifier(self, judge: str) -> tuple[str, str | None]:
        """A judge as `ifcurate eval` knows it: classifier and label."""
        declared = self.study.judges[judge]
        if declared.classifier is not None:
            return declared.classifier, declared.label
        return self._made_judge(self.layout.judges[judge], declared.label)

    def _made_judge(self, made: Piece, label: str | None) -> tuple[str, str]:
        """A judge that the study makes, whose own label counts where no other is said."""
        return f"hf:{self.folder(made)}", label or str(made.settings.get("label", "toxic"))

    def record(self, piece: Piece) -> Record | None:
        """What is known of `piece`; None while it is not made, or a judge has not seen it."""
        record = read_record(piece, self.root)
        if record is None or piece.kind != "completions" or record.silent:
            return record
        return None if self.unjudged(record) else record

    def unjudged(self, record: Record) -> list[str]:
        """Judges that have not seen the completions, or were others when they did."""
        asked = {name: self.classifier(name) for name in self.study.judges}
        seen = {name: (judged.classifier, judged.label) for name, judged in record.judged.items()}
        return [name for name, wanted in asked.items() if seen.get(name) != wanted]

    def missing(self) -> list[Piece]:
        """The pieces that are not made, in the order in which they can be."""
        return [piece for piece in self.pieces if self.record(piece) is None]
