"""Every hit of a list of words and phrases."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ifcurate.annotators.base import Asked, Counts, Document, Marks, State, WithoutCounts
from ifcurate.annotators.spread import spread
from ifcurate.errors import InputError
from ifcurate.storage.fetched import at_hand


class Words(WithoutCounts):
    """1 on the tokens of a listed word, 0 on all others.

    A hit is a whole word or phrase in any case; of hits that overlap, the first and of these the longest.
    """

    @classmethod
    def prepare(cls, asked: Asked) -> State:
        """See `Annotator`."""
        assert asked.words is not None
        return {"words": read_words(asked.words)}

    def __init__(self, state: State, counts: Counts, asked: Asked) -> None:
        """See `Annotator`."""
        self._hit = pattern_of(state["words"])

    def marks(self, documents: Sequence[Document]) -> Marks:
        """See `Annotator`."""
        spans = [[match.span() for match in self._hit.finditer(document.text)] for document in documents]
        return spread(documents, spans, np.ones(sum(map(len, spans)), np.float32))


def read_words(place: str) -> list[str]:
    """The words and phrases of a file, one a line, each once and in order.

    Raises:
        InputError: the file cannot be read, or holds none.
    """
    try:
        lines = Path(at_hand(place)).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"option --words: {place} cannot be read ({error}); give a file of words in UTF-8, one a line."
        ) from error
    words = sorted({line.strip() for line in lines} - {""})
    if not words:
        raise InputError(f"option --words: {place} holds no word; give a file of words, one a line.")
    return words


def pattern_of(words: Sequence[str]) -> re.Pattern[str]:
    """Matches any of `words` that no word character touches; a tree of their beginnings, so that many cost as few."""
    tree: dict[str, Any] = {}
    for word in words:
        branch = tree
        for character in word:
            branch = branch.setdefault(character, {})
        branch[""] = {}
    return re.compile(rf"(?<!\w){_alternatives(tree)}(?!\w)", re.IGNORECASE)


def _alternatives(tree: dict[str, Any]) -> str:
    """The longest first."""
    followed = [re.escape(character) + _alternatives(rest) for character, rest in tree.items() if character]
    if not followed:
        return ""
    return f"(?:{'|'.join(followed)})" + ("?" if "" in tree else "")
