"""A text with the influence of its tokens, cut into the pieces that are shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ifcurate.selection.scores import ScoredTokens
from ifcurate.selection.spans import Mask, character_groups, mask_to_spans


@dataclass(frozen=True)
class Piece:
    """A run of a document's characters, selected or not."""

    text: str
    selected: bool


@dataclass(frozen=True)
class ScoredPiece:
    """A run of characters: those of a token, or of several that share characters, or between tokens.

    `influence` is that of the token, the highest of several, None where there is none.
    """

    text: str
    influence: float | None = None
    selected: bool = False


@dataclass(frozen=True)
class ScoredText:
    """One text, its tokens, and what was selected of them.

    Attributes:
        heading: facts about it, in order.
        text: as it is.
        scored: its tokens' characters and influence, one document.
        selected: bool [tokens]; None where nothing was selected yet.
    """

    heading: tuple[str, ...]
    text: str
    scored: ScoredTokens
    selected: Mask | None = None

    def pieces(self) -> Iterator[ScoredPiece]:
        """The whole text, cut at the borders of its tokens."""
        tokens, influence = self.scored.tokens, self.scored.influence
        selected = np.zeros(len(tokens), dtype=bool) if self.selected is None else self.selected
        spelled = np.flatnonzero(tokens.ends > tokens.starts)
        groups = character_groups(tokens)[spelled]
        reached = 0
        for members in np.split(spelled, np.flatnonzero(np.diff(groups)) + 1) if len(spelled) else ():
            start, end = int(tokens.starts[members].min()), int(tokens.ends[members].max())
            if start > reached:
                yield ScoredPiece(self.text[reached:start])
            yield ScoredPiece(self.text[start:end], float(influence[members].max()), bool(selected[members].any()))
            reached = end
        if reached < len(self.text):
            yield ScoredPiece(self.text[reached:])

    def selected_runs(self) -> list[Piece]:
        """The text cut where selected runs begin and end.

        Runs with nothing but white space between them are one; white space at a run's borders is left outside.
        """
        if self.selected is None:
            return cut_text(self.text, [])
        spans = mask_to_spans(self.selected, self.scored.tokens)
        runs: list[tuple[int, int]] = []
        for start, end in zip(spans.starts.tolist(), spans.ends.tolist(), strict=True):
            inside = self.text[start:end]
            if inside.strip():
                start, end = end - len(inside.lstrip()), start + len(inside.rstrip())
            if runs and not self.text[runs[-1][1] : start].strip():
                start = runs.pop()[0]
            runs.append((start, end))
        return cut_text(self.text, runs)

    def tokens(self) -> Iterator[tuple[str, float]]:
        """Every token's characters and influence."""
        tokens = self.scored.tokens
        for start, end, influence in zip(tokens.starts, tokens.ends, self.scored.influence, strict=True):
            yield self.text[start:end], float(influence)


@dataclass(frozen=True)
class Inspection:
    """Texts to be shown.

    Attributes:
        behaviour: whose influence.
        texts: in the order in which they are shown.
        tau: the threshold of the selection; None where there is none.
        note: what else is to be said, one sentence.
    """

    behaviour: str
    texts: list[ScoredText]
    tau: float | None = None
    note: str | None = None

    @property
    def darkest(self) -> float:
        """Influence, positive or negative, from which on a token has the darkest colour: tau, or the largest shown."""
        if self.tau is not None and self.tau > 0:
            return self.tau
        return max((float(np.abs(text.scored.influence).max(initial=0)) for text in self.texts), default=0.0)


def cut_text(text: str, spans: Sequence[tuple[int, int]]) -> list[Piece]:
    """`text` cut at the borders of `spans`: ranges of characters in order, without overlap."""
    pieces, reached = [], 0
    for start, end in spans:
        pieces += [Piece(text[reached:start], False), Piece(text[start:end], True)]
        reached = end
    pieces.append(Piece(text[reached:], False))
    return [piece for piece in pieces if piece.text]
