"""Queries that a direction was not made of: what shows whether training without its tokens unlearns the behaviour."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ifcurate.errors import InputError
from ifcurate.evaluation.near_duplicates import NearDuplicates
from ifcurate.influence.queries import Query


@dataclass(frozen=True)
class HeldOutQueries:
    """Queries to measure on, and why others were left out.

    Attributes:
        source: the file.
        queries: those that are left.
        used: left out as nearly or quite the same as one that the direction was made of; None where those are not
            known, as with a published direction.
        contrast: left out because their weight is not positive: they show the contrast, or neither.
        trained: left out because their text is a whole document that is trained on.
        beyond: left out because there are more than wanted, drawn with the seed.
    """

    source: str
    queries: list[Query]
    used: int | None
    contrast: int
    trained: int
    beyond: int


def hold_out(
    candidates: Sequence[Query],
    source: str,
    used: Sequence[Query] | None,
    is_trained: Callable[[str], bool],
    threshold: float,
    limit: int,
    seed: int,
) -> HeldOutQueries:
    """The `candidates` that show the behaviour and are neither among `used` nor among the texts that are trained on.

    Args:
        candidates: queries of the behaviour; `source` says where from.
        source: see `HeldOutQueries`.
        used: queries of both sides that the direction was made of; None if they are not known.
        is_trained: whether a text is a whole document that is trained on.
        threshold: Jaccard index from which on two queries are nearly the same.
        limit: most queries to return.
        seed: of the draw among more.

    Raises:
        InputError: none is left.
    """
    known = NearDuplicates(threshold)
    for query in used or ():
        known.add(query.prompt + query.completion)
    showing = [query for query in candidates if query.weight > 0]
    fresh = [query for query in showing if not known.holds(query.prompt + query.completion)]
    apart = [query for query in fresh if not is_trained(query.prompt + query.completion)]
    if not apart:
        raise InputError(
            f"option --queries: none of the {len(candidates):,} queries of {source} is held out ({len(showing):,} show "
            f"the behaviour, {len(showing) - len(fresh):,} of them are nearly or quite those that the direction was "
            f"made of, {len(fresh) - len(apart):,} are trained on); give a file of others."
        )
    chosen = sorted(random.Random(seed).sample(range(len(apart)), min(limit, len(apart))))
    return HeldOutQueries(
        source=source,
        queries=[apart[index] for index in chosen],
        used=None if used is None else len(showing) - len(fresh),
        contrast=len(candidates) - len(showing),
        trained=len(fresh) - len(apart),
        beyond=len(apart) - len(chosen),
    )
