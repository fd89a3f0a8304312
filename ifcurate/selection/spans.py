"""Token masks to character spans, and spans to the mask of any tokenizer.

A tokenizer says for each token which characters of the text it stands for. These ranges need not be disjoint: a
byte-level tokenizer may spell one emoji with four tokens, all with the range of that emoji, and a token that spells no
character of its own (a prefix space, a trimmed one) has an empty range. Tokens that share characters form a *group*,
and a mask that takes or leaves groups whole survives the way to spans and back unchanged. Selection writes only
such masks.

Positions are Python string indices (code points), ends are exclusive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Ranges:
    """Character ranges in a batch of documents: those of its tokens, or spans.

    The layout of Arrow lists: `starts` and `ends` are int64 [ranges]; those of document d are
    `rows[d] .. rows[d + 1]`, with `rows` int64 [documents + 1].
    """

    starts: Ints
    ends: Ints
    rows: Ints

    @classmethod
    def of_document(
        cls, starts: Sequence[int] | NDArray[np.integer], ends: Sequence[int] | NDArray[np.integer]
    ) -> Ranges:
        """The ranges of a single document."""
        return cls(np.asarray(starts, np.int64), np.asarray(ends, np.int64), np.array([0, len(starts)], np.int64))

    @classmethod
    def of_documents(cls, documents: Sequence[tuple[NDArray[np.integer], NDArray[np.integer]]]) -> Ranges:
        """From starts and ends of each document."""
        none = np.zeros(0, np.int64)
        starts, ends = (np.concatenate([none, *(document[side] for document in documents)]) for side in (0, 1))
        return cls(starts, ends, np.cumsum([0, *(len(starts) for starts, _ in documents)], dtype=np.int64))

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def documents(self) -> int:
        """Number of documents in the batch."""
        return len(self.rows) - 1

    @property
    def document_of(self) -> Ints:
        """int64 [ranges]: the document that each range is in."""
        return np.repeat(np.arange(self.documents), np.diff(self.rows))

    @property
    def reach(self) -> int:
        """A length that no document of the batch exceeds, as far as its ranges tell, plus one."""
        return int(self.ends.max(initial=0)) + 1

    def end_to_end(self, stride: int) -> tuple[Ints, Ints]:
        """Starts and ends when document d begins at character `d * stride` of one long text.

        With a stride above every document's length, ranges of different documents neither overlap nor touch.
        """
        shift = self.document_of * stride
        return self.starts + shift, self.ends + shift


def group_borders(tokens: Ranges) -> Ints:
    """Where the groups of tokens that share characters begin, and behind the last one.

    Groups are runs of neighbouring tokens, within one document, and no two groups have a character in common. An
    empty token belongs to the group of the next token that has characters, or of the previous one where none follows;
    a document of empty tokens is one group.

    Returns:
        int64 [groups + 1]: the first token of each, and the number of all tokens.
    """
    opens = np.zeros(len(tokens) + 1, dtype=bool)
    if _are_ordinary(tokens):
        np.greater_equal(tokens.starts[1:], tokens.ends[:-1], out=opens[1:-1])
    else:
        opens[_last_before_gaps(tokens) + 1] = True
    opens[tokens.rows] = True
    return np.flatnonzero(opens)


def _are_ordinary(tokens: Ranges) -> bool:
    """Whether every token has characters, and neither starts nor ends before the one before it in its document."""
    follows = (tokens.starts[1:] >= tokens.starts[:-1]) & (tokens.ends[1:] >= tokens.ends[:-1])
    borders = tokens.rows[1:-1]
    follows[borders[(borders > 0) & (borders < len(tokens))] - 1] = True
    return bool(follows.all() and (tokens.ends > tokens.starts).all())


def _last_before_gaps(tokens: Ranges) -> Ints:
    """int64: tokens with characters that share none of those they end with, or of what is before, with what follows."""
    starts, ends = tokens.end_to_end(tokens.reach)
    document = tokens.document_of
    spelled = np.flatnonzero(ends > starts)
    begins_at_earliest = np.minimum.accumulate(starts[spelled][::-1])[::-1]
    reached_so_far = np.maximum.accumulate(ends[spelled])
    apart = begins_at_earliest[1:] >= reached_so_far[:-1]
    same_document = document[spelled[1:]] == document[spelled[:-1]]
    last: Ints = spelled[:-1][apart & same_document]
    return last


def character_groups(tokens: Ranges) -> Ints:
    """int64 [tokens], from 0, never decreasing: the number of the group that each token is in, see `group_borders`."""
    sizes = np.diff(group_borders(tokens))
    return np.repeat(np.arange(len(sizes)), sizes)


def has_characters(tokens: Ranges, groups: Ints) -> Mask:
    """bool [tokens]: whether the token's group has characters, so that spans can name it.

    False only in documents all of whose tokens are empty.
    """
    return any_in_group(tokens.ends > tokens.starts, groups)


def any_in_group(mask: Mask, groups: Ints) -> Mask:
    """Widen `mask` (bool [tokens]) to every group that it touches."""
    touched = np.zeros(groups[-1] + 1 if len(groups) else 0, dtype=bool)
    touched[groups[mask]] = True
    widened: Mask = touched[groups]
    return widened


def mask_to_spans(mask: Mask, tokens: Ranges) -> Ranges:
    """The characters of the masked tokens, as sorted ranges that neither overlap nor touch.

    Args:
        mask: bool [tokens].
        tokens: the tokens' character ranges.
    """
    stride = tokens.reach
    starts, ends = tokens.end_to_end(stride)
    return _cut(*_union(starts[mask], ends[mask]), stride, tokens.documents)


def union(several: Sequence[Ranges]) -> Ranges:
    """The characters that are in any of them, as sorted ranges that neither overlap nor touch.

    Args:
        several: spans of the same documents, at least one.
    """
    stride = max(spans.reach for spans in several)
    moved = [spans.end_to_end(stride) for spans in several]
    starts, ends = (np.concatenate(sides) for sides in zip(*moved, strict=True))
    return _cut(*_union(starts, ends), stride, several[0].documents)


def highest(spans: Ranges, tokens: Ranges, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The highest of `values` (float32 [tokens]) among the tokens that overlap each span.

    Args:
        spans: sorted, none overlapping another, as `union` gives them.
        tokens: the tokens' character ranges, of the same documents.

    Returns:
        float32 [spans]; minus infinity where no token overlaps.
    """
    stride = max(spans.reach, tokens.reach)
    span_starts, span_ends = spans.end_to_end(stride)
    starts, ends = tokens.end_to_end(stride)
    found = np.full(len(spans), -np.inf, dtype=np.float32)
    span = np.searchsorted(span_ends, starts, side="right")
    inside = np.append(span_starts, np.iinfo(np.int64).max)[span] < ends
    np.maximum.at(found, span[inside], values[inside])
    return found


