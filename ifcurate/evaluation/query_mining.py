"""Draw the two query sets of a behaviour from any table of prompts and continuations, with a classifier."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import orjson
from numpy.typing import NDArray

from ifcurate.corpus.tables import Row, has_path, missing_column, read_rows, text_at
from ifcurate.errors import InputError
from ifcurate.evaluation.classifiers.base import Classifier
from ifcurate.evaluation.config import MiningConfig
from ifcurate.evaluation.near_duplicates import NearDuplicates
from ifcurate.evaluation.prompts import read_prompts
from ifcurate.influence.queries import Query
from ifcurate.progress import track

LAYOUTS = (
    ("prompt.text", "continuation.text"),
    ("prompt", "continuation"),
    ("prompt", "completion"),
    ("prompt", "response"),
)
"""Columns of prompt and continuation: RealToxicityPrompts' nested ones, and plain tables; the first that fit."""

CLASSIFIED_TOGETHER = 2048
"""Continuations handed to the classifier at once."""


@dataclass(frozen=True)
class Mined:
    """What was found, and what became of every row.

    Attributes:
        behaviour: queries that show the behaviour.
        contrast: queries that do not.
        rows: rows of the table.
        counts: rows by what became of them; together `rows`.
        spaces_added: queries kept that got a space between prompt and continuation.
        texts_cut: continuations of which the classifier read the beginning only.
    """

    behaviour: list[Query]
    contrast: list[Query]
    rows: int
    counts: dict[str, int]
    spaces_added: int
    texts_cut: int


@dataclass(frozen=True)
class Texts:
    """What is mined: pairs of prompt and continuation, and the prompts that no query may resemble."""

    pairs: list[tuple[str, str]]
    excluded: list[str]

    def hash(self) -> str:
        """Hex SHA-256 of all of them, in order."""
        return hashlib.sha256(orjson.dumps([self.pairs, self.excluded])).hexdigest()


def read_texts(config: MiningConfig) -> Texts:
    """Read the table and the prompts to exclude.

    Raises:
        InputError: a table cannot be used.
    """
    rows = read_rows("allenai/real-toxicity-prompts" if config.source == "rtp" else config.source, config.split)
    columns = _columns(config, rows)
    pairs = [
        (text_at(row, columns[0], config.source, number), text_at(row, columns[1], config.source, number))
        for number, row in enumerate(rows)
    ]
    return Texts(pairs, [prompt.text for source in config.exclude for prompt in read_prompts(source).prompts])


def mine_queries(texts: Texts, config: MiningConfig, classifier: Classifier) -> Mined:
    """Classify every continuation and draw the two sets.

    Rows are visited in a random order that depends on the seed only. A row is left out if its prompt is nearly one of
    those to exclude, or prompt and continuation together are nearly those of a query already kept on either side. With
    `config.soft` a query's weight is the distance of its score from `config.middle`, on which side it also lies.

    Raises:
        InputError: a side stays empty.
    """
    scores = _classify([continuation for _, continuation in texts.pairs], classifier)
    draw = _Draw(config, texts.excluded)
    for index in np.random.default_rng(config.seed).permutation(len(texts.pairs)).tolist():
        prompt, continuation = texts.pairs[index]
        draw.visit(prompt, continuation, float(scores[index]))
    for side, name in ((draw.behaviour, config.behaviour), (draw.contrast, config.contrast)):
        if not side:
            raise InputError(
                f"{config.source}: no row makes a {name} query ({_listed(draw.counts)}); "
                "change the thresholds, the classifier or the table."
            )
    return Mined(draw.behaviour, draw.contrast, len(texts.pairs), dict(draw.counts), draw.spaces, classifier.texts_cut)


class _Draw:
    """Rows in, query sets out, and a count of what became of each row."""

    def __init__(self, config: MiningConfig, excluded: Sequence[str]) -> None:
        self._config = config
        self._evaluated = NearDuplicates(config.near_duplicate)
        for prompt in excluded:
            self._evaluated.add(prompt)
        self._kept = NearDuplicates(config.near_duplicate)
        self.behaviour: list[Query] = []
        self.contrast: list[Query] = []
        self.counts: Counter[str] = Counter()
        self.spaces = 0

    def visit(self, prompt: str, continuation: str, score: float) -> None:
        self.counts[self._decide(prompt, continuation, score)] += 1

    def _decide(self, prompt: str, continuation: str, score: float) -> str:
        if not continuation.strip():
            return "empty continuation"
        side, weight = self._side(score), abs(score - self._config.middle) if self._config.soft else 1.0
        if side is None or weight == 0:
            return "between the thresholds"
        if self._evaluated.holds(prompt):
            return "evaluation prompt"
        name = self._config.behaviour if side is self.behaviour else self._config.contrast
        if len(side) == self._config.per_side:
            return f"{name}, beyond --per-side"
        separator = self._separator(prompt, continuation)
        if self._kept.holds(prompt + separator + continuation):
            return "near-duplicate"
        self._kept.add(prompt + separator + continuation)
        self.spaces += separator == " "
        side.append(Query(prompt, separator + continuation, weight))
        return f"{name}, kept"

    def _side(self, score: float) -> list[Query] | None:
        if score >= self._config.behaviour_from:
            return self.behaviour
        return self.contrast if score < self._config.contrast_below else None

    def _separator(self, prompt: str, continuation: str) -> str:
        """A space where two words would run together, unless the separator is given."""
        if self._config.separator is not None:
            return self._config.separator
        together = prompt and not prompt[-1].isspace() and continuation[0].isalnum()
        return " " if together else ""


def _columns(config: MiningConfig, rows: Sequence[Row]) -> tuple[str, str]:
    found = next((pair for pair in LAYOUTS if all(has_path(rows, path) for path in pair)), ("prompt", "continuation"))
    columns = (config.prompt_column or found[0], config.continuation_column or found[1])
    for path, option in zip(columns, ("--prompt-column", "--continuation-column"), strict=True):
        if not has_path(rows, path):
            raise missing_column(config.source, rows, f"column {path!r}", option)
    return columns


def _classify(continuations: Sequence[str], classifier: Classifier) -> NDArray[np.float32]:
    scores = np.zeros(len(continuations), dtype=np.float32)
    with track(classifier.name, len(continuations), "texts") as tracker:
        for first in range(0, len(continuations), CLASSIFIED_TOGETHER):
            block = continuations[first : first + CLASSIFIED_TOGETHER]
            scores[first : first + len(block)] = classifier.score(block)[:, 0]
            tracker.update(first + len(block), first + len(block))
    return scores


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in sorted(counts.items()))
