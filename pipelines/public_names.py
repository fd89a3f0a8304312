"""What is told to others of where things are: names, without the folders of the machine that a run was made on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PLACES = frozenset({"model", "tokenizer", "corpus", "queries", "contrast", "direction", "run", "student"})
"""Keys whose values are places."""


def public_name(place: str) -> str:
    """`place` as it is where it is a URL or an id on the Hub; of a local path its last part."""
    if "://" in place or not (place.startswith(("/", ".", "~")) or Path(place).exists()):
        return place
    return Path(place).resolve().name


def without_folders(said: Any, model: str | None = None) -> Any:
    """`said`, whatever JSON it is, with the public name of every place in it; `model` is what the model is called."""
    said = json.loads(json.dumps(said))
    return _renamed(said, {"model": model, "tokenizer": model} if model is not None else {})


def _renamed(said: Any, names: Mapping[str, str | None]) -> Any:
    if isinstance(said, list):
        return [_renamed(entry, names) for entry in said]
    if not isinstance(said, dict):
        return said
    renamed: dict[str, Any] = {}
    for key, value in said.items():
        if key in PLACES and isinstance(value, str):
            renamed[key] = names.get(key) or public_name(value)
        elif key in PLACES and isinstance(value, list) and all(isinstance(place, str) for place in value):
            renamed[key] = [public_name(place) for place in value]
        else:
            renamed[key] = _renamed(value, names)
    return renamed