def spans_to_mask(spans: Ranges, tokens: Ranges) -> Mask:
    """The tokens that overlap a span, with the empty tokens of their groups.

    Undoes `mask_to_spans` for masks made of whole groups. With another tokenizer's ranges it projects the mask onto
    that tokenizer: every token with at least one character in a span is marked.

    Args:
        spans: in any order; overlapping and empty ones are allowed.
        tokens: the tokens' character ranges, of the same documents.

    Returns:
        bool [tokens].
    """
    if spans.documents != tokens.documents:
        raise ValueError(f"spans of {spans.documents} documents cannot mark tokens of {tokens.documents}")
    stride = max(spans.reach, tokens.reach)
    span_starts, span_ends = _union(*spans.end_to_end(stride))
    starts, ends = tokens.end_to_end(stride)
    first_ending_later = np.searchsorted(span_ends, starts, side="right")
    its_start = np.append(span_starts, np.iinfo(np.int64).max)[first_ending_later]
    empty = starts == ends
    overlapping: Mask = (its_start < ends) & ~empty
    return np.where(empty, any_in_group(overlapping, character_groups(tokens)), overlapping)


def _cut(starts: Ints, ends: Ints, stride: int, documents: int) -> Ranges:
    """Ranges of one long text as those of its documents, each `stride` characters long."""
    document = starts // stride
    rows = np.searchsorted(document, np.arange(documents + 1))
    return Ranges(starts - document * stride, ends - document * stride, rows.astype(np.int64))


def _union(starts: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """The union of ranges, as sorted ranges that neither overlap nor touch; empty ranges vanish."""
    kept = ends > starts
    order = np.argsort(starts[kept], kind="stable")
    starts, ends = starts[kept][order], np.maximum.accumulate(ends[kept][order])
    gap_after = starts[1:] > ends[:-1]
    return starts[np.append(True, gap_after)[: len(starts)]], ends[np.append(gap_after, True)[: len(ends)]]
