"""Whatever the tokens are, all of the text is shown, once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from scored_texts import scored

from ifcurate.report.scored_text import Inspection, Piece, ScoredPiece


def test_tokens_that_share_a_character_are_one_piece_with_the_highest_influence() -> None:
    text = scored("a 👍 b", (0, 1, 1), (2, 3, -1), (2, 3, 3), (3, 3, 9), (3, 5, 0.5), selected=[True, *[False] * 4])
    assert list(text.pieces()) == [
        ScoredPiece("a", 1, True),
        ScoredPiece(" "),
        ScoredPiece("👍", 3),
        ScoredPiece(" b", 0.5),
    ]
    assert [token for token, _ in text.tokens()] == ["a", "👍", "👍", "", " b"]


@given(st.text(max_size=20), st.lists(st.tuples(st.integers(0, 20), st.integers(0, 4), st.booleans()), max_size=12))
def test_the_pieces_and_the_runs_are_the_text(text: str, drawn: list[tuple[int, int, bool]]) -> None:
    ranges = sorted((min(start, len(text)), min(start + size, len(text))) for start, size, _ in drawn)
    tokens = [(start, end, 1.0) for start, end in ranges]
    shown = scored(text, *tokens, selected=[selected for *_, selected in drawn])
    assert "".join(piece.text for piece in shown.pieces()) == text
    assert "".join(piece.text for piece in shown.selected_runs()) == text


def test_selected_runs_leave_white_space_outside_and_bridge_it() -> None:
    text = scored(
        "so you vile  lot.",
        (0, 2, 0),
        (2, 6, 1),
        (7, 11, 1),
        (11, 16, 1),
        (16, 17, 0),
        selected=[False, True, True, True, False],
    )
    assert text.selected_runs() == [Piece("so ", False), Piece("you vile  lot", True), Piece(".", False)]


def test_the_darkest_colour_begins_at_tau_or_at_the_largest_shown() -> None:
    texts = [scored("ab", (0, 1, 1), (1, 2, -4)), scored("")]
    assert Inspection("toxic", texts, tau=2.5).darkest == 2.5
    assert Inspection("toxic", texts, tau=-1.0).darkest == 4
    assert Inspection("toxic", texts).darkest == 4
    assert Inspection("toxic", []).darkest == 0
