"""What is added to the loss for a marked token, by name, and how penalties are written on the command line.

A new form is a function here and an entry in `PENALTY_FORMS`. Nothing is imported that computes: forms are methods of
the tensors they are given.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ifcurate.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

PAPER_PENALTY = 1.0
"""Lambda where a behaviour is named without one."""

RAMP = 0.1
"""Share of the steps over which lambda rises, linearly, where the penalty starts later than the training."""


class MarkedRows(NamedTuple):
    """The rows of a chunk of logits whose label is marked.

    Attributes:
        losses: `[rows]`: `l_j = -log p_j`, with its graph; spared tokens are left out of the softmax.
        logits: `[rows, vocabulary]`, float32 or float64, with their graph; minus infinity at spared tokens.
        targets: int64 `[rows]`: the labels.
        reference: `[rows]`: the labels' losses under a reference model, whose softmax leaves out the same tokens; or
            None where there is none.
    """

    losses: Tensor
    logits: Tensor
    targets: Tensor
    reference: Tensor | None


@dataclass(frozen=True)
class Penalty:
    """How marked tokens are pushed away; lambda is their own.

    Attributes:
        form: one of `PENALTY_FORMS`.
        clamp: where `clamped` stops: nats (`9.0`), a share of ln(vocabulary) (`100%`), or nats above the token's loss
            under the reference model (`base+2`).
        beta: inverse temperature of `npo`; 0 would be ascent.
        spared: token ids that are left out of the softmax at marked labels, so that the probability pushed off a
            marked token does not go to them, and that are never marked themselves: the end of a text.
        start: share of the steps before which marked tokens are only left out; lambda then rises over `RAMP`.
        end: share of the steps after which they are only left out again.

    Raises:
        InputError: there is no such form, `clamp` cannot be read, `beta` is not positive, or `start` and `end` are no
            shares in that order.
    """

    form: str = "ascent"
    clamp: str = "100%"
    beta: float = 0.1
    spared: tuple[int, ...] = ()
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        if self.form not in PENALTY_FORMS:
            raise InputError(f"there is no penalty form {self.form!r}; give one of {', '.join(PENALTY_FORMS)}.")
        parse_clamp(self.clamp)
        if not 0 < self.beta < math.inf:
            raise InputError(f"a beta of {self.beta} cannot be; give a positive, finite number.")
        if not 0 <= self.start < self.end <= 1:
            raise InputError(
                f"a penalty from {self.start:g} to {self.end:g} of the steps cannot be; give shares from 0 to 1, the "
                "start below the end."
            )

    @property
    def needs_reference(self) -> bool:
        """Whether it takes the losses of a reference model."""
        return self.form == "npo" or (self.form == "clamped" and parse_clamp(self.clamp)[0] == "base+")

    def strength(self, step: int, steps: int) -> float:
        """What every lambda is multiplied by at `step` (from 0) of `steps`: from 0 to 1, 1 throughout by default."""
        if not self.start * steps <= step < self.end * steps:
            return 0.0
        ramp = RAMP * steps
        return 1.0 if not self.start or ramp < 1 else min(1.0, (step - self.start * steps) / ramp)

    def terms(self, rows: MarkedRows) -> Tensor:
        """`[rows]`: what lambda multiplies.

        Raises:
            InputError: the losses of a reference model are needed and not there.
        """
        if self.needs_reference and rows.reference is None:
            raise InputError(f"the penalty form {self.form} needs the losses of a reference model; give them or it.")
        return PENALTY_FORMS[self.form].terms(rows, self)


class PenaltyForm(NamedTuple):
    """What a marked token adds to the loss.

    Attributes:
        terms: `[rows]`, what lambda multiplies; autograd gives its gradient.
        description: one line for people.
    """

    terms: Callable[[MarkedRows, Penalty], Tensor]
    description: str


def ascent(rows: MarkedRows, penalty: Penalty) -> Tensor:
    """`-l` (Eq. 9): gradient ascent, unbounded below."""
    del penalty
    return -rows.losses


def unlikelihood(rows: MarkedRows, penalty: Penalty) -> Tensor:
    """`-log(1 - p)` (Welleck et al. 2020): bounded below by 0, vanishing gradient once p is small.

    Finite even where p rounds to 1: 1 - p is the sum of all the others.
    """
    del penalty
    others = rows.logits.scatter(1, rows.targets.unsqueeze(-1), float("-inf"))
    return rows.logits.logsumexp(-1) - others.logsumexp(-1)


def clamped(rows: MarkedRows, penalty: Penalty) -> Tensor:
    """`-min(l, m)`: ascent that stops at a loss of m; at uniform guessing by default, where only fluency is to lose."""
    kind, value = parse_clamp(penalty.clamp)
    if kind == "base+" and rows.reference is not None:
        return -rows.losses.minimum(rows.reference.to(rows.losses.dtype) + value)
    limit = value * math.log(rows.logits.shape[-1] - len(penalty.spared)) if kind == "%" else value
    return -rows.losses.clamp(max=limit)


def npo(rows: MarkedRows, penalty: Penalty) -> Tensor:
    """`(2 / beta) log(1 + (p / p_ref)^beta)` (Zhang et al. 2024): ascent that fades as p falls below p_ref."""
    assert rows.reference is not None
    ratio = rows.reference.to(rows.losses.dtype) - rows.losses
    return (2 / penalty.beta) * (penalty.beta * ratio).logaddexp(ratio.new_zeros(()))


ASCENT = "ascent"
PENALTY_FORMS: dict[str, PenaltyForm] = {
    ASCENT: PenaltyForm(ascent, "Eq. 9"),
    "unlikelihood": PenaltyForm(unlikelihood, "bounded, by the probability"),
    "clamped": PenaltyForm(clamped, "ascent that stops at --penalty-clamp"),
    "npo": PenaltyForm(npo, "fades below a reference model's probability"),
}
"""By the name that `--penalty-form` and `penalized_loss` take."""


def parse_clamp(text: str) -> tuple[str, float]:
    """`9.0` (nats), `100%` (of ln(vocabulary)) or `base+2` (above the reference) as a kind and a number.

    Raises:
        InputError: it is none of these, or not positive and finite.
    """
    kind = next((kind for kind, found in (("%", text.endswith("%")), ("base+", text.startswith("base+"))) if found), "")
    try:
        value = float(text.removesuffix("%").removeprefix("base+"))
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise InputError(f"a clamp of {text!r} cannot be; give nats (9.0), a share of ln(vocabulary) (100%) or base+2.")
    return kind, value / 100 if kind == "%" else value


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
