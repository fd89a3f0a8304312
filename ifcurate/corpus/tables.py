"""Rows from any table, and the value at a dotted path of a row.

A table is a file, folder, glob or fsspec URL of shards, or the id of a dataset on the Hugging Face Hub.
What exists on disk, or is written like a path, is never looked up on the Hub.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ifcurate.corpus.formats import FORMATS
from ifcurate.corpus.shards import list_shards, open_shard
from ifcurate.errors import InputError, first_line

Row = dict[str, Any]

PLAIN_WORD = re.compile(r"\w[\w.-]*")
"""Names of tables and models: they become names of files and folders."""


def read_rows(source: str, split: str = "train") -> list[Row]:
    """Every row of the table at `source`, in order; `split` picks the split of a dataset on the Hub.

    Raises:
        InputError: there is no such table, it cannot be read, or it has no row.
    """
    rows = _local_rows(source) if is_local(source) else _hub_rows(source, split)
    if not rows:
        raise InputError(f"{source}: holds no row; give a table that does.")
    return rows


def is_local(source: str) -> bool:
    """Whether `source` names files rather than a dataset on the Hub (`name` or `owner/name`)."""
    looks_like_path = source.endswith(tuple(FORMATS)) or source.startswith(("/", ".", "~")) or source.count("/") > 1
    return looks_like_path or "://" in source or "*" in source or Path(source).exists()


def table_name(source: str) -> str:
    """A short name of a table for files and reports: `bold` for `prompts/bold.jsonl` and for `AmazonScience/bold`."""
    name = source.rstrip("/").rsplit("/", 1)[-1]
    suffix = next((suffix for suffix in FORMATS if name.endswith(suffix)), "")
    return name.removesuffix(suffix) or name


def named_place(given: str) -> tuple[str | None, str]:
    """Name and place of `NAME=PLACE`; no name where there is no `=`, or where it belongs to the place.

    It does where what stands before it is no plain word, or where all of `given` exists: `runs/lr=3e-4`, `lang=en/`.
    """
    name, equals, place = given.partition("=")
    if not equals or not PLAIN_WORD.fullmatch(name) or Path(given).exists() or any(Path().glob(given)):
        return None, given
    return name, place


def value_at(row: Row, path: str) -> Any:
    """The value at a dotted path: `prompt`, `prompt.text`, or `prompts.0` for the first element of a list.

    A column whose own name contains the dots comes first. None where a step leads nowhere.
    """
    if path in row:
        return row[path]
    value: Any = row
    for step in path.split("."):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def has_path(rows: Sequence[Row], path: str) -> bool:
    """Whether any of `rows` has a value at `path`."""
    return any(value_at(row, path) is not None for row in rows)


def text_at(row: Row, path: str, source: str, number: int) -> str:
    """The string at `path` in row `number` of `source`.

    Raises:
        InputError: there is none, or it is not a string; names file, row and column.
    """
    value = value_at(row, path)
    if not isinstance(value, str):
        what = "null" if value is None else f"not a string but {type(value).__name__}"
        raise InputError(f"{source}, row {number} (counted from 0): {path!r} is {what}; fill or remove the row.")
    return value


def missing_column(source: str, rows: Sequence[Row], wanted: str, option: str) -> InputError:
    """The error for a table without a column, naming those it has."""
    columns = ", ".join(rows[0])
    return InputError(f"{source}: has no {wanted}; name the column with {option} (there are: {columns}).")


def _local_rows(source: str) -> list[Row]:
    readers = [open_shard(shard) for shard in list_shards(source)]
    return [row for reader in readers for batch in reader.batches() for row in batch.to_pylist()]


def _hub_rows(source: str, split: str) -> list[Row]:
    from datasets import load_dataset

    try:
        return list(load_dataset(source, split=split))
    except Exception as error:  # datasets and the Hub client raise many unrelated types here
        raise InputError(
            f"{source}: is no file here and cannot be loaded from the Hub, split {split!r} ({first_line(error)}); "
            "give a file, folder or glob, or the id of a dataset."
        ) from error
