"""Every kind of piece as the command that makes it: its settings, what it does, and whether it is done."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ifcurate.config import Config, build
from ifcurate.errors import InputError
from ifcurate.evaluation.config import FluencyConfig, ToxicityConfig
from ifcurate.evaluation.results import ModelFolder
from ifcurate.pipelines.reward_model_config import RewardModelConfig
from ifcurate.pipelines.run_config import PRESETS, RunConfig
from ifcurate.pipelines.study_shared_prompts import SharedPromptsConfig
from ifcurate.studies.declared import Judge, Study
from ifcurate.studies.layout import Layout
from ifcurate.studies.pieces import Kind, Piece
from ifcurate.training.config import PRESETS as TRAINING_PRESETS
from ifcurate.training.config import TrainConfig

MODEL = "model"
"""Name of the one model that an evaluation is of."""
SETTINGS: Mapping[Kind, type[Config]] = {
    "shared_prompts": SharedPromptsConfig,
    "reward_model": RewardModelConfig,
    "annotation": RunConfig,
    "training": TrainConfig,
    "completions": ToxicityConfig,
    "fluency": FluencyConfig,
}
NAMED: Mapping[Kind, Mapping[str, Mapping[str, Any]]] = {"annotation": PRESETS, "training": TRAINING_PRESETS}
"""Settings with a name of their own, by kind."""


def settings_of(piece: Piece, study: Study, layout: Layout, root: Path) -> Any:
    """The settings of the command that makes `piece` below `root`.

    Raises:
        InputError: a setting is unknown or does not fit; names the piece.
    """
    folders = {role: str(root / needed.place) for role, needed in piece.needs.items()}
    given = {**piece.settings, **folders, "out": str(root / piece.place)}
    if piece.kind in ("completions", "fluency"):
        given["models"] = [f"{MODEL}={given.pop('model')}"]
    if piece.kind == "completions":
        first = next(iter(study.judges))
        given["classifier"], given["label"] = classifier_of(first, study, layout, root)
    try:
        return build(SETTINGS[piece.kind], given, presets=NAMED.get(piece.kind))
    except InputError as error:
        raise InputError(f"{piece.title}: {error}") from error


def classifier_of(name: str, study: Study, layout: Layout, root: Path) -> tuple[str, str | None]:
    """A judge as `ifcurate eval` knows it: classifier and label."""
    judge: Judge = study.judges[name]
    if judge.classifier is not None:
        return judge.classifier, judge.label
    made = layout.judges[name]
    return f"hf:{root / made.place}", judge.label or str(made.settings.get("label", "toxic"))


def model_folder(piece: Piece, root: Path) -> ModelFolder:
    """Where the results of an evaluation are."""
    return ModelFolder(root / piece.place / MODEL)
