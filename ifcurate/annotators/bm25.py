"""What each occurrence of a word adds to its document's BM25 score against the queries (Robertson, Zaragoza 2009)."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from ifcurate.annotators.base import Asked, Counts, Document, Marks, State, WithoutCounts
from ifcurate.annotators.spread import spread
from ifcurate.errors import InputError
from ifcurate.influence.queries import Query, read_queries
from ifcurate.progress import log

WORD = re.compile(r"\w+")
K1, B = 1.2, 0.75
"""As Lucene has them."""
DOCUMENTS, TERMS = "#documents", "#terms"
"""Keys of the counts, beside the terms themselves: how many documents hold each."""


class BM25(WithoutCounts):
    """All queries are one bag of terms: lower-cased runs of word characters of prompts and completions.

    A term's occurrences share its part of the score equally. Every query counts by its weight; those of no positive
    weight show the contrast, and are left out.
    """

    @classmethod
    def prepare(cls, asked: Asked) -> State:
        """See `Annotator`."""
        queries = [query for file in asked.queries for query in read_queries(file, asked.max_queries, asked.seed)]
        wanted = wanted_terms(queries)
        if not wanted:
            files = ", ".join(asked.queries)
            raise InputError(f"option --queries: {files} hold no word of positive weight; give others.")
        if left_out := sum(query.weight <= 0 for query in queries):
            log.info(f"{left_out:,} queries of no positive weight are left out")
        return {"wanted": wanted}

    @classmethod
    def count(cls, state: State, texts: Sequence[str]) -> Counts:
        """Documents, terms of all, and the documents that hold each wanted term."""
        wanted = state["wanted"].keys()
        counts: Counter[str] = Counter()
        for text in texts:
            terms = terms_of(text)
            counts.update({DOCUMENTS: 1, TERMS: len(terms)})
            counts.update(wanted & set(terms))
        return dict(counts)

    def __init__(self, state: State, counts: Counts, asked: Asked) -> None:
        """See `Annotator`."""
        self._mean = counts[TERMS] / counts[DOCUMENTS] if counts.get(TERMS) else 1.0
        self._weights = {
            term: times * _rarity(counts.get(term, 0), counts[DOCUMENTS]) * (K1 + 1)
            for term, times in state["wanted"].items()
        }

    def marks(self, documents: Sequence[Document]) -> Marks:
        """See `Annotator`."""
        spans, values = [], []
        for document in documents:
            found = [(match.span(), match[0].lower()) for match in WORD.finditer(document.text)]
            times = Counter(term for _, term in found)
            length = K1 * (1 - B + B * len(found) / self._mean)
            share = {term: self._weights.get(term, 0.0) / (count + length) for term, count in times.items()}
            spans.append([span for span, _ in found])
            values += [share[term] for _, term in found]
        return spread(documents, spans, np.array(values, np.float32))


def wanted_terms(queries: Sequence[Query]) -> dict[str, float]:
    """The terms of all queries of positive weight, in order, each with the weights of its occurrences summed up."""
    wanted: dict[str, float] = {}
    for query in queries:
        for term in terms_of(query.prompt + query.completion) if query.weight > 0 else ():
            wanted[term] = wanted.get(term, 0.0) + query.weight
    return dict(sorted(wanted.items()))


def terms_of(text: str) -> list[str]:
    """Lower-cased words, in order."""
    return [match.lower() for match in WORD.findall(text)]


def _rarity(holding: int, documents: int) -> float:
    return math.log(1 + (documents - holding + 0.5) / (holding + 0.5))
