"""Which judges do not count for an arm: those that had a hand in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ifcurate.studies.arm_pieces import ArmPieces
from ifcurate.studies.declared import Judge, Study
from ifcurate.studies.pieces import Piece


def partial_judges(study: Study, arm: ArmPieces, made: Mapping[str, Piece]) -> dict[str, str]:
    """Names of the judges that do not count for `arm`, and what they did: `it <reason>`.

    A judge has a hand in whatever names it among its settings, and in annotations with queries that it chose.

    Args:
        study: which says what chose the queries.
        arm: what it consists of.
        made: judges that the study makes, by name.
    """
    found = {}
    for name, judge in study.judges.items():
        reason = _hand_in(name, judge, study, arm, made.get(name))
        if reason is not None:
            found[name] = reason
    return found


def _hand_in(name: str, judge: Judge, study: Study, arm: ArmPieces, made: Piece | None) -> str | None:
    completions = next(iter(arm.completions.values()))
    if _is_named(judge, completions.settings) or _is_needed(made, completions, "reward_model"):
        return "steers the decoding"
    annotations = [piece for piece in completions.all_needed() if piece.kind == "annotation"]
    if any(_is_named(judge, annotation.settings) for annotation in annotations):
        return "marked the tokens"
    pairs = [piece for piece in completions.all_needed() if piece.kind == "preferences"]
    if any(_is_named(judge, each.settings) for each in pairs):
        return "made the pairs"
    if name in study.queries_chosen_by and any("queries" in annotation.settings for annotation in annotations):
        return "chose the queries"
    return None


def _is_needed(made: Piece | None, piece: Piece, role: str) -> bool:
    needed = piece.needs.get(role)
    return made is not None and needed is not None and needed.key == made.key


def _is_named(judge: Judge, settings: Mapping[str, Any]) -> bool:
    """Whether any of `settings` is the judge: by its whole name, or by what stands behind `hf:`."""
    if judge.classifier is None:
        return False
    names = {judge.classifier, judge.classifier.removeprefix("hf:")}
    return any(text in names for value in settings.values() for text in _texts(value))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
