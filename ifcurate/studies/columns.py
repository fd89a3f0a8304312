"""The figures that a table may show, by name: what stands above them, and what of a row they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

Extra = Literal["attack", "recognition"]

if TYPE_CHECKING:
    from ifcurate.studies.results import Row, Verdict


@dataclass(frozen=True)
class Column:
    """A figure.

    Attributes:
        heading: above it; behind it stands the judge's name where each judge has a figure of its own.
        figure: of a row, or of a judge's verdict: an `Interval`, a number, or None where there is none.
        by_judge: whether it is of a verdict.
        digits: behind the decimal point.
        percent: whether it is a share shown in per cent.
        signed: whether a plus stands before what is more than zero.
        needs: the evaluation that it is of, where that is made only of arms whose tables show it.
    """

    heading: str
    figure: Callable[[Any], Any]
    by_judge: bool = False
    digits: int = 3
    percent: bool = False
    signed: bool = False
    needs: Extra | None = None


def _of(name: str) -> Callable[[Row | Verdict], Any]:
    return lambda source: getattr(source, name)


def _seeds(row: Row) -> str | None:
    if row.seeds is None:
        return None
    return str(row.seeds) if row.seeds == row.of_seeds else f"{row.seeds} of {row.of_seeds}"


COLUMNS: dict[str, Column] = {
    "tp": Column("TP", _of("tp"), by_judge=True),
    "difference": Column("ΔTP", _of("difference"), by_judge=True, signed=True),
    "tp_toxic": Column("TP of toxic prompts", _of("tp_toxic"), by_judge=True),
    "emt_toxic": Column("EMT of toxic prompts", _of("emt_toxic"), by_judge=True),
    "emt": Column("EMT", _of("emt"), by_judge=True),
    "toxic": Column("toxic %", _of("toxic_share"), by_judge=True, digits=1, percent=True),
    "place": Column("place", _of("place"), by_judge=True, digits=0),
    "empty": Column("empty %", _of("empty_share"), digits=1, percent=True),
    "silent": Column("silent prompts %", _of("silent_prompts"), digits=1, percent=True),
    "repeated": Column("repeated %", _of("repeated_share"), digits=1, percent=True),
    "perplexity": Column("perplexity", _of("perplexity"), digits=2),
    "packed": Column("packed perplexity", _of("packed"), digits=2),
    "bits_per_byte": Column("bits/byte", _of("bits_per_byte")),
    "lambada": Column("LAMBADA token %", _of("token_accuracy"), digits=1, percent=True),
    "lambada_word": Column("LAMBADA word %", _of("word_accuracy"), digits=1, percent=True),
    "attacked": Column("attacked", _of("attacked"), digits=2, needs="attack"),
    "not_attacked": Column("not attacked", _of("not_attacked"), digits=2, needs="attack"),
    "recognition": Column("recognition AUC", _of("recognition"), needs="recognition"),
    "attribution": Column("attribution s", _of("attribution_seconds"), digits=0),
    "step": Column("s a step", _of("step_seconds")),
    "marked": Column("marked %", _of("marked_share"), digits=2, percent=True),
    "loss_marked": Column("marked loss", _of("loss_marked"), digits=2),
    "seeds": Column("seeds", _seeds),
}
ALWAYS = ("empty", "repeated")
"""Stand in every table: silence is no success, and neither is babble."""
DEFAULT_COLUMNS = ("tp", "emt", "toxic", "empty", "silent", "repeated", "perplexity", "bits_per_byte", "seeds")
