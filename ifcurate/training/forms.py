"""What is added to the loss for a marked token, by name, and how penalties are written on the command line.

A new form is a function here and an entry in `PENALTY_FORMS`. Nothing is imported that computes: forms are methods of
the tensors they are given.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ifcurate.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

PAPER_PENALTY = 1.0
"""Lambda where a behaviour is named without one."""


class MarkedRows(NamedTuple):
    """The rows of a chunk of logits whose label is marked.

    Attributes:
        losses: `[rows]`: `l_j = -log p_j`, with its graph.
        logits: `[rows, vocabulary]`, float32 or float64, with their graph.
        targets: int64 `[rows]`: the labels.
    """

    losses: Tensor
    logits: Tensor
    targets: Tensor


class PenaltyForm(NamedTuple):
    """What a marked token adds to the loss.

    Attributes:
        terms: `[rows]`, what lambda multiplies; autograd gives its gradient.
        description: one line for people.
    """

    terms: Callable[[MarkedRows], Tensor]
    description: str


def ascent(rows: MarkedRows) -> Tensor:
    """`-l` (Eq. 9): gradient ascent, unbounded below."""
    return -rows.losses


def unlikelihood(rows: MarkedRows) -> Tensor:
    """`-log(1 - p)` (Welleck et al. 2020): bounded below by 0, vanishing gradient once p is small.

    Finite even where p rounds to 1: 1 - p is the sum of all the others.
    """
    others = rows.logits.scatter(1, rows.targets.unsqueeze(-1), float("-inf"))
    return rows.logits.logsumexp(-1) - others.logsumexp(-1)


ASCENT = "ascent"
PENALTY_FORMS: dict[str, PenaltyForm] = {
    ASCENT: PenaltyForm(ascent, "Eq. 9"),
    "unlikelihood": PenaltyForm(unlikelihood, "bounded"),
}
"""By the name that `--penalty-form` and `penalized_loss` take."""


def form_named(name: str) -> PenaltyForm:
    """The form called `name`.

    Raises:
        InputError: there is none.
    """
    if name not in PENALTY_FORMS:
        raise InputError(f"there is no penalty form {name!r}; give one of {', '.join(PENALTY_FORMS)}.")
    return PENALTY_FORMS[name]


def parse_penalties(texts: Sequence[str], behaviours: Sequence[str]) -> dict[str, float]:
    """Behaviour to lambda from values of --penalty; those without a behaviour are for all of `behaviours`."""
    penalties: dict[str, float] = {}
    for text in texts:
        behaviour, value = parse_penalty(text)
        penalties.update(dict.fromkeys([behaviour] if behaviour else behaviours, value))
    return penalties


def parse_penalty(text: str) -> tuple[str | None, float]:
    """`toxic=0.5`, `0.5` (of every --behaviour) or `toxic` (the paper's lambda, 1)."""
    behaviour, separator, value = text.rpartition("=")
    if not separator and re.fullmatch(r"[A-Za-z]\w*", text):
        return text, PAPER_PENALTY
    try:
        penalty = float(value)
    except ValueError:
        penalty = math.nan
    if not 0 <= penalty < math.inf:
        raise ValueError(f"{text!r} is not BEHAVIOUR=LAMBDA with a finite LAMBDA of at least 0")
    return behaviour or None, penalty
