"""Texts of strangers on a terminal: what would move its cursor, colour it or reorder its letters is spelled out."""

from __future__ import annotations

import unicodedata

KEPT_IN_TEXT = frozenset("\n\t")
JOINERS = frozenset("\u200c\u200d")
"""Invisible, and part of how emoji and some scripts are written."""
SPELLED_OUT = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of controls, formatting (bidirectional overrides), surrogates, line and paragraph separators."""


def visible(text: str, kept: frozenset[str] = KEPT_IN_TEXT) -> str:
    r"""`text` with its control characters spelled out as Python does (`\x1b`, `\u202e`), but for those `kept`."""
    if text.isprintable():
        return text
    return "".join(_spelled(character, kept) for character in text)


def visible_line(text: str) -> str:
    r"""`visible` on one line: line ends and tabs are spelled out too (`\n`)."""
    return visible(text, frozenset())


def _spelled(character: str, kept: frozenset[str]) -> str:
    if character in kept or character in JOINERS or unicodedata.category(character) not in SPELLED_OUT:
        return character
    return character.encode("unicode_escape").decode("ascii")
