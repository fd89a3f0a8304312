"""A comparison of two models, as `ifcurate eval` writes it, without any model."""

from __future__ import annotations

from pathlib import Path

from ifcurate.evaluation.bootstrap import Interval
from ifcurate.evaluation.compared import Comparison, Difference, Row
from ifcurate.evaluation.comparison_files import write_comparison
from ifcurate.evaluation.metrics import ALL, Measurement


def row(model: str, emt: float, perplexity: float) -> Row:
    around = [Interval(value, value * 0.9, value * 1.1) for value in (emt, emt * 0.8, perplexity, 1.0, 0.4, 0.5)]
    return Row(
        model=model,
        prompts="held_out",
        classifier="words",
        count=100,
        emt=around[0],
        tp=around[1],
        min_new_tokens=1,
        empty_share=0.01,
        toxic_share=emt,
        repeated_share=0.02,
        perplexity=around[2],
        bits_per_byte=around[3],
        word_accuracy=None,
        token_accuracy=None,
        trade_off=None,
    )


def write_small_comparison(folder: Path) -> Comparison:
    fell = Measurement(ALL, "toxic", 100, Interval(-0.4, -0.5, -0.3), Interval(-0.3, -0.4, -0.2))
    found = Comparison(
        (row("before </td><b>", 0.6, 31.0), row("after", 0.2, 32.5)),
        (Difference("after", "before </td><b>", "held_out", "words", "toxic", fell),),
    )
    write_comparison(found, folder)
    return found
