"""What an evaluation of everything needs and cannot have, found before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from ifcurate.corpus.tables import named_place, read_rows
from ifcurate.errors import InputError
from ifcurate.evaluation.classifiers import load_classifier
from ifcurate.evaluation.config import EvaluationConfig
from ifcurate.evaluation.lm_eval import check_tasks
from ifcurate.evaluation.prompts import HUB_IDS
from ifcurate.model.checkpoints import load_tokenizer
from ifcurate.model.stored_hash import hash_stored
from ifcurate.model.trust import Trust

NO_CLASSIFIER = "none"


def available(config: EvaluationConfig) -> tuple[EvaluationConfig, tuple[str, ...]]:
    """`config` without what cannot be had here, and a sentence for each such thing.

    Without `skip_missing`, anything that is missing is refused. Without its classifier or any of its prompt sets there
    is no toxicity, and `prompts` is empty; without models there is nothing.

    Raises:
        InputError: lists all that is missing.
    """
    missing: list[str] = []

    def can(check: Callable[..., object], *arguments: Any) -> bool:
        try:
            check(*arguments)
        except InputError as error:
            missing.append(str(error))
            return False
        return True

    models = [model for model in config.models if can(_load_model, model, config.revision, config.trust)]
    prompts = [source for source in config.prompts if can(_read_prompts, source, config.split)]
    classified = can(load_classifier, config.classifier, config.label, "cpu", config.trust)
    implicit = config.implicit_classifier
    has_implicit = implicit != NO_CLASSIFIER and can(load_classifier, implicit, None, "cpu", config.trust)
    changes: dict[str, Any] = {
        "models": models,
        "prompts": prompts if classified else [],
        "implicit_classifier": implicit if has_implicit else NO_CLASSIFIER,
        "text": config.text if config.text is None or can(read_rows, config.text) else None,
        "lambada": config.lambada if config.lambada is None or can(read_rows, config.lambada) else None,
        "tasks": config.tasks if can(check_tasks, config.tasks) else [],
        "figure": config.figure and can(_find_matplotlib),
    }
    if missing and not (config.skip_missing and models):
        listed = "".join(f"\n  {sentence}" for sentence in missing)
        remedy = "there is no model left" if config.skip_missing else "bring it, or do the rest with --skip-missing"
        raise InputError(f"nothing was run, as this cannot be had here ({remedy}):{listed}")
    return config.model_copy(update=changes), tuple(missing)


def can_draw() -> bool:
    """Whether there is anything to draw the figure with."""
    return find_spec("matplotlib") is not None


def _load_model(model: str, revision: str | None, trust: Trust) -> None:
    place = named_place(model)[1]
    hash_stored(place, revision, trust)
    load_tokenizer(place, revision, trust)


def _read_prompts(source: str, split: str) -> None:
    place = named_place(source)[1]
    read_rows(HUB_IDS.get(place.lower(), place), split)


def _find_matplotlib() -> None:
    if not can_draw():
        raise InputError("option --figure: needs matplotlib; run `pip install 'ifcurate[eval]'`, or use --no-figure.")
