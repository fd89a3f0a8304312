"""From a study to its pieces: one annotation serves many arms, and so does whatever else is the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ifcurate.annotators import ANNOTATORS
from ifcurate.annotators.settings import OF_INFLUENCE
from ifcurate.config import build
from ifcurate.errors import InputError
from ifcurate.evaluation.config import FluencyConfig, PromptSettings, ToxicityConfig
from ifcurate.model.settings import TrustSettings
from ifcurate.studies.declared import ARM_PREFIX, PLAIN, SOURCE, Arm, Study
from ifcurate.studies.pieces import Piece
from ifcurate.training.config import PRESETS, TrainConfig

BASE = "base"
"""Name of what evaluates the base model."""
TRUST = frozenset(TrustSettings.model_fields)
"""No file says whom to trust: whoever gives the command does."""
SAID_ELSEWHERE = frozenset({"models", "out", "overwrite", "text", "lambada", "prompts", "classifier", "label"})
"""Settings of an evaluation that other keys of a study say."""
OF_PROMPTS = (PromptSettings.model_fields.keys() - SAID_ELSEWHERE) | {SOURCE}
OF_EVALUATIONS = (ToxicityConfig.model_fields.keys() | FluencyConfig.model_fields.keys()) - SAID_ELSEWHERE


@dataclass(frozen=True)
class ArmPieces:
    """What one arm consists of, for one seed of its training.

    Attributes:
        model: the training that makes its model; None for the base model.
        completions: of each set of prompts.
        fluency: None where there is no held-out text and no LAMBADA.
    """

    model: Piece | None
    completions: Mapping[str, Piece]
    fluency: Piece | None

    @property
    def annotation(self) -> Piece | None:
        """What its model was trained on, if that is marked."""
        return self.model.needs.get("data") if self.model is not None else None

    @property
    def evaluations(self) -> list[Piece]:
        """What measures it."""
        return [*self.completions.values(), *([] if self.fluency is None else [self.fluency])]


@dataclass(frozen=True)
class Layout:
    """The pieces of a study.

    Attributes:
        arms: for every seed.
        judges: those that the study makes.
        shared_prompts: counts prompts that annotations have seen; None where there is no annotation.
    """

    arms: Mapping[str, Sequence[ArmPieces]]
    judges: Mapping[str, Piece]
    shared_prompts: Piece | None

    @property
    def pieces(self) -> list[Piece]:
        """Every piece once, in an order in which all can be made: seed by seed, so that a stopped study has rows."""
        ordered: dict[str, Piece] = {}
        rounds = max(len(seeds) for seeds in self.arms.values())
        last = [seeds[number] for number in range(rounds) for seeds in self.arms.values() if number < len(seeds)]
        first = [] if self.shared_prompts is None else [self.shared_prompts]
        wanted = [*first, *self.judges.values(), *(piece for arm in last for piece in arm.evaluations)]
        for piece in wanted:
            ordered |= {each.key: ordered.get(each.key, each) for each in [*piece.all_needed(), piece]}
        return list(ordered.values())

    def arms_of(self, piece: Piece) -> list[str]:
        """The arms that need `piece`."""
        return [
            name
            for name, seeds in self.arms.items()
            if any(piece.key in {each.key for each in with_needed(arm)} for arm in seeds)
        ]


def with_needed(arm: ArmPieces) -> list[Piece]:
    """Everything that an arm consists of."""
    return [each for piece in arm.evaluations for each in [*piece.all_needed(), piece]]


def lay_out(study: Study) -> Layout:
    """The pieces of a study whose sweeps are expanded.

    Raises:
        InputError: an arm reads marks that nothing makes, or does not read those that it asks for.
    """
    _refuse_settings(study)
    builder = _Builder(study)
    arms = {name: [builder.arm(name, seed) for seed in study.seeds_of(arm)] for name, arm in study.arms.items()}
    judges = {
        name: builder.reward_model(judge.reward_model)
        for name, judge in study.judges.items()
        if judge.reward_model is not None
    }
    return Layout(arms, judges, _shared_prompts(study, [arm for seeds in arms.values() for arm in seeds]))


def _refuse_settings(study: Study) -> None:
    """Refuse settings that are none of a set of prompts or an evaluation, and those that no file may say."""
    for setting in study.evaluation.keys() - OF_EVALUATIONS:
        raise InputError(f"evaluation.{setting}: is no setting of an evaluation here; remove or rename it.")
    for name, settings in study.prompts.items():
        if SOURCE not in settings:
            raise InputError(f"prompts.{name}: has no {SOURCE}; say where the prompts are.")
        for setting in settings.keys() - OF_PROMPTS:
            raise InputError(f"prompts.{name}.{setting}: is no setting of a set of prompts; remove or rename it.")
    sections = (study.annotations, study.trainings, study.reward_models, study.decodings)
    everything = [
        study.annotation,
        study.training,
        study.evaluation,
        *(each for some in sections for each in some.values()),
    ]
    for setting in sorted(TRUST & {name for settings in everything for name in settings}):
        raise InputError(f"{setting}: no file may say so; give --{setting.replace('_', '-')} with the command.")


def _shared_prompts(study: Study, arms: Sequence[ArmPieces]) -> Piece | None:
    annotations = [each for arm in arms for each in with_needed(arm) if each.kind == "annotation"]
    if not annotations:
        return None
    files = [
        each for piece in annotations for role in ("queries", "contrast") for each in _list(piece.settings.get(role))
    ]
    settings: dict[str, Any] = {
        "prompts": study.prompts,
        "corpus": study.corpus,
        "text_column": study.text_column,
        "queries": list(dict.fromkeys(files)),
    }
    return Piece("shared_prompts", "all", settings)


def _list(given: Any) -> list[str]:
    return [given] if isinstance(given, str) else list(given or [])


class _Builder:
    """Makes pieces of one study; `_open` are the arms whose models are being looked for."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._open: list[str] = []

    def arm(self, name: str, seed: int | None) -> ArmPieces:
        arm = self._study.arms[name]
        model = None if seed is None else self._training(name, arm, seed)
        label = BASE if model is None else model.name
        completions = {prompts: self._completions(arm, prompts, model, label) for prompts in self._study.prompts}
        return ArmPieces(model, completions, self._fluency(model, label))

    def reward_model(self, name: str) -> Piece:
        settings = {"model": self._study.model, **self._study.reward_models[name]}
        return self._with_model("reward_model", name, settings)

    def _training(self, name: str, arm: Arm, seed: int) -> Piece:
        study = self._study
        assert arm.training is not None
        own = {**study.training, **study.trainings[arm.training]}
        learned = {} if {"model", "config_name"} & own.keys() else self._learned()
        settings = {"text_column": study.text_column, "behaviour": study.behaviour, **learned, **own, "seed": seed}
        marks = _reads_marks(settings, f"trainings.{arm.training}")
        if marks and arm.annotation is None:
            raise InputError(f"arms.{name}: trains on marks ({arm.training}), and has no annotation; name one.")
        if arm.annotation is not None and not marks:
            raise InputError(
                f"arms.{name}: its training, {arm.training}, reads no marks, so {arm.annotation} changes nothing; "
                "leave the annotation out, or give the training a penalty."
            )
        parts = [part for part in (arm.annotation, arm.training) if part is not None]
        label = f"{'-'.join(parts)}-seed{seed}"
        if arm.annotation is None:
            return self._with_model("training", label, {"data": study.corpus, **settings})
        return self._with_model("training", label, settings, {"data": self._annotation(arm.annotation)})

    def _learned(self) -> dict[str, Any]:
        study = self._study
        given = {"model": study.model, "config_name": study.config_name, "tokenizer": study.tokenizer}
        return {name: value for name, value in given.items() if value is not None}

    def _annotation(self, name: str) -> Piece:
        study = self._study
        shared = {
            "corpus": study.corpus,
            "model": study.model,
            "behaviour": study.behaviour,
            "queries": study.queries,
            "contrast": study.contrast,
            "text_column": study.text_column,
            **study.annotation,
        }
        own = study.annotations[name]
        given = {key: value for key, value in shared.items() if key not in _unread(own.get("by"))} | own
        return self._with_model("annotation", name, {key: value for key, value in given.items() if value is not None})

    def _completions(self, arm: Arm, prompts: str, model: Piece | None, label: str) -> Piece:
        study = self._study
        own = study.decodings.get(arm.decoding, {})
        shared = {name: value for name, value in study.evaluation.items() if name in ToxicityConfig.model_fields}
        of_set = {name: value for name, value in study.prompts[prompts].items() if name != SOURCE}
        settings = {**shared, "prompts": [f"{prompts}={study.prompts[prompts][SOURCE]}"], **of_set, **own}
        name = "-".join([label, *([] if arm.decoding == PLAIN else [arm.decoding]), prompts])
        needs: dict[str, Piece] = {}
        reward_model = settings.get("reward_model")
        if isinstance(reward_model, str) and reward_model in study.reward_models:
            needs["reward_model"] = self.reward_model(str(settings.pop("reward_model")))
        return self._evaluation("completions", name, settings, model, needs)

    def _fluency(self, model: Piece | None, label: str) -> Piece | None:
        study = self._study
        texts = {"text": study.held_out, "lambada": study.lambada}
        given = {name: place for name, place in texts.items() if place is not None}
        if not given:
            return None
        shared = {name: value for name, value in study.evaluation.items() if name in FluencyConfig.model_fields}
        settings = {"text_column": study.text_column, **shared, **given}
        return self._evaluation("fluency", label, settings, model, {})

    def _evaluation(
        self, kind: Any, name: str, settings: dict[str, Any], model: Piece | None, needs: dict[str, Piece]
    ) -> Piece:
        if model is None:
            return Piece(kind, name, {**settings, "model": self._study.model}, needs)
        return Piece(kind, name, settings, {**needs, "model": model})

    def _with_model(
        self, kind: Any, name: str, settings: dict[str, Any], needs: Mapping[str, Piece] | None = None
    ) -> Piece:
        """A piece whose model may be that of an arm."""
        model = settings.get("model")
        if not (isinstance(model, str) and model.startswith(ARM_PREFIX)):
            return Piece(kind, name, settings, needs or {})
        others = {key: value for key, value in settings.items() if key != "model"}
        return Piece(kind, name, others, {**(needs or {}), "model": self._model_of(model.removeprefix(ARM_PREFIX))})

    def _model_of(self, name: str) -> Piece:
        arm = self._study.arms.get(name)
        if arm is None or arm.training is None:
            raise InputError(f"model {ARM_PREFIX}{name}: there is no arm of that name that trains a model.")
        if name in self._open:
            raise InputError(f"model {ARM_PREFIX}{name}: this arm is made from its own model.")
        self._open.append(name)
        try:
            return self._training(name, arm, (arm.seeds or self._study.seeds)[0])
        finally:
            self._open.pop()


def _unread(by: Any) -> frozenset[str]:
    """Settings of influence that another annotator does not read, and would refuse."""
    spec = ANNOTATORS.get(str(by))
    return frozenset() if spec is None else frozenset(OF_INFLUENCE - {*spec.needs, *spec.reads})


def _reads_marks(settings: Mapping[str, Any], where: str) -> bool:
    """Whether a training with these settings looks at marked tokens.

    Raises:
        InputError: a setting is unknown or does not fit.
    """
    given = {**settings, "data": "data", "out": "out"}
    try:
        config = build(TrainConfig, given, presets=PRESETS)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    return bool(config.penalties) or config.marked != "penalize"
