"""Algorithm 1 as it is printed, token by token: what the fast one is compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from score_files import Corpus, Offsets

from ifcurate.selection.settings import SelectionSettings


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


def algorithm_1(corpus: Corpus, settings: SelectionSettings, budget: int) -> tuple[list[list[bool]], list[float]]:
    """Algorithm 1, slowly and in plain Python: the mask and the ranks."""
    ordered = sorted(np.float64(score) for document in corpus.influence for score in np.float32(document))
    position = settings.quantile * (len(ordered) - 1)
    below, above = int(position), min(int(position) + 1, len(ordered) - 1)
    tau = np.float32(ordered[below] + (ordered[above] - ordered[below]) * (position - below))

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

    mask = [[False] * len(document) for document in corpus.influence]
    for record in sorted(range(len(records)), key=lambda record: -ranks[record]):
        number, tokens = records[record]
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
                return mask, ranks
            for group in wanted:
                if len(group) > budget:
                    return mask, ranks
                budget -= len(group)
                for other in group:
                    mask[number][other] = True
    return mask, ranks


def normalised(values: Sequence[float], counted: Sequence[bool]) -> list[float]:
    low = min(value for value, counts in zip(values, counted, strict=True) if counts)
    high = max(value for value, counts in zip(values, counted, strict=True) if counts)
    return [
        (value - low) / (high - low) if counts and high > low else 0.0
        for value, counts in zip(values, counted, strict=True)
    ]
