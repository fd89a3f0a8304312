from __future__ import annotations

import io

import pytest
from rich.console import Console
from scored_texts import scored

from ifcurate.report.scored_text import Inspection, ScoredPiece, ScoredText
from ifcurate.report.terminal import LOWERS, RAISES, SELECTED, coloured, plain, style_of

HOSTILE = "[red]\x1b[2J :smile: vile"


def hostile(selected: bool = True) -> Inspection:
    """A text full of markup and controls whose last word is selected."""
    text = scored(HOSTILE, (0, 17, -0.5), (17, len(HOSTILE), 2), selected=[False, True] if selected else None)
    return Inspection("toxic", [ScoredText(("id \x1b[0m\n", "rank 0.5"), text.text, text.scored, text.selected)], 2.0)


def on_terminal(inspection: Inspection) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="truecolor", markup=False, highlight=False, width=90)
    for text in coloured(inspection):
        console.print(text)
    return out.getvalue()


def test_colours_mark_tokens_and_nothing_of_a_text_reaches_the_terminal() -> None:
    shown = on_terminal(hostile())
    assert r"[red]\x1b[2J :smile:" in shown
    assert "\x1b[1;4;38;2;255;255;255;48;2;203;24;29m vile\x1b[0m" in shown
    assert r"id \x1b[0m\n · rank 0.5" in shown
    assert "\x1b[2J" not in shown
    assert "darkest from 2, which is tau, on" in shown


def test_plain_lines_mark_what_is_selected() -> None:
    assert list(plain(hostile())) == [r"id \x1b[0m\n · rank 0.5", r"[red]\x1b[2J :smile: **vile**", ""]


def test_plain_lines_without_a_selection_are_one_a_token() -> None:
    _, *lines = plain(hostile(selected=False))
    assert lines == ["-0.5\t[red]\\x1b[2J :smile:", "+2\t vile", ""]
    assert "selected" not in on_terminal(hostile(selected=False))


@pytest.mark.parametrize(
    ("influence", "style"),
    [
        (0.05, ""),
        (0.1, RAISES[0]),
        (0.3, RAISES[1]),
        (0.99, RAISES[2]),
        (7.0, RAISES[3]),
        (-0.5, LOWERS[2]),
        (0.0, ""),
        (None, ""),
    ],
)
def test_the_colour_is_that_of_the_influence(influence: float | None, style: str) -> None:
    assert style_of(ScoredPiece("x", influence), 1.0) == style
    assert style_of(ScoredPiece("x", influence, selected=True), 1.0) == f"{SELECTED} {style}".strip()
