"""A study from its YAML file: keys set from outside, places filled in, paths beside the file, one sentence an error."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ifcurate.config import CREDENTIALS, read_yaml
from ifcurate.errors import InputError
from ifcurate.studies.declared import Study

PLACES, EXTENDS = "places", "extends"
OF_A_QUESTION = "{text}"
"""Where the text goes in the question of `recognition`; no place, unless one is called so."""
_PLACE = re.compile(r"\{(\w[\w.,=%+-]*)\}")
_BESIDE = re.compile(r"(^|(?<=[:=]))(?=\.{1,2}/)")
"""Where a path begins that is relative: at the start of a value, or behind the colon or equals sign in `hf:./judge` and
`rtp=./prompts.jsonl`."""


def read_study(file: Path, overrides: Sequence[str] = ()) -> Study:
    """The study that `file` declares.

    Values that begin with `./` or `../` are paths beside the file; in `overrides` they are where the command runs.

    Args:
        file: YAML.
        overrides: `KEY=VALUE`, keys dotted (`training.max_steps=10`), values as in YAML; they replace what the file
            says.

    Raises:
        InputError: the file cannot be read, a key is unknown, a value does not fit or a place is not given; names file
            and key.
    """
    content = _extended(file)
    for override in overrides:
        _set(content, override)
    places = content.get(PLACES) or {}
    if not isinstance(places, dict):
        raise InputError(f"{file}: {PLACES}: must be names with folders.")
    try:
        return Study(**_filled(content, places, file))
    except ValidationError as error:
        raise InputError(_sentence(error, file)) from error


def _extended(file: Path, below: frozenset[Path] = frozenset()) -> dict[str, Any]:
    """What `file` says, over what the file says that it extends: mappings key by key, all else as a whole.

    Raises:
        InputError: a file cannot be read, or extends itself.
    """
    if file.resolve() in below:
        raise InputError(f"{file}: {EXTENDS}: leads back to itself.")
    content = _beside(read_yaml(file), file.resolve().parent)
    other = content.pop(EXTENDS, None)
    return content if other is None else _over(_extended(Path(other), below | {file.resolve()}), content)


def _over(under: Any, over: Any) -> Any:
    if not (isinstance(under, dict) and isinstance(over, dict)):
        return over
    both = {name: _over(under[name], value) if name in under else value for name, value in over.items()}
    return {**under, **both}


def _set(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not all(key.split(".")):
        raise InputError(f"option --set: {override!r} is not KEY=VALUE, such as training.max_steps=10.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"option --set: the value of {override!r} is not YAML; quote it.") from error
    *above, last = key.split(".")
    for step in above:
        content = content.setdefault(step, {})
        if not isinstance(content, dict):
            raise InputError(f"option --set: {key!r} leads into {step!r}, which has no keys of its own.")
    content[last] = _beside(value, Path.cwd())


def _beside(value: Any, folder: Path) -> Any:
    """`value` with relative paths in it, which begin with a dot and a slash, made absolute from `folder`."""
    if isinstance(value, str):
        place = _BESIDE.search(value)
        if place is None:
            return value
        return value[: place.start()] + str((folder / value[place.start() :]).absolute())
    return _each(value, lambda inner: _beside(inner, folder))


def _filled(value: Any, places: Mapping[str, Any], file: Path) -> Any:
    """`value` with what `{NAME}` stands for in the place of it."""

    def place_of(found: re.Match[str]) -> str:
        name = found[1]
        if name not in places and found[0] == OF_A_QUESTION:
            return found[0]
        if name not in places:
            raise InputError(f"{file}: {found[0]} stands for nothing; name it under `{PLACES}`.")
        if places[name] is None:
            raise InputError(f"{file}: {PLACES}.{name} is not given; add --set {PLACES}.{name}=FOLDER.")
        return str(places[name])

    if isinstance(value, str):
        return _PLACE.sub(place_of, value)
    return _each(value, lambda inner: _filled(inner, places, file))


def _each(value: Any, change: Any) -> Any:
    if isinstance(value, dict):
        return {name: change(inner) for name, inner in value.items()}
    return [change(inner) for inner in value] if isinstance(value, list) else value


def _sentence(error: ValidationError, file: Path) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"] if part != "[key]")
    where = f"{file}: {key}" if key else str(file)
    if first["type"] == "extra_forbidden":
        return f"{where}: there is no such key in a study; remove it or correct its spelling."
    if first["type"] == "missing":
        return f"{where}: is required; write it into the file, or give --set {key}=VALUE."
    problem = first["msg"].removeprefix("Value error, ")
    shown = "" if first["type"] in (CREDENTIALS, "value_error") else f" (got {first['input']!r})"
    return f"{where}: {problem}{shown}."
