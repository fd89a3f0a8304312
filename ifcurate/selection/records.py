"""Records: what Algorithm 1 ranks, and which of its tokens a record gives up.

A record is a document, or a window of a document. Its tokens above tau, each with its neighbours on both
sides, and the tokens that share a character with one of them, are its *reach*: what it gives up when the budget
does not end before. Algorithm 1 visits the tokens above tau from left to right, and around each the neighbours from
left to right; tokens are therefore first visited in text order, and what a record gives up to a budget of n tokens is
the first n of its reach (as many whole groups as fit).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ifcurate.selection.scores import ScoredTokens
from ifcurate.selection.spans import Ints, Mask, Ranges, group_borders


@dataclass(frozen=True)
class Records:
    """The records in a batch of documents.

    `rows` is int64 [records + 1]: record r holds tokens `rows[r] .. rows[r + 1]`. `document` and `window` are int64
    [records]: the document in the batch, and the number of the window in the document (0 for whole documents).
    `borders` is int64 [groups + 1], from `group_borders`; no group lies in two records.
    """

    rows: Ints
    document: Ints
    window: Ints
    borders: Ints

    @property
    def begins(self) -> Ints:
        """int64 [groups]: the first token of each group."""
        return self.borders[:-1]

    @property
    def ends(self) -> Ints:
        """int64 [groups]: the token behind each group."""
        return self.borders[1:]

    @property
    def groups(self) -> Ints:
        """int64 [tokens]: the group that each token is in."""
        return np.repeat(np.arange(len(self.begins)), np.diff(self.borders))

    @property
    def last_of_group(self) -> Ints:
        """int64 [tokens]: the last token of the group that each token is in."""
        return np.repeat(self.ends - 1, np.diff(self.borders))

    @property
    def tokens(self) -> Ints:
        """int64 [records]: number of tokens."""
        return np.diff(self.rows)

    @property
    def record_of(self) -> Ints:
        """int64 [tokens]: the record that each token is in."""
        return np.repeat(np.arange(len(self.document)), self.tokens)

    def holding(self, tokens: Ints) -> Ints:
        """int64: the records that some tokens (int64) are in."""
        return np.searchsorted(self.rows, tokens, side="right") - 1

    def weights(self, scored: ScoredTokens) -> NDArray[np.float64]:
        """float64 [records]: how many documents each one's document stands for, 0 without a score."""
        return np.ones(len(self.document)) if scored.weights is None else scored.weights[self.document]

    def count(self, mask: Mask) -> Ints:
        """int64 [records]: number of tokens in `mask` (bool [tokens])."""
        return np.diff(np.append(0, np.cumsum(mask))[self.rows])


@dataclass(frozen=True)
class Measures:
    """Per record, int64 and float64 [records]: tokens above tau, their summed influence, and the size of the reach."""

    sparsity: Ints
    score: NDArray[np.float64]
    reach: Ints


