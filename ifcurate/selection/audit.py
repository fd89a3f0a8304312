"""What a selection of screened documents is worth: recall and tau, with intervals, from the audit.

Documents above the screen's threshold are all scored, so no chance is in them; the others are known by a sample. The
intervals are those of a Bayesian bootstrap over its documents (Rubin 1981): each replicate gives every document a
weight drawn from the exponential distribution, and is cut anew where the budget ends. Few documents of an audit have a
token to give up, often none, and a bootstrap of none never varies: as in Garwood's interval of a Poisson count, which
exponential weights reproduce, the bound for the worse has one document more than was seen, drawn from those above the
threshold. Recall depends on tau as well, which the audit knows but roughly, so its interval spans those that a
selection with either bound of tau as its tau would give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ifcurate.selection.quantile import BINS, Stratum, sort_keys, value_of
from ifcurate.selection.scores import ScoredTokens
from ifcurate.selection.screened import Screened, ScreenedFacts
from ifcurate.selection.spans import Ints

REPLICATES = 400
INTERVAL = (2.5, 97.5)
"""Per cent of the replicates below each bound."""
RANKS = 1 << 12
"""Equal parts of [0, 1] in which the reach of documents above the threshold is added up."""
WIDER = 4
"""tau's bootstrap looks at the highest (1 - quantile) x this share of the tokens, and so far only."""

Floats = NDArray[np.float64]


@dataclass
class RecallAudit:
    """Takes in every record of a selection, and says how much of what is worth selecting lies above the threshold."""

    above: Floats = field(default_factory=lambda: np.zeros(RANKS))
    records_above: Ints = field(default_factory=lambda: np.zeros(RANKS, np.int64))
    selected_above: int = 0
    selected_audited: int = 0
    documents_above: int = 0
    documents_audited: int = 0
    tokens_scored: int = 0
    _ranks: list[Floats] = field(default_factory=list)
    _reaches: list[Floats] = field(default_factory=list)
    _documents: list[Ints] = field(default_factory=list)
    _seen: int = 0

    def see(
        self, first: NDArray[np.bool_], tokens: Ints, rank: Floats, reach: Ints, weight: Floats, selected: Ints
    ) -> None:
        """Records in the order of the corpus.

        Args:
            first: bool [records]: each document's first.
            tokens: int64 [records].
            rank: float64 [records].
            reach: int64 [records], tokens that each gives up without a budget.
            weight: float64 [records], how many documents each one's document stands for.
            selected: int64 [records], tokens that it gives up.
        """
        certain, audited = weight == 1, weight > 1
        self.above += np.bincount(_part(rank[certain]), weights=reach[certain], minlength=RANKS)
        self.records_above += np.bincount(_part(rank[certain & (selected > 0)]), minlength=RANKS)
        self.selected_above += int(selected[certain].sum())
        self.selected_audited += int(selected[audited].sum())
        self.documents_above += int(np.count_nonzero(first & certain))
        self.documents_audited += int(np.count_nonzero(first & audited))
        self.tokens_scored += int(tokens[weight > 0].sum())
        document = self._seen + np.cumsum(first)
        self._seen = int(document[-1]) if len(document) else self._seen
        giving = audited & (reach > 0)
        self._ranks.append(rank[giving])
        self._reaches.append(reach[giving].astype(np.float64))
        self._documents.append(document[giving])

    def recall(self, weight: float, budget: int) -> tuple[float, float, float]:
        """Estimate and interval: the share of what is selected in the whole corpus that lies above the threshold."""
        if self.documents_audited == 0 or budget == 0:
            return 1.0, 1.0, 1.0
        found = self.selected_above + weight * self.selected_audited
        estimate = self.selected_above / found if found else 1.0
        rank: Floats = np.concatenate(self._ranks)
        reach: Floats = np.concatenate(self._reaches)
        order = np.lexsort((reach, rank))  # so that the order of documents does not matter
        rank, reach, document = rank[order], reach[order], _renumbered(np.concatenate(self._documents)[order])
        generator = np.random.default_rng(0)
        draws = generator.standard_exponential((REPLICATES, int(document.max(initial=-1)) + 1))
        one_more = generator.standard_exponential(REPLICATES)
        low, high, above = np.empty(REPLICATES), np.empty(REPLICATES), np.cumsum(self.above[::-1])
        for number, (weights, part) in enumerate(zip(draws, self._drawn(generator), strict=True)):
            missed: Floats = np.bincount(
                _part(rank), weights=weight * weights[document] * reach, minlength=RANKS
            ).astype(np.float64)
            high[number] = _share_above(above, missed, budget)
            missed[part] += weight * one_more[number] * self.above[part] / max(self.records_above[part], 1)
            low[number] = _share_above(above, missed, budget)
        bounds = np.percentile(low, INTERVAL[0]), np.percentile(high, INTERVAL[1])
        return estimate, min(float(bounds[0]), estimate), max(float(bounds[1]), estimate)

    def _drawn(self, generator: np.random.Generator) -> Ints:
        """int64 [replicates]: parts of the ranks, each of a record above the threshold that gives up tokens."""
        chosen = np.flatnonzero(self.records_above)
        if not len(chosen):
            return np.full(REPLICATES, RANKS - 1)
        return generator.choice(chosen, REPLICATES, p=self.records_above[chosen] / self.records_above.sum())


@dataclass(frozen=True)
class AuditedScores:
    """The audit's documents in a batch: int64 [documents], their numbers of tokens; and of the scores near tau, int64
    [scores], the bin above the lowest that is looked at, and the document in this batch."""

    tokens: Ints
    bins: Ints
    document: Ints


