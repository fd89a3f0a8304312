"""From scores to the tokens that are left out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ifcurate.selection.ranking import Ranking
from ifcurate.selection.records import cut_records, mask_records, measure_records
from ifcurate.selection.scores import ScoredTokens
from ifcurate.selection.settings import SelectionSettings
from ifcurate.selection.spans import Ranges
from retrained.documents import Documents


def top(scores: NDArray[np.float32], budget: int, seed: int) -> NDArray[np.bool_]:
    """The `budget` highest tokens, ties in random order."""
    mask = np.zeros(len(scores), bool)
    mask[np.lexsort((np.random.default_rng(seed).random(len(scores)), -scores))[:budget]] = True
    return mask


def ranked(scores: NDArray[np.float32], documents: Documents, budget: int) -> NDArray[np.bool_]:
    """Algorithm 1 with the settings of `ifcurate select`: documents by rank, neighbours with the tokens above tau."""
    settings = SelectionSettings()
    scored = ScoredTokens(Ranges.of_documents([(each.starts, each.ends) for each in documents.encodings]), scores)
    records, tau = cut_records(scored.tokens, None), np.float32(np.quantile(scores, settings.quantile))
    measures = measure_records(scored, records, tau, settings.neighbours)
    ranking = Ranking(settings.length_exponent)
    ranking.observe(records.tokens, measures.sparsity, measures.score)
    order = np.argsort(-ranking.rank(records.tokens, measures.sparsity, measures.score), kind="stable")
    taken = np.zeros_like(measures.reach)
    spent = np.append(0, np.cumsum(measures.reach[order])[:-1])
    taken[order] = np.clip(budget - spent, 0, measures.reach[order])
    return mask_records(scored, records, tau, settings.neighbours, taken)
