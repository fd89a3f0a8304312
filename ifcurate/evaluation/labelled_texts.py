"""Texts that people labelled, and the ones of them that a classifier is not trained on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ifcurate.corpus.tables import has_path, missing_column, read_rows, text_at, value_at
from ifcurate.errors import InputError

VALUES_NAMED = 10
"""Labels that an error lists."""


@dataclass(frozen=True)
class LabelledTexts:
    """Texts, and whether each is positive: bool [texts]; `left_out` rows have neither of two labels that are named."""

    texts: list[str]
    positive: NDArray[np.bool_]
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.texts)

    def hash(self) -> str:
        """Hex SHA-256 of texts and labels, in order."""
        digest = hashlib.sha256(np.packbits(self.positive).tobytes())
        for text in self.texts:
            encoded = text.encode("utf-8", "surrogatepass")
            digest.update(len(encoded).to_bytes(8, "little") + encoded)
        return digest.hexdigest()

    def where(self, chosen: NDArray[np.bool_]) -> LabelledTexts:
        """Those that are `chosen`."""
        return LabelledTexts([self.texts[index] for index in np.flatnonzero(chosen)], self.positive[chosen])

    def has_both(self) -> bool:
        """Whether there are positive and negative ones."""
        return bool(self.positive.any() and not self.positive.all())


def read_labelled(
    source: str,
    split: str,
    text_column: str,
    label_column: str,
    positive: str | None = None,
    negative: str | None = None,
) -> LabelledTexts:
    """The rows of the table at `source`.

    Args:
        source: as `read_rows` takes it, with its `split`.
        split: of a data set on the Hub.
        text_column: of strings, dotted where nested.
        label_column: of 0 and 1, or true and false, dotted where nested.
        positive: the label that is positive, where labels are something else.
        negative: the label that is negative then; rows with neither are left out. By default all others are negative.

    Raises:
        InputError: a column is missing, a text is empty, a label is missing or none, or all labels are the same.
    """
    rows = read_rows(source, split)
    for column, option in ((text_column, "--text-column"), (label_column, "--label-column")):
        if not has_path(rows, column):
            raise missing_column(source, rows, f"column {column!r}", option)
    texts, labels = [], []
    for number, row in enumerate(rows):
        where = f"{source}, row {number} (counted from 0)"
        label = _is_positive(value_at(row, label_column), positive, negative, f"{where}: {label_column!r}")
        if label is None:
            continue
        text = text_at(row, text_column, source, number)
        if not text.strip():
            raise InputError(f"{where}: {text_column!r} is empty, so there is nothing to judge; remove the row.")
        texts.append(text)
        labels.append(label)
    found = LabelledTexts(texts, np.array(labels, np.bool_), len(rows) - len(texts))
    if not found.has_both():
        values = sorted({str(value_at(row, label_column)) for row in rows})
        raise InputError(
            f"option --label-column: {source} has {int(found.positive.sum()):,} positive and "
            f"{int((~found.positive).sum()):,} negative rows (labels: {', '.join(values[:VALUES_NAMED])}), so nothing "
            "can be told apart; give rows of both kinds, or other labels as --positive and --negative."
        )
    return found


def hold_out_texts(labelled: LabelledTexts, share: float, seed: int) -> tuple[LabelledTexts, LabelledTexts]:
    """Those to train on and those to hold out, about a `share`; which is which depends on text and seed alone.

    So equal texts stand on one side, and a row stays where it is when others are added.

    Raises:
        InputError: a side has no positive or no negative text.
    """
    held_out = np.array([_draw(text, seed) < share for text in labelled.texts], np.bool_)
    sides = labelled.where(~held_out), labelled.where(held_out)
    for name, side in zip(("trained on", "held out"), sides, strict=True):
        if not side.has_both():
            raise InputError(
                f"option --held-out: of {len(labelled):,} texts {len(side):,} are {name}, and they are not of both "
                "labels; give another share, or more rows."
            )
    return sides


def _is_positive(value: Any, positive: str | None, negative: str | None, where: str) -> bool | None:
    """Whether a label is positive; None where it is neither of those that are named."""
    if value is None:
        raise InputError(f"{where} is null, which is no label; fill or remove the row.")
    if positive is not None:
        return str(value) == positive if negative is None or str(value) in (positive, negative) else None
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    raise InputError(f"{where} is {value!r}, neither 0 nor 1; name the label that is positive with --positive.")


def _draw(text: str, seed: int) -> float:
    """A number in [0, 1) that is the same for the same text and seed."""
    digest = hashlib.sha256(f"{seed}:".encode() + text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / (1 << 48)
