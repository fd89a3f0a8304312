from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ifcurate.report.visible import visible, visible_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("calm [red]text[/red] :smile:\n\tnext", "calm [red]text[/red] :smile:\n\tnext"),
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("\x9b31m\r\n\x7f", "\\x9b31m\\r\n\\x7f"),
        ("a\u202egnp.exe\u2028\ud800", r"a\u202egnp.exe\u2028\ud800"),
        ("日本 👩‍👧 é", "日本 👩‍👧 é"),
    ],
)
def test_controls_are_spelled_out_and_all_else_stays(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_a_line_holds_no_control(text: str) -> None:
    shown = visible_line(text)
    assert [c for c in shown if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}] == []
    assert shown.encode("utf-8").decode("utf-8") == shown
