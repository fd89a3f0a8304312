from hypothesis import given
from hypothesis import strategies as st

from ifcurate.report.scored_text import Piece, cut_text


@given(st.text(max_size=30), st.lists(st.integers(0, 30), max_size=8))
def test_pieces_are_the_text_and_the_marked_ones_are_the_spans(text, borders):
    places = sorted({min(border, len(text)) for border in borders})
    spans = list(zip(places[::2], places[1::2], strict=False))
    pieces = cut_text(text, spans)
    assert "".join(piece.text for piece in pieces) == text
    assert [piece.text for piece in pieces if piece.selected] == [text[start:end] for start, end in spans]


def test_a_text_without_spans_is_one_piece():
    assert cut_text("calm", []) == [Piece("calm", False)]
    assert cut_text("", []) == []
