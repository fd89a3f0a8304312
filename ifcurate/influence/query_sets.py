"""Query sets of a behaviour: files of queries in, the gradient that each set pulls with out.

A set is a file of queries and, unless weights of both signs make one unnecessary, a file of its contrast. A query
counts for the behaviour where its weight is positive and for the contrast where it is negative; in a file of contrast
it is the other way round. Either side is normalised by its own sum of |weight| x tokens, so that only the ratios of
weights count: weights of 1 and -1 in one file are two files without weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ifcurate.errors import InputError
from ifcurate.influence.queries import Query, hash_queries, read_queries
from ifcurate.influence.query_gradient import (
    QueryGradient,
    QueryMean,
    QueryWindow,
    QueryWindows,
    query_gradient,
    query_windows,
)
from ifcurate.influence.settings import DirectionSettings
from ifcurate.model.checkpoints import embedding_rows, start_token
from ifcurate.model.ranks import ALONE, Ranks
from ifcurate.progress import counting, track

Side = Literal["behaviour", "contrast"]
SIGNS: dict[Side, int] = {"behaviour": 1, "contrast": -1}


@dataclass(frozen=True)
class QueryFile:
    """Queries, and where they were read."""

    source: str
    queries: list[Query]


QuerySet = dict[Side, QueryFile]
"""The files of a set: both, or that of the behaviour alone."""


@dataclass(frozen=True)
class Pull:
    """What one query set pulls on.

    Attributes:
        tensors: g_behaviour - g_contrast, or g_behaviour where there is no contrast, float32 by parameter name.
        facts: what is said of each file.
        halvings: how often a batch was halved because memory ran out.
    """

    tensors: dict[str, torch.Tensor]
    facts: dict[Side, dict[str, Any]]
    halvings: int


def read_query_sets(settings: DirectionSettings, seed: int) -> list[QuerySet]:
    """The query sets that `settings` name, each with queries on both sides.

    Raises:
        InputError: there are none, files of contrast are neither missing nor as many as those of queries, a file
            cannot be used, or a side of a set is empty.
    """
    if not settings.query_files:
        raise InputError("option --queries: is required to make a direction; give a file, or --direction.")
    behaviours, contrasts = settings.query_files, settings.contrast_files
    if len(contrasts) not in (0, len(behaviours)):
        raise InputError(
            f"option --contrast: {len(contrasts)} given for {len(behaviours)} of --queries; give as many, in the same "
            "order, or none."
        )
    sets: list[QuerySet] = []
    for number, source in enumerate(behaviours):
        sources: dict[Side, str] = {"behaviour": source}
        if contrasts:
            sources["contrast"] = contrasts[number]
        query_set = {
            side: QueryFile(source, read_queries(source, settings.max_queries, seed))
            for side, source in sources.items()
        }
        if settings.has_contrast:
            _require_both_sides(query_set)
        else:
            _require_behaviour_alone(query_set)
        sets.append(query_set)
    return sets


def _require_both_sides(query_set: QuerySet) -> None:
    weights = [query.weight * SIGNS[side] for side, file in query_set.items() for query in file.queries]
    source = query_set["behaviour"].source
    if max(weights) > 0 > min(weights):
        return
    if "contrast" not in query_set and max(weights) > 0:
        raise InputError(
            f"option --contrast: is required to make a direction, as no query of {source} has a negative weight; give "
            "a file, or --direction."
        )
    missing = "contrast" if max(weights) > 0 else "behaviour"
    raise InputError(f"{source}: by the weights, no query of this set shows the {missing}; give queries of both signs.")


def _require_behaviour_alone(query_set: QuerySet) -> None:
    file = query_set["behaviour"]
    weights = [query.weight for query in file.queries]
    if min(weights) < 0 or max(weights) <= 0:
        raise InputError(
            f"{file.source}: has queries of negative weight, or none of positive weight, and a direction without "
            "contrast is of queries of the behaviour alone; give these."
        )


def pull(
    query_set: QuerySet,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    context: int,
    batch_tokens: int,
    mean: QueryMean,
    overlap: int = 0,
    ranks: Ranks = ALONE,
) -> Pull:
    """g_behaviour - g_contrast of one set, in every process of a launch.

    Raises:
        InputError: a query has no completion token or does not fit into memory, or the sides are the same.
    """
    found = {
        side: query_windows(file.queries, tokenizer, context, file.source, embedding_rows(model), overlap)
        for side, file in query_set.items()
    }
    gradients = {
        side: _gradient(model, side, windows, start_token(tokenizer), batch_tokens, mean, ranks)
        for side, windows in sides_of(found).items()
        if windows
    }
    behaviour, contrast = gradients["behaviour"], gradients.get("contrast")
    difference = behaviour.tensors
    if contrast is not None:
        difference = {name: behaviour.tensors[name] - contrast.tensors[name] for name in behaviour.tensors}
    if not any(bool(tensor.any()) for tensor in difference.values()):
        raise InputError("option --contrast: are the same as --queries; give queries that differ.")
    facts = {side: _facts(query_set[side].queries, windows) for side, windows in found.items()}
    return Pull(difference, facts, sum(each.halvings for each in gradients.values()))


def sides_of(files: dict[Side, QueryWindows]) -> dict[Side, list[QueryWindow]]:
    """The windows of either side, whichever file they are from, with their weights' size as weights."""
    return {
        wanted: [
            replace(window, weight=abs(window.weight))
            for side, found in files.items()
            for window in found.windows
            if window.weight * SIGNS[side] * SIGNS[wanted] > 0
        ]
        for wanted in SIGNS
    }


def _gradient(
    model: PreTrainedModel,
    side: Side,
    windows: Sequence[QueryWindow],
    start: int,
    batch_tokens: int,
    mean: QueryMean,
    ranks: Ranks,
) -> QueryGradient:
    with track(f"{side} queries", sum(window.tokens for window in windows) / ranks.count) as tracker:
        return query_gradient(model, windows, start, batch_tokens, counting(tracker), mean, ranks)


def _facts(queries: Sequence[Query], found: QueryWindows) -> dict[str, Any]:
    weights = [query.weight for query in queries]
    return {
        "queries": len(queries),
        "completion_tokens": sum(window.tokens for window in found.windows),
        "shortened": found.shortened,
        "weights": {
            "positive": sum(weight for weight in weights if weight > 0),
            "negative": sum(weight for weight in weights if weight < 0),
            "zero": weights.count(0),
        },
        "hash": hash_queries(queries),
    }
