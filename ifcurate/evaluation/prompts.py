"""Prompts to complete, with what is known of each: whether it is toxic itself, and its group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ifcurate.corpus.tables import Row, has_path, missing_column, named_place, read_rows, table_name, text_at, value_at
from ifcurate.errors import InputError
from ifcurate.progress import log

HUB_IDS = {"rtp": "allenai/real-toxicity-prompts", "bold": "AmazonScience/bold", "attaq": "ibm-research/AttaQ"}
"""Short names of published prompt sets."""


@dataclass(frozen=True)
class PromptColumns:
    """Dotted paths of the columns of a table of prompts; those that are None are not there."""

    text: str
    toxicity: str | None = None
    group: str | None = None


LAYOUTS = (
    PromptColumns("prompt.text", toxicity="prompt.toxicity"),
    PromptColumns("prompts.0", group="domain"),
    PromptColumns("prompt", toxicity="prompt_toxicity", group="domain"),
    PromptColumns("input", group="label"),
)
"""RealToxicityPrompts, BOLD (its first prompt), plain tables, AttaQ: the first that fits is taken."""


@dataclass(frozen=True)
class Prompt:
    """A text to complete; `toxic` and `group` are None where nothing is known."""

    text: str
    toxic: bool | None = None
    group: str | None = None


@dataclass(frozen=True)
class PromptSet:
    """Prompts in the order of their table, under the table's short name."""

    name: str
    prompts: tuple[Prompt, ...]


def read_prompts(
    source: str,
    *,
    split: str = "train",
    text_column: str | None = None,
    toxicity_column: str | None = None,
    group_column: str | None = None,
    toxic_from: float = 0.5,
) -> PromptSet:
    """The prompts of a table.

    Args:
        source: `rtp`, `bold`, `attaq`, the id of a dataset on the Hub, or files; `NAME=SOURCE` names the set.
        split: of a dataset on the Hub.
        text_column: path of the prompt; by default that of the first of `LAYOUTS` that fits.
        toxicity_column: path of what tells toxic prompts: booleans, or numbers that mean toxic from `toxic_from` on.
        group_column: path of the group a prompt belongs to.
        toxic_from: threshold on numbers in `toxicity_column`.

    Raises:
        InputError: the table holds no prompt, a column is not there, or a value has the wrong type.
    """
    name, place = named_place(source)
    place = HUB_IDS.get(place.lower(), place)
    rows = read_rows(place, split)
    columns = _columns(place, rows, text_column, toxicity_column, group_column)
    prompts = tuple(
        Prompt(
            text_at(row, columns.text, place, number),
            _toxic(row, columns.toxicity, toxic_from, place, number),
            _group(row, columns.group),
        )
        for number, row in enumerate(rows)
    )
    return PromptSet(name or table_name(place), prompts)


def sample_prompts(prompts: PromptSet, count: int | None, seed: int, balanced: bool = False) -> PromptSet:
    """`count` prompts drawn without replacement, in the order of the table; all of them where there are no more.

    With `balanced`, exactly half of them toxic and half not, as the paper evaluates; without a `count`, as many as
    the smaller side has.

    Raises:
        InputError: `balanced`, and `count` is odd, a side has too few, or nothing is known of the prompts' toxicity.
    """
    pools = [list(range(len(prompts.prompts)))]
    if balanced:
        pools = [[i for i in pools[0] if prompts.prompts[i].toxic is toxic] for toxic in (True, False)]
        count = _balanced_count(prompts.name, [len(pool) for pool in pools], count)
    if count is None:
        return prompts
    generator = np.random.default_rng(seed)
    drawn = [generator.permutation(pool)[: count // len(pools)] for pool in pools]
    return PromptSet(prompts.name, tuple(prompts.prompts[i] for i in np.sort(np.concatenate(drawn)).tolist()))


def _balanced_count(name: str, sizes: Sequence[int], count: int | None) -> int:
    """`count`, or the most that can be had, where both sides can give half of it."""
    most = 2 * min(sizes)
    if not most:
        raise InputError(
            f"option --balanced: {name} does not have both toxic and non-toxic prompts; "
            "name the column that tells with --toxicity-column, or leave the option out."
        )
    if count is None:
        log.info(f"{name}: {most:,} prompts, half of them toxic")
        return most
    if count % 2:
        raise InputError(f"option --sample: {count} has no two equal halves for --balanced; give an even number.")
    if count > most:
        raise InputError(
            f"option --sample: {count:,} balanced prompts cannot be drawn from the {sizes[0]:,} toxic and {sizes[1]:,} "
            f"non-toxic ones of {name}; give at most {most:,}."
        )
    return count


def _columns(
    source: str, rows: Sequence[Row], text: str | None, toxicity: str | None, group: str | None
) -> PromptColumns:
    layouts = LAYOUTS if text is None else [layout for layout in LAYOUTS if layout.text == text]
    found = next((layout for layout in layouts if has_path(rows, layout.text)), PromptColumns(text or ""))
    if not has_path(rows, found.text):
        raise missing_column(source, rows, f"prompts in a column {text or 'prompt'!r}", "--prompt-column")
    for given, option in ((toxicity, "--toxicity-column"), (group, "--group-column")):
        if given is not None and not has_path(rows, given):
            raise missing_column(source, rows, f"column {given!r}", option)
    return PromptColumns(found.text, toxicity or _present(rows, found.toxicity), group or _present(rows, found.group))


def _present(rows: Sequence[Row], path: str | None) -> str | None:
    return path if path is not None and has_path(rows, path) else None


def _toxic(row: Row, path: str | None, threshold: float, source: str, number: int) -> bool | None:
    value: Any = None if path is None else value_at(row, path)
    if value is None or isinstance(value, bool):
        return value
    if not isinstance(value, int | float) or not np.isfinite(value):
        raise InputError(
            f"{source}, row {number} (counted from 0): {path!r} is {value!r}; "
            "--toxicity-column needs booleans or finite numbers."
        )
    return bool(value >= threshold)


def _group(row: Row, path: str | None) -> str | None:
    value = None if path is None else value_at(row, path)
    return None if value is None else str(value)
