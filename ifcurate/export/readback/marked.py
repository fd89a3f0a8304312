"""Texts that a reader gave back, and their comparison with those that were to be written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ifcurate.errors import InputError


class ReadText(NamedTuple):
    """A document by its text, or its id where the format has no texts, and the characters that are marked."""

    name: str
    spans: list[tuple[int, int]]


def compare(found: Sequence[ReadText], source: Sequence[ReadText], where: str) -> str:
    """Compare the first documents of a shard with those that were to be written.

    Returns:
        What was compared, as a clause.

    Raises:
        InputError: there are others, or other spans; names the first.
    """
    if len(found) != len(source):
        raise InputError(f"{where}: gives {len(found):,} documents, not {len(source):,}; export again.")
    for row, (one, wanted) in enumerate(zip(found, source, strict=True)):
        if one != wanted:
            what = "another text" if one.name != wanted.name else f"spans {one.spans}, not {wanted.spans}"
            raise InputError(f"{where}: row {row:,} (counted from 0) comes back with {what}; export again.")
    characters = sum(end - start for document in found for start, end in document.spans)
    return f"{len(found):,} documents are the source's, with {characters:,} characters marked in them"
