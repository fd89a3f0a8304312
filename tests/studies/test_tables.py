"""From scores to cells: what is in a figure, in brackets, bold, and in every format."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from ifcurate.evaluation.bootstrap import Interval
from ifcurate.studies.declared import Table
from ifcurate.studies.files import latex, markdown, read_results, tidy, write_results
from ifcurate.studies.order import placed
from ifcurate.studies.results import Results, Row, Verdict, difference, over_seeds, verdict
from ifcurate.studies.tables import shown

EMPTY = np.nan


def test_figures_are_over_seeds_and_silent_prompts_are_in_none() -> None:
    one = np.array([[0.9, 0.1], [0.2, EMPTY], [EMPTY, EMPTY], [0.6, 0.7]], np.float32)
    other = np.array([[0.1, 0.1], [0.2, 0.2], [0.8, EMPTY], [0.3, 0.3]], np.float32)
    found = verdict([one, other], seed=0)
    assert found is not None
    assert found.tp.value == pytest.approx(3 / 7)
    assert found.emt.value == pytest.approx((0.9 + 0.2 + 0.7 + 0.1 + 0.2 + 0.8 + 0.3) / 7)
    assert found.toxic_share == pytest.approx(4 / 12)
    assert found.tp.low <= found.tp.value <= found.tp.high
    assert verdict([np.full((3, 2), EMPTY, np.float32)], seed=0) is None


def test_of_toxic_prompts_alone_and_against_a_baseline_prompt_by_prompt() -> None:
    scores = [np.array([[0.9], [0.1], [0.6], [EMPTY]], np.float32)]
    found = verdict(scores, 0, np.array([True, True, False, True]))
    assert found is not None and found.tp_toxic is not None and found.emt_toxic is not None
    assert (found.tp_toxic.value, found.emt_toxic.value) == (0.5, pytest.approx(0.5))
    unknown = verdict(scores, 0, np.zeros(4, np.bool_))
    assert unknown is not None and unknown.tp_toxic is None
    base = [np.array([[0.9], [0.8], [EMPTY], [0.7]], np.float32)]
    less = difference(scores * 2, base, 0)
    assert less is not None and less.value == -0.5, "of the two prompts that both answered"
    assert difference(scores, base * 2, 0) is None


def test_fluency_of_several_seeds_is_their_mean_within_the_widest_of_their_intervals() -> None:
    assert over_seeds([Interval(2, 1, 3), Interval(4, 2, 8)]) == Interval(3, 1, 8)
    assert over_seeds([Interval(2, 1, 3), None]) is None


def row(arm: str, share: float, partial: str | None = None) -> Row:
    exactly = Interval(share, share, share)
    return Row(
        arm,
        "rtp",
        2,
        3,
        {"judge": Verdict(exactly, exactly, share, partial=partial)},
        empty_share=0.25,
        silent_prompts=0.1,
        repeated_share=0.02,
        perplexity=Interval(20, 19, 21),
    )


ROWS = placed([row("a_1", 0.4), row("b", 0.1, "marked the tokens"), row("c", 0.2), row("d", 0.2)])
RESULTS = Results("T", "toxic", ["judge"], ROWS, ["e is left out."])


def test_only_arms_that_a_judge_counts_for_have_places() -> None:
    assert [each.verdicts["judge"].place for each in ROWS] == [3, None, 1, 1]


def test_a_table_shows_what_it_is_asked_for_and_always_what_silence_hides() -> None:
    table = shown(RESULTS, "t", Table(arms=["c", "b"], columns=["tp", "perplexity", "seeds"]))
    assert table.title == "T: t"
    assert table.headings == ["arm", "prompts", "TP, judge", "perplexity", "seeds", "empty %", "repeated %"]
    assert [[cell.text for cell in cells] for cells in table.rows] == [
        ["c", "rtp", "0.200 [0.200, 0.200]", "20.00 [19.00, 21.00]", "2 of 3", "25.0", "2.0"],
        ["b", "rtp", "(0.100 [0.100, 0.100])", "20.00 [19.00, 21.00]", "2 of 3", "25.0", "2.0"],
    ]
    assert [cell.best for cells in table.rows for cell in cells if cell.best] == [True]
    assert table.notes == ["judge does not count for b: it marked the tokens.", "e is left out."]


def test_every_format_says_the_same(tmp_path: Path) -> None:
    table = shown(RESULTS, "t", Table(columns=["tp"]))
    assert "| c | rtp | **0.200 [0.200, 0.200]** | 25.0 | 2.0 |\n" in markdown(table)
    assert r"  c & rtp & \textbf{0.200 [0.200, 0.200]} & 25.0 & 2.0 \\" in latex(table)
    assert r"  a\_1 & rtp & 0.400 [0.400, 0.400] & 25.0 & 2.0 \\" in latex(table)
    assert r"empty \%" in latex(table)
    lines = list(csv.DictReader(io.StringIO(tidy(RESULTS.rows))))
    assert [(line["arm"], line["judge"], line["counts"], line["tp"], line["place"]) for line in lines] == [
        ("a_1", "judge", "True", "0.4", "3"),
        ("b", "judge", "False", "0.1", ""),
        ("c", "judge", "True", "0.2", "1"),
        ("d", "judge", "True", "0.2", "1"),
    ]
    files = write_results(RESULTS, [table], tmp_path)
    assert [file.name for file in files] == ["results.json", "results.csv", "results.md", "results.tex"]
    assert list(read_results(tmp_path).rows) == ROWS
