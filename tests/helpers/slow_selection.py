"""Algorithm 1 as it is printed, token by token: what the fast one is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from score_files import Corpus, Offsets

from ifcurate.selection.settings import SelectionSettings


class SlowSelection(NamedTuple):
    """What Algorithm 1 selects: the mask of every document, the rank of every record, and tau."""

    mask: list[list[bool]]
    ranks: list[float]
    tau: float


def groups_by_hand(offsets: Offsets) -> list[int]:
    """A number for each token; equal numbers share a character, directly or through others."""
    group = list(range(len(offsets)))
    for i, (start, end) in enumerate(offsets):
        for j, (other_start, other_end) in enumerate(offsets):
            if max(start, other_start) < min(end, other_end):
                group = [group[i] if number == group[j] else number for number in group]
    spelled = [index for index, (start, end) in enumerate(offsets) if end > start]
    if not spelled:
        return [0] * len(offsets)
    for index, (start, end) in enumerate(offsets):
        if start == end:
            group[index] = group[next((other for other in spelled if other > index), spelled[-1])]
    return group


def quantile_by_hand(scores: Sequence[float], quantile: float) -> np.float32:
    """Between the two nearest order statistics in proportion, as float32."""
    ordered = sorted(scores)
    position = quantile * (len(ordered) - 1)
    below, above = int(position), min(int(position) + 1, len(ordered) - 1)
    return np.float32(ordered[below] + (ordered[above] - ordered[below]) * (position - below))


def algorithm_1(corpus: Corpus, settings: SelectionSettings, budget: int) -> SlowSelection:
    """Algorithm 1, slowly and in plain Python."""
    tau = quantile_by_hand([float(np.float32(s)) for document in corpus.influence for s in document], settings.quantile)

    groups = [groups_by_hand(offsets) for offsets in corpus.offsets]
    records: list[tuple[int, list[int]]] = []
    for number, document in enumerate(corpus.influence):
        length = settings.record_length or max(1, len(document))
        windows: list[list[int]] = [[] for _ in range(max(1, -(-len(document) // length)))]
        for token in range(len(document)):
            windows[groups[number].index(groups[number][token]) // length].append(token)
        records += [(number, window) for window in windows]

    counts, sums = [], []
    for number, tokens in records:
        scores = [float(np.float32(corpus.influence[number][token])) for token in tokens]
        length = max(len(tokens), 1) ** settings.length_exponent
        counts.append(sum(score > tau for score in scores) / length)
        sums.append(sum(score for score in scores if score > tau) / length)
    normal = [normalised(values, [bool(tokens) for _, tokens in records]) for values in (counts, sums)]
    ranks = [2 * a * b / (a + b) if a + b else 0.0 for a, b in zip(*normal, strict=True)]

    order = sorted(range(len(records)), key=lambda record: -ranks[record])
    mask = give_up(corpus, settings, budget, tau, [records[record] for record in order], groups)
    return SlowSelection(mask, ranks, float(tau))


def give_up(
    corpus: Corpus,
    settings: SelectionSettings,
    budget: int,
    tau: np.float32,
    records: Sequence[tuple[int, list[int]]],
    groups: Sequence[list[int]],
) -> list[list[bool]]:
    """The mask of what `records`, pairs of a document and its tokens from the highest rank down, give up."""
    mask = [[False] * len(document) for document in corpus.influence]
    for number, tokens in records:
        for token in tokens:
            if not np.float32(corpus.influence[number][token]) > tau:
                continue
            wanted: list[list[int]] = []
            for neighbour in range(token - settings.neighbours, token + settings.neighbours + 1):
                if neighbour not in tokens or mask[number][neighbour]:
                    continue
                group = [other for other in tokens if groups[number][other] == groups[number][neighbour]]
                if not any(corpus.offsets[number][other][1] > corpus.offsets[number][other][0] for other in group):
                    continue
                if group not in wanted:
                    wanted.append(group)
            if settings.budget_ends == "neighbourhood" and sum(map(len, wanted)) > budget:
                return mask
            for group in wanted:
                if len(group) > budget:
                    return mask
                budget -= len(group)
                for other in group:
                    mask[number][other] = True
    return mask


def normalised(values: Sequence[float], counted: Sequence[bool]) -> list[float]:
    low = min(value for value, counts in zip(values, counted, strict=True) if counts)
    high = max(value for value, counts in zip(values, counted, strict=True) if counts)
    return [
        (value - low) / (high - low) if counts and high > low else 0.0
        for value, counts in zip(values, counted, strict=True)
    ]