@dataclass
class TauAudit:
    """Takes in the scores of every document, and says between which values tau lies."""

    tau: np.float32
    lowest: int
    _tokens: list[Ints] = field(default_factory=list)
    _bins: list[Ints] = field(default_factory=list)
    _documents: list[Ints] = field(default_factory=list)
    _seen: int = 0

    @classmethod
    def around(cls, tau: np.float32, quantile: float, strata: Sequence[Stratum]) -> TauAudit:
        """For the `quantile` of a corpus of these strata."""
        counts = np.sum([weight * histogram.counts for weight, histogram in strata], axis=0)
        above = np.cumsum(counts[::-1])[::-1]
        lowest = int(np.flatnonzero(above >= min(WIDER * (1 - quantile), 1) * above[0])[-1])
        return cls(tau, min(lowest, int(sort_keys(np.array([tau], np.float32))[0] >> 16)))

    def look(self, scored: ScoredTokens) -> AuditedScores | None:
        """What is to be seen of a batch of documents; None where none was screened. Threads may look."""
        if scored.weights is None:
            return None
        audited = np.flatnonzero(scored.weights > 1)
        lengths = np.diff(scored.tokens.rows)
        number = np.full(len(lengths), -1)
        number[audited] = np.arange(len(audited))
        of_token = np.repeat(number, lengths)
        bins = (sort_keys(scored.influence[of_token >= 0]) >> 16).astype(np.int64)
        near = bins >= self.lowest
        return AuditedScores(lengths[audited], bins[near] - self.lowest, of_token[of_token >= 0][near])

    def see(self, scores: AuditedScores) -> None:
        """The next documents of the corpus."""
        self._tokens.append(scores.tokens)
        self._bins.append(scores.bins)
        self._documents.append(self._seen + scores.document)
        self._seen += len(scores.tokens)

    def interval(self, quantile: float, strata: Sequence[Stratum]) -> tuple[float, float]:
        """The bounds of tau, as wide as the bins of a histogram at least; tau itself where nothing was drawn."""
        if not self._seen:
            return float(self.tau), float(self.tau)
        (_, certain), (weight, _) = strata
        tokens, bins, document = (np.concatenate(parts) for parts in (self._tokens, self._bins, self._documents))
        own = certain.counts[self.lowest :]
        order = np.lexsort((np.bincount(document, weights=(bins + 1.0) ** 2, minlength=len(tokens)), tokens))
        place = np.argsort(order)
        tokens, document = tokens[order], place[document]
        generator = np.random.default_rng(0)
        found = np.empty(REPLICATES, np.int64)
        for number in range(REPLICATES):
            weights = weight * generator.standard_exponential(len(tokens))
            counts = own + np.bincount(bins, weights=weights[document], minlength=len(own))
            above = np.cumsum(counts[::-1])[::-1]
            wanted = (1 - quantile) * (certain.total + float(weights @ tokens))
            found[number] = max(int(np.searchsorted(-above, -wanted, side="right")) - 1, 0)
        low, high = (int(bound) + self.lowest for bound in np.percentile(found, INTERVAL, method="nearest"))
        bounds = value_of(low << 16), value_of(min(high << 16 | 0xFFFF, BINS * BINS - 1))
        return min(bounds[0], float(self.tau)), max(bounds[1], float(self.tau))


def judged(
    facts: ScreenedFacts, recall: RecallAudit, at_bounds: Sequence[RecallAudit], tau: tuple[float, float], budget: int
) -> Screened:
    """What a selection says of the screen.

    Args:
        facts: how its documents were chosen.
        recall: has seen every record.
        at_bounds: have seen every record of selections with the bounds of `tau`, where these are not its tau itself.
        tau: an interval of it.
        budget: tokens to select.
    """
    estimate, low, high = recall.recall(facts.weight, budget)
    others = [each.recall(facts.weight, budget) for each in at_bounds]
    return Screened(
        screen=facts.screen,
        threshold=facts.threshold,
        share=facts.share,
        audit=facts.audit,
        documents_above=recall.documents_above,
        documents_audited=recall.documents_audited,
        tokens_scored=recall.tokens_scored,
        selected_above=recall.selected_above,
        selected_below=round(facts.weight * recall.selected_audited, 6),
        recall=estimate,
        recall_low=min([low, *(bounds[1] for bounds in others)]),
        recall_high=max([high, *(bounds[2] for bounds in others)]),
        tau_low=tau[0],
        tau_high=tau[1],
    )


def _share_above(above: Floats, below: Floats, budget: int) -> float:
    """Of the first `budget` tokens in the order of ranks, those above the threshold.

    Args:
        above: float64 [ranks], tokens above the threshold in each part of the ranks and all better ones; best first.
        below: float64 [ranks], tokens below it in each part alone; worst first.
        budget: tokens to select.
    """
    both = above + np.cumsum(below[::-1])
    if both[-1] <= budget:
        return float(above[-1] / both[-1]) if both[-1] else 1.0
    end = int(np.searchsorted(both, budget, side="left"))
    before, start = (both[end - 1], above[end - 1]) if end else (0.0, 0.0)
    part = (budget - before) / (both[end] - before)
    return float((start + part * (above[end] - start)) / budget)


def _part(rank: Floats) -> Ints:
    """int64 [records]: which of the equal parts of [0, 1] each rank is in."""
    return np.minimum((rank * RANKS).astype(np.int64), RANKS - 1)


def _renumbered(document: Ints) -> Ints:
    """Numbers from 0 in the order in which documents first appear."""
    _, first, number = np.unique(document, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))
    return order[number]
