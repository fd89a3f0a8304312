"""The quantiles and budgets for which a report says what a selection with them would be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ifcurate.selection.settings import Budget
from ifcurate.selection.table import Selection

QUANTILES = (0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)
SHARES = tuple(
    f"{steps * 10**power:.10g}%"
    for power in (-2, -1, 0, 1)
    for steps in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
    if steps * 10**power <= 25
)
"""From 0.01 % to 25 % of the corpus, so close that a budget between two of them is bounded by theirs."""


@dataclass(frozen=True)
class Grid:
    """Quantiles and budgets, both ascending, those of the run among them.

    Attributes:
        quantiles: of the influence of all tokens; one, which is not read, where tau was given or found otherwise.
        budgets: as they are given to `ifcurate select`.
        budget_tokens: the same in tokens, no two alike.
        own: the numbers of the run's own quantile and budget.
    """

    quantiles: tuple[float, ...]
    budgets: tuple[str, ...]
    budget_tokens: tuple[int, ...]
    own: tuple[int, int]


def make_grid(quantile: float, budget: str | int, tokens: int, quantiles: Sequence[float] = QUANTILES) -> Grid:
    """The grid around a run's own choice, for a corpus of `tokens`."""
    given = {Budget.parse(share).of(tokens): share for share in reversed(SHARES)}
    given[Budget.parse(budget).of(tokens)] = str(budget)
    budgets = sorted(given.items())
    all_quantiles = tuple(sorted({*quantiles, quantile}))
    own_budget = next(index for index, (_, said) in enumerate(budgets) if said == str(budget))
    return Grid(
        all_quantiles,
        tuple(said for _, said in budgets),
        tuple(count for count, _ in budgets),
        (all_quantiles.index(quantile), own_budget),
    )


def own_choice(selections: Sequence[Selection]) -> Grid:
    """The one choice of a run whose documents were screened, as what others would hold is not known, or whose tau is no
    quantile.

    Its budget is the most that was selected for a behaviour, since what documents without a score hold is a part of the
    one that was given.
    """
    most = max(selection.tokens_selected for selection in selections)
    return Grid((selections[0].quantile,), (str(selections[0].budget),), (most,), (0, 0))
