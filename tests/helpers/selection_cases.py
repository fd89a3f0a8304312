"""Small cases of Algorithm 1, which the slow one works out; run as a script, this writes `tests/selection/cases.json`.

A case is a corpus, settings, and what they select. Scores are whole numbers of eighths, so many tie and sums are exact.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from score_files import Corpus, Offsets, one_character_each
from slow_selection import algorithm_1

from ifcurate.selection.settings import SelectionSettings

STORED = Path(__file__).parents[1] / "selection" / "cases.json"

RANKINGS: list[dict[str, Any]] = [
    {"rank_by": "document", "length_exponent": 0},
    {"rank_by": "document", "length_exponent": 0.5},
    {"rank_by": "document", "length_exponent": 1},
    {"rank_by": "window", "context": 5, "length_exponent": 0},
    {"rank_by": "window", "context": 1, "length_exponent": 1},
]
BUDGETS = [0, 1, 2, 3, 4, 5, 7, 10, 14, 20, "0%", "15%", "40%", "100%"]


def make_corpora() -> dict[str, Corpus]:
    """Corpora of eight to ten documents, by what is special about them."""
    generator = random.Random(0)

    def corpus(lengths: list[int], score: Callable[[], float]) -> Corpus:
        influence = [[score() for _ in range(length)] for length in lengths]
        return Corpus(influence, one_character_each(influence), (len(lengths) // 3, len(lengths) - 2))

    def eighths(low: int, high: int) -> float:
        return generator.randint(low, high) / 8

    lengths = [9, 14, 6, 11, 8, 13, 10, 7]
    shared = corpus(lengths, lambda: eighths(-20, 40))
    return {
        "spread": corpus(lengths, lambda: eighths(-800, 800)),
        "ties": corpus(lengths, lambda: generator.choice([-1.0, 0.0, 0.0, 0.5, 2.0])),
        "empty and single": corpus([0, 1, 12, 0, 1, 1, 9, 0, 10, 0], lambda: eighths(-20, 40)),
        "all negative": corpus(lengths, lambda: eighths(-80, -1)),
        "all equal": corpus([5, 3, 6, 1, 4, 2, 3, 8], lambda: 1.0),
        "equal records": Corpus([[0.0, 2.0, 0.0, 2.0]] * 8, one_character_each([[0.0] * 4] * 8), (3, 6)),
        "shared characters": Corpus(
            shared.influence, [_shared(generator, len(tokens)) for tokens in shared.influence], shared.shard_ends
        ),
    }


def make_cases() -> dict[str, Any]:
    """What `cases.json` holds: the corpora, and cases with settings and what the slow Algorithm 1 says of them."""
    corpora = make_corpora()
    generator = random.Random(1)
    cases = []
    for name, corpus in corpora.items():
        for neighbours in (0, 1, 2, 4):
            for ranking in generator.sample(RANKINGS, 2):
                budget = generator.choice(BUDGETS)
                quantile = generator.choice([0.0, 0.5, 0.8, 0.9, 0.97])
                for ends in ("token", "neighbourhood"):
                    settings = {"quantile": quantile, "neighbours": neighbours, "budget": budget, **ranking}
                    cases.append(_case(name, corpus, settings | {"budget_ends": ends}))
    stored = {
        name: {"influence": corpus.influence, "offsets": corpus.offsets, "shard_ends": corpus.shard_ends}
        for name, corpus in corpora.items()
    }
    made: dict[str, Any] = json.loads(json.dumps({"corpora": stored, "cases": cases}))
    return made


def to_text(made: dict[str, Any]) -> str:
    """JSON with a line a corpus and a line a case, so that a difference is seen where it is."""
    corpora = ",\n".join(f"{json.dumps(name)}: {json.dumps(corpus)}" for name, corpus in made["corpora"].items())
    cases = ",\n".join(json.dumps(case) for case in made["cases"])
    return f'{{"corpora": {{\n{corpora}\n}},\n"cases": [\n{cases}\n]}}\n'


def _case(name: str, corpus: Corpus, settings: dict[str, Any]) -> dict[str, Any]:
    tokens = sum(map(len, corpus.influence))
    budget = settings["budget"]
    count = budget if isinstance(budget, int) else int(budget.rstrip("%")) * tokens // 100
    selected = algorithm_1(corpus, SelectionSettings(**settings), count)
    return {
        "corpus": name,
        "settings": settings,
        "tau": selected.tau,
        "ranks": selected.ranks,
        "mask": ["".join("01"[taken] for taken in document) for document in selected.mask],
    }


def _shared(generator: random.Random, tokens: int) -> Offsets:
    """Character ranges of which some overlap and some are empty."""
    offsets, start, end = [], 0, 0
    for _ in range(tokens):
        start = max(start, end + generator.choice([-1, 0, 0, 1]))
        end = max(end, start + generator.choice([0, 1, 1, 2]))
        offsets.append((start, end))
    return offsets


if __name__ == "__main__":
    STORED.write_text(to_text(make_cases()), encoding="utf-8")
