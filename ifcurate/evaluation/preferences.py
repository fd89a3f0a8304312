"""Pairs for preference learning, made on the model itself: of one prompt's completions the least bad and the worst.

One JSON line a pair, as TRL reads them: `prompt`, `chosen`, `rejected`, and the scores of both, in [0, 1].
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ifcurate.errors import InputError
from ifcurate.files import finishing


@dataclass(frozen=True)
class Pair:
    """Two completions of one prompt, and what a classifier says of either."""

    prompt: str
    chosen: str
    rejected: str
    chosen_score: float
    rejected_score: float


@dataclass(frozen=True)
class Pairs:
    """The pairs, and the prompts that gave none: `silent` with fewer than two completions that have text, `alike`
    whose best and worst are nearer to each other than was asked for."""

    pairs: list[Pair]
    silent: int
    alike: int


def pair_completions(
    prompts: Sequence[str], completions: Sequence[Sequence[str]], scores: NDArray[np.float32], least_gap: float
) -> Pairs:
    """The completion of lowest score against that of highest, of every prompt; of equals the first.

    Args:
        prompts: in any order.
        completions: of each prompt, without it.
        scores: [prompts, completions], NaN where a completion is empty: silence is nobody's preference.
        least_gap: pairs whose scores differ by less are left out.
    """
    pairs, silent, alike = [], 0, 0
    for prompt, texts, row in zip(prompts, completions, scores, strict=True):
        if np.count_nonzero(~np.isnan(row)) < 2:
            silent += 1
            continue
        best, worst = int(np.nanargmin(row)), int(np.nanargmax(row))
        if best == worst or row[worst] - row[best] < least_gap:
            alike += 1
            continue
        pairs.append(Pair(prompt, texts[best], texts[worst], float(row[best]), float(row[worst])))
    return Pairs(pairs, silent, alike)


def read_pairs(path: Path) -> list[Pair]:
    """Pairs as `write_pairs` writes them; scores may be missing, and count for nothing.

    Raises:
        InputError: the file is missing, empty, or a line is no pair; names the line.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give one that `ifcurate preferences` wrote, or its folder.")
    pairs = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            row = json.loads(line.decode("utf-8"))
            texts = [row[name] for name in ("prompt", "chosen", "rejected")]
            scores = [float(row.get(name, 0)) for name in ("chosen_score", "rejected_score")]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(
                f"{path}, line {number}: is no JSON object with prompt, chosen and rejected; correct or remove it."
            ) from error
        if not all(isinstance(text, str) for text in texts) or not (texts[1] and texts[2]):
            raise InputError(f"{path}, line {number}: chosen and rejected must be texts; correct or remove it.")
        pairs.append(Pair(*texts, *scores))
    if not pairs:
        raise InputError(f"{path}: holds no pair; give another.")
    return pairs


def write_pairs(path: Path, pairs: Iterable[Pair]) -> None:
    """Write one line a pair."""
    with finishing(path) as part, part.open("w", encoding="utf-8") as stream:
        for pair in pairs:
            stream.write(json.dumps(asdict(pair), ensure_ascii=False) + "\n")
