"""The pieces of one arm: what marks, what trains, what completes prompts, and what measures fluency."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ifcurate.annotators import ANNOTATORS
from ifcurate.annotators.settings import OF_INFLUENCE
from ifcurate.config import build
from ifcurate.errors import InputError
from ifcurate.evaluation.config import FluencyConfig, ModelsConfig, ToxicityConfig
from ifcurate.studies.after_pieces import comes_after
from ifcurate.studies.columns import Extra
from ifcurate.studies.declared import ANNOTATION_PREFIX, ARM_PREFIX, PLAIN, SOURCE, Arm, Study
from ifcurate.studies.pieces import Piece
from ifcurate.training.config import PRESETS, TrainConfig

BASE = "base"
"""Name of what evaluates the base model."""
REWARD_AUGMENTED = "rad"
JUDGE = "judge"
"""Role of a judge that the study makes."""
MODELS = ("model", "reference", "penalty_reference")
"""Settings that name a model, which may be that of an arm."""
RUNS, RUN = "of", "before"
"""Settings that name other runs, which may be annotations of the study: a list, and one."""


@dataclass(frozen=True)
class ArmPieces:
    """What one arm consists of, for one seed of its training.

    Attributes:
        training: what trains on the corpus; None where nothing does.
        model: what makes its model: the training, or what comes after; None for the base model.
        completions: of each set of prompts.
        fluency: None where there is no held-out text and no LAMBADA.
        extras: whatever else its tables show.
    """

    training: Piece | None
    model: Piece | None
    completions: Mapping[str, Piece]
    fluency: Piece | None
    extras: Mapping[Extra, Piece]

    @property
    def annotation(self) -> Piece | None:
        """What its model was trained on, if that is marked."""
        return self.training.needs.get("data") if self.training is not None else None

    @property
    def rows_of(self) -> list[Piece]:
        """What there has to be before it has rows."""
        return [*self.completions.values(), *([] if self.fluency is None else [self.fluency])]

    @property
    def evaluations(self) -> list[Piece]:
        """What measures it."""
        return [*self.rows_of, *self.extras.values()]

    @property
    def pieces(self) -> list[Piece]:
        """Everything that it consists of."""
        return [each for piece in self.evaluations for each in [*piece.all_needed(), piece]]


class Builder:
    """Lays out the arms of one study; `_open` are what is being looked for, so that nothing is made from itself."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._open: list[str] = []

    def arm(self, name: str, seed: int | None) -> ArmPieces:
        """The pieces of an arm, for one seed of its training, None where it trains nothing.

        Raises:
            InputError: it reads marks that nothing makes, or what it is made from is not there.
        """
        arm = self._study.arms[name]
        training = None if seed is None or arm.training is None else self._training(name, arm, seed)
        model = training if seed is None else self._after(arm, training, seed)
        label = BASE if model is None else model.name
        if training is not None and training.settings.get("marked") == "tag":
            decoding = self._study.decodings.get(arm.decoding, {}).get("decoding", PLAIN)
            attacked = "an attack" if "attack" in self._study.extras_of(name) else None
            other = arm.then or attacked or (decoding if decoding == REWARD_AUGMENTED else None)
            if other is not None:
                raise InputError(f"arms.{name}: its model is read behind a control token, which {other} does not know.")
        completions = {prompts: self._completions(arm, prompts, model, label) for prompts in self._study.prompts}
        extras = {extra: self._extra(extra, model, label) for extra in self._study.extras_of(name)}
        return ArmPieces(training, model, completions, self._fluency(model, label), extras)

    def reward_model(self, name: str) -> Piece:
        """The piece of one of the study's reward models."""
        settings = {"model": self._study.model, **self._study.reward_models[name]}
        return self._with_needs("reward_model", name, settings)

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
            return self._with_needs("training", label, {"data": study.corpus, **settings})
        return self._with_needs("training", label, settings, {"data": self._annotation(arm.annotation)})

    def _after(self, arm: Arm, training: Piece | None, seed: int) -> Piece | None:
        """What makes the arm's model in the end."""
        if arm.then is None:
            return training
        label = BASE if training is None else training.name
        return comes_after(self._study, arm.then, training, label, seed, self._with_needs)

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
        settings = {key: value for key, value in given.items() if value is not None}
        return _of_its_tokens(self._with_needs("annotation", name, settings))

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

    def _extra(self, extra: Extra, model: Piece | None, label: str) -> Piece:
        study = self._study
        shared = {name: value for name, value in study.evaluation.items() if name in ModelsConfig.model_fields}
        settings: dict[str, Any] = {**shared, **getattr(study, extra)}
        needs: dict[str, Piece] = {}
        judge = next(iter(study.judges.values()))
        if extra == "attack":
            settings |= {"classifier": judge.classifier, "label": judge.label}
            needs = {} if judge.reward_model is None else {JUDGE: self.reward_model(judge.reward_model)}
        return self._evaluation(extra, label, settings, model, needs)

    def _evaluation(
        self, kind: Any, name: str, settings: dict[str, Any], model: Piece | None, needs: dict[str, Piece]
    ) -> Piece:
        if model is None:
            return Piece(kind, name, {**settings, "model": self._study.model}, needs)
        return Piece(kind, name, settings, {**needs, "model": model})

    def _with_needs(
        self, kind: Any, name: str, settings: Mapping[str, Any], needs: Mapping[str, Piece] | None = None
    ) -> Piece:
        """A piece whose models may be those of arms, and which may read other annotations."""
        own, needed = dict(settings), dict(needs or {})
        for role in MODELS:
            if str(own.get(role, "")).startswith(ARM_PREFIX):
                needed[role] = self._opened(own.pop(role), self._model_of)
        if str(own.get(RUN, "")).startswith(ANNOTATION_PREFIX):
            needed[RUN] = self._opened(own.pop(RUN), self._annotation_called)
        read = own.get(RUNS)
        if isinstance(read, list) and any(str(each).startswith(ANNOTATION_PREFIX) for each in read):
            for number, each in enumerate(own.pop(RUNS)):
                needed[f"{RUNS}.{number}"] = self._opened(str(each), self._annotation_called)
        return Piece(kind, name, own, needed)

    def _opened(self, called: str, find: Callable[[str], Piece]) -> Piece:
        if called in self._open:
            raise InputError(f"{called}: is made from itself.")
        self._open.append(called)
        try:
            return find(called)
        finally:
            self._open.pop()

    def _model_of(self, called: str) -> Piece:
        name = called.removeprefix(ARM_PREFIX)
        arm = self._study.arms.get(name)
        if arm is None or not arm.trains:
            raise InputError(f"{called}: there is no arm of that name that trains a model.")
        seed = (arm.seeds or self._study.seeds)[0]
        training = None if arm.training is None else self._training(name, arm, seed)
        model = self._after(arm, training, seed)
        assert model is not None
        return model

    def _annotation_called(self, called: str) -> Piece:
        name = called.removeprefix(ANNOTATION_PREFIX)
        if called == name or name not in self._study.annotations:
            raise InputError(f"{called}: is no annotation of this study; write {ANNOTATION_PREFIX}NAME for each.")
        return self._annotation(name)


def _of_its_tokens(annotation: Piece) -> Piece:
    """An annotation that reads others marks the tokens of the first of them: its model is theirs."""
    first = annotation.needs.get(f"{RUNS}.0")
    if first is None:
        return annotation
    settings = {name: value for name, value in annotation.settings.items() if name != "model"}
    needs = {role: piece for role, piece in annotation.needs.items() if role != "model"}
    if "model" in first.needs:
        return replace(annotation, settings=settings, needs={**needs, "model": first.needs["model"]})
    return replace(annotation, settings={**settings, "model": first.settings["model"]}, needs=needs)


def _unread(by: Any) -> frozenset[str]:
    """Settings of influence that another annotator does not read, and would refuse."""
    spec = ANNOTATORS.get(str(by))
    if spec is None:
        return frozenset()
    return frozenset(spec.unread if spec.along else OF_INFLUENCE - {*spec.needs, *spec.reads})


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
