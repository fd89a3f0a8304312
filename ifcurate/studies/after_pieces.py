"""What comes after a training: preference learning on the model's own completions, or a training on other data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ifcurate.errors import InputError
from ifcurate.studies.declared import PREFERENCES, Study
from ifcurate.studies.pieces import Piece

Make = Callable[[Any, str, Mapping[str, Any], Mapping[str, Piece]], Piece]
"""From kind, name, settings and needs to a piece whose models may be those of arms."""


def comes_after(study: Study, name: str, model: Piece | None, label: str, seed: int, make: Make) -> Piece:
    """What `name` makes of a model.

    Args:
        study: which has settings for `name`.
        name: of what comes after.
        model: what it begins with; None: the base model.
        label: of that model.
        seed: of the training.
        make: makes the pieces.

    Raises:
        InputError: there is nothing to learn from.
    """
    own = dict(study.afterwards[name])
    before: dict[str, Any] = {"model": study.model} if model is None else {}
    needs = {} if model is None else {"model": model}
    named = f"{label}-{name}-seed{seed}" if model is None else f"{label}-{name}"
    paired = own.pop(PREFERENCES, None)
    if paired is not None:
        if paired not in study.preferences:
            raise InputError(f"afterwards.{name}.{PREFERENCES}: there is no {paired!r} among the {PREFERENCES}.")
        pairs = make("preferences", f"{label}-{paired}", {**before, **study.preferences[paired]}, needs)
        return make("dpo", named, {**before, **own, "seed": seed}, {**needs, "pairs": pairs})
    if "data" not in own:
        raise InputError(f"afterwards.{name}: has neither {PREFERENCES} nor data to learn from; give one.")
    return make("training", named, {**before, **own, "seed": seed}, needs)
