"""Prompts that what marked or trained has seen: texts of the corpus, of queries, or of pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ifcurate.evaluation.near_duplicates import NearDuplicates, normalize

SHARED_FILE = "shared_prompts.json"


@dataclass(frozen=True)
class SharedPrompts:
    """Of one set of prompts.

    Attributes:
        name: of the set.
        prompts: how many it has.
        in_corpus: those with which a document of the corpus begins, case, punctuation and white space aside.
        in_queries: those that are nearly the same as the prompt of a query, or as all of it, or as one of a pair.
    """

    name: str
    prompts: int
    in_corpus: int
    in_queries: int

    @property
    def sentence(self) -> str:
        """What there is to say below a table."""
        return (
            f"prompts {self.name}: with {self.in_corpus:,} of {self.prompts:,} a document of the corpus begins, "
            f"{self.in_queries:,} are nearly those of a query or a pair."
        )


class CorpusBeginnings:
    """Which of some texts documents begin with."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._wanted = {plain for text in texts if (plain := normalize(text))}
        self._lengths = sorted({len(plain) for plain in self._wanted})
        self._found: set[str] = set()

    def read(self, document: str) -> None:
        """Look at one document."""
        if not self._lengths:
            return
        beginning = normalize(document[: 2 * self._lengths[-1] + 100])  # punctuation and white space may go
        for length in self._lengths:
            if length > len(beginning):
                return
            if beginning[:length] in self._wanted and beginning[length : length + 1] in ("", " "):
                self._found.add(beginning[:length])

    def holds(self, text: str) -> bool:
        """Whether a document that was read begins with `text`."""
        return normalize(text) in self._found


def near(prompts: Sequence[str], queries: Iterable[tuple[str, str]]) -> int:
    """How many of `prompts` are nearly the prompt of a query, or prompt and completion."""
    known = NearDuplicates()
    for prompt, completion in queries:
        for text in dict.fromkeys((prompt, prompt + completion)):
            if text.strip():
                known.add(text)
    return sum(known.holds(prompt) for prompt in prompts)