def cut_records(tokens: Ranges, context: int | None) -> Records:
    """Divide documents into records: whole documents, or windows of `context` tokens, the last one shorter.

    A group of tokens that share characters belongs to the window in which it begins. An empty document is one record.
    """
    borders = group_borders(tokens)
    if context is None:
        documents = np.arange(tokens.documents)
        return Records(tokens.rows, documents, np.zeros_like(documents), borders)
    windows = np.maximum(1, -(-np.diff(tokens.rows) // context))
    first_record = np.append(0, np.cumsum(windows))
    document_of = tokens.document_of
    first_of_group = np.repeat(borders[:-1], np.diff(borders))
    window_of = (first_of_group - tokens.rows[document_of]) // context
    sizes = np.bincount(first_record[document_of] + window_of, minlength=first_record[-1])
    document = np.repeat(np.arange(tokens.documents), windows)
    window = np.arange(first_record[-1]) - first_record[document]
    return Records(np.append(0, np.cumsum(sizes)), document, window, borders)


def reach_of(scored: ScoredTokens, records: Records, tau: np.float32, neighbours: int) -> tuple[Ints, Ints]:
    """The reach of all records, as runs of tokens: only tokens above tau are looked at, which are few.

    Tokens of a document without characters (all of them empty) are left out: no span could name them.

    Returns:
        int64 [runs], the first token of each run and the one behind it; in order, none overlapping another, each
        within a record.
    """
    above = scored.above(tau)
    low, high = neighbour_borders(scored, records, above)
    first_group = _group_of(records, np.maximum(above - neighbours, low))
    last_group = _group_of(records, np.minimum(above + neighbours + 1, high) - 1)
    first, end = records.begins[first_group], records.ends[last_group]
    if not np.all(scored.tokens.ends > scored.tokens.starts):
        spelled = np.add.reduceat(scored.tokens.ends > scored.tokens.starts, records.begins, dtype=np.int64) > 0
        first, end = first[spelled[first_group]], end[spelled[first_group]]
    opens = np.append(True, first[1:] >= end[:-1])[: len(first)]
    closes = np.append(opens[1:], True)[: len(first)]
    return first[opens], end[closes]


def _group_of(records: Records, tokens: Ints) -> Ints:
    return np.searchsorted(records.begins, tokens, side="right") - 1


def reachable(scored: ScoredTokens, records: Records, tau: np.float32, neighbours: int) -> Mask:
    """bool [tokens]: the reach of every record."""
    first, end = reach_of(scored, records, tau, neighbours)
    edges = np.zeros(len(scored.influence) + 1, dtype=np.int8)
    edges[first] += 1
    edges[end] -= 1
    return np.cumsum(edges[:-1], dtype=np.int8).astype(np.bool_)


def neighbour_borders(scored: ScoredTokens, records: Records, tokens: Ints) -> tuple[Ints, Ints]:
    """Where the part of its record that each of some tokens (int64) is in begins and ends; neighbours are of one part.

    Returns:
        int64, two for each of the tokens.
    """
    record = records.holding(tokens)
    first, end = records.rows[record], records.rows[record + 1]
    if scored.apart is None:
        return first, end
    begins = np.append(np.flatnonzero(scored.apart), len(scored.apart))
    part = np.searchsorted(begins, tokens, side="right") - 1
    return np.maximum(first, begins[part]), np.minimum(end, begins[part + 1])


def measure_records(scored: ScoredTokens, records: Records, tau: np.float32, neighbours: int) -> Measures:
    """Sparsity, score and reach of every record. Scores add up in text order, so they do not depend on the batch."""
    above = scored.above(tau)
    record, count = records.holding(above), len(records.document)
    score = np.zeros(count)
    np.add.at(score, record, scored.influence[above].astype(np.float64))
    first, end = reach_of(scored, records, tau, neighbours)
    reach = np.zeros(count, dtype=np.int64)
    np.add.at(reach, records.holding(first), end - first)
    return Measures(np.bincount(record, minlength=count), score, reach)


def whole_neighbourhoods(scored: ScoredTokens, records: Records, tau: np.float32, neighbours: int, room: Ints) -> Ints:
    """The most tokens, at most `room`, that every record gives up without taking a part of a neighbourhood.

    IF-Guide's published code selects a token above tau together with all of its neighbours, and stops at the first one
    whose neighbourhood does not fit; Algorithm 1 as printed goes on to the very last token of the budget.

    Args:
        scored: see `mask_records`.
        records: see `mask_records`.
        tau: see `mask_records`.
        neighbours: see `mask_records`.
        room: int64 [records].

    Returns:
        int64 [records].
    """
    reach = reachable(scored, records, tau, neighbours)
    record = records.record_of
    so_far = np.cumsum(reach) - np.append(0, np.cumsum(reach))[records.rows[:-1]][record]
    above = scored.above(tau)
    last = np.minimum(above + neighbours, neighbour_borders(scored, records, above)[1] - 1)
    spent = so_far[records.last_of_group[last]]
    fits = spent <= room[record[above]]
    taken = np.zeros(len(records.document), dtype=np.int64)
    np.maximum.at(taken, record[above][fits], spent[fits])
    return taken


def mask_records(scored: ScoredTokens, records: Records, tau: np.float32, neighbours: int, take: Ints) -> Mask:
    """The tokens that each record gives up.

    Args:
        scored: ranges and influence of a batch of documents.
        records: its division, from `cut_records`.
        tau: tokens with influence above it are taken.
        neighbours: taken on each side.
        take: int64 [records], the most tokens to take. A group that does not fit as a whole ends its record.

    Returns:
        bool [tokens].
    """
    reach = reachable(scored, records, tau, neighbours)
    before_record = np.append(0, np.cumsum(reach))[records.rows[:-1]]
    record = records.record_of
    taken_so_far = np.cumsum(reach) - before_record[record]
    taken: Mask = reach & (taken_so_far[records.last_of_group] <= take[record])
    return taken
