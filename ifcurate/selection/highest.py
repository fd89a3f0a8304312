"""The highest tokens of a corpus, wherever they are: what `--rank-by token` selects.

Groups of tokens that share characters are ordered by their highest score, equal ones by their place in the corpus, and
taken until the next one does not fit into the budget: where every token has characters of its own, exactly as many
tokens as the budget says. What this takes of a document are its own highest groups, so their number says which.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ifcurate.selection.ranking import WEIGHED, Cut
from ifcurate.selection.records import Records, cut_records, mask_records
from ifcurate.selection.scores import ScoredTokens, Sidecar
from ifcurate.selection.settings import SelectionSettings
from ifcurate.selection.spans import Ints, Mask
from ifcurate.selection.table import Selection


@dataclass(frozen=True)
class Groups:
    """The groups of tokens of a batch that have characters and a score above tau, in the order of the text.

    Attributes:
        first: int64 [groups], the first token of each in the batch.
        size: int64 [groups], tokens.
        value: float32 [groups], the highest score of each.
        document: int64 [groups], of the batch.
    """

    first: Ints
    size: Ints
    value: NDArray[np.float32]
    document: Ints

    @classmethod
    def above(cls, scored: ScoredTokens, records: Records, tau: np.float32) -> Groups:
        """Those of `scored`, which `records` divides into whole documents."""
        if not len(scored.influence):
            none = np.zeros(0, np.int64)
            return cls(none, none, np.zeros(0, np.float32), none)
        value = np.maximum.reduceat(scored.influence, records.begins) + np.float32(0)  # no zero is below another
        spelled = np.logical_or.reduceat(scored.tokens.ends > scored.tokens.starts, records.begins)
        chosen = (value > tau) & spelled
        first = records.begins[chosen]
        return cls(first, (records.ends - records.begins)[chosen], value[chosen], records.holding(first))


def highest_first(shards: Sequence[Sidecar], tau: np.float32) -> pa.RecordBatchReader:
    """Every group above tau as a record to be ordered, see `find_cut`: its rank is its highest score.

    Raises:
        InputError: a score file is missing or damaged.
    """

    def batches() -> Iterator[pa.RecordBatch]:
        for _, groups, begin in _groups(shards, tau):
            columns = [begin + groups.first, groups.value.astype(np.float64), groups.size, np.ones(len(groups.first))]
            yield pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=WEIGHED)

    return pa.RecordBatchReader.from_batches(WEIGHED, batches())


def tokens_before(cut: Cut, shards: Sequence[Sidecar], tau: np.float32) -> Iterator[Ints]:
    """int64 [documents] of every batch: the tokens of its groups before the cut."""
    for documents, groups, begin in _groups(shards, tau):
        ranks = groups.value.astype(np.float64)
        taken = cut.allotment(begin + groups.first, ranks, groups.size) == groups.size
        tokens = np.bincount(groups.document[taken], weights=groups.size[taken], minlength=documents)
        yield tokens.astype(np.int64)


def mask_highest(scored: ScoredTokens, records: Records, tau: np.float32, take: Ints) -> Mask:
    """bool [tokens]: the highest groups of every document, `take` tokens of each (int64 [documents])."""
    groups = Groups.above(scored, records, tau)
    order = np.lexsort((groups.first, -groups.value, groups.document))
    size, document = groups.size[order], groups.document[order]
    so_far = np.cumsum(size)
    before_document = np.append(0, so_far)[np.searchsorted(document, np.arange(scored.tokens.documents))]
    taken = order[so_far - before_document[document] <= take[document]]
    edges = np.zeros(len(scored.influence) + 1, np.int8)
    edges[groups.first[taken]] += 1
    edges[groups.first[taken] + groups.size[taken]] -= 1
    return np.cumsum(edges[:-1], dtype=np.int8).astype(np.bool_)


def selected_mask(
    scored: ScoredTokens, records: Records, selection: Selection | SelectionSettings, tau: np.float32, take: Ints
) -> Mask:
    """The tokens that every record gives up, of what was ranked: see `mask_records` and `mask_highest`."""
    if selection.rank_by == "token":
        return mask_highest(scored, records, tau, take)
    return mask_records(scored, records, tau, selection.neighbours, take)


def _groups(shards: Sequence[Sidecar], tau: np.float32) -> Iterator[tuple[int, Groups, int]]:
    """Of every batch of the corpus its documents, its groups above tau, and the number of tokens before it."""
    begin = 0
    for shard in shards:
        for scored in shard.batches():
            groups = Groups.above(scored, cut_records(scored.tokens, None), tau)
            yield scored.tokens.documents, groups, begin
            begin += len(scored.influence)
