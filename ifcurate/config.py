"""Typed settings: strict YAML in, strict YAML out, one sentence for whatever does not fit."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from ifcurate.credentials import REMEDY, has_credentials, masked
from ifcurate.errors import InputError
from ifcurate.files import write_text

Settings = TypeVar("Settings", bound="Config")

PROVENANCE_KEY = "ifcurate"
"""Top-level key of a saved file that holds versions and counts, not settings; loading ignores it."""


CREDENTIALS = "credentials"
"""Kind of the error of a value that must not be repeated."""

ALIASES = "aliases"
"""Key of a field's `json_schema_extra`: further names of its option, for those who know another tool's."""


class Config(BaseModel):
    """Base of every command's settings: frozen, no unknown keys.

    A setting is declared once, as a field: its type, default, bounds, `description` and aliases. The command line makes
    its options from the fields (`ifcurate.cli.declared`), YAML files have their names.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=False)

    panel: ClassVar[str | None] = None
    """Heading of the fields that a class declares, in the help."""

    @classmethod
    def panel_of(cls, name: str) -> str | None:
        """The heading of field `name`: that of the class that declares it."""
        declaring = next(base for base in cls.__mro__ if name in inspect.get_annotations(base))
        return vars(declaring).get("panel")

    @property
    def only_looks(self) -> bool:
        """Whether the command makes nothing, and so needs no folder for itself."""
        return False

    @field_validator("*", mode="before")
    @classmethod
    def _holds_no_credentials(cls, value: Any) -> Any:
        """Settings are written into what they made."""
        texts = value if isinstance(value, list | tuple) else [value]
        for text in texts:
            if isinstance(text, str) and has_credentials(text):
                raise PydanticCustomError(CREDENTIALS, "holds credentials ({masked}); {remedy}", _shown(text))
        return value


class Restartable(Config):
    """Settings of a command that continues what it finds in its output folder, unless it is told to start anew."""

    overwrite: bool = Field(
        False, exclude=True, description="start anew: delete what this command left in --out before"
    )


def build(
    kind: type[Settings],
    given: Mapping[str, Any],
    file: Path | None = None,
    presets: Mapping[str, Mapping[str, Any]] | None = None,
) -> Settings:
    """Settings of `kind` from an optional YAML `file`, overridden by the values of `given` that are not None.

    Where the setting `preset` names one of `presets`, its values come before the defaults; where it is among `given`,
    before the file's values too. One value where a list is wanted is a list of it.

    Raises:
        InputError: the file is not YAML, has an unknown key, or a value does not fit; names file and option.
    """
    stored: dict[str, Any] = dict(read_yaml(file)) if file is not None else {}
    stored.pop(PROVENANCE_KEY, None)
    wanted = {name: value for name, value in given.items() if value is not None}
    named, newly_named = (_preset(where, presets or {}) for where in (stored, wanted))
    merged = {**named, **stored, **newly_named, **wanted}
    try:
        return kind(**{name: _listed(kind, name, value) for name, value in merged.items()})
    except ValidationError as error:
        raise InputError(_sentence(error, file)) from error


def _shown(text: str) -> dict[str, str]:
    return {"masked": masked(text), "remedy": REMEDY}


def _preset(settings: Mapping[str, Any], presets: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    name = settings.get("preset")
    return presets.get(name, {}) if isinstance(name, str) else {}


def _listed(kind: type[Config], name: str, value: Any) -> Any:
    """`value`, or a list of it where only a list fits: `penalty: 1` in YAML means what `--penalty 1` does."""
    field = kind.model_fields.get(name)
    wants_list = field is not None and get_origin(field.annotation) is list
    if not wants_list or value is None or isinstance(value, list | tuple):
        return value
    return [str(value)]


def read_yaml(file: Path) -> dict[str, Any]:
    """The mapping at the top of a YAML file.

    Raises:
        InputError: the file is missing, not YAML, or not a mapping.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{file}: cannot be read as YAML ({reason}); give a file of `option: value` lines.") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"{file}: holds no `option: value` lines; write one option a line.")
    return {"on" if name is True else name: value for name, value in content.items()}  # what YAML 1.1 makes of `on:`


def read_provenance(file: Path, *needed: str) -> dict[str, Any]:
    """What `save` was told beside the settings.

    Raises:
        InputError: the file cannot be read, or says nothing under one of the names `needed`.
    """
    stored = read_yaml(file).get(PROVENANCE_KEY)
    found = stored if isinstance(stored, dict) else {}
    for name in needed:
        if name not in found:
            raise InputError(f"{file}: lacks `{PROVENANCE_KEY}: {name}`, what it was made from; make it anew.")
    return found


def save(settings: Config, path: Path, provenance: Mapping[str, Any]) -> None:
    """Write every setting, defaults included, and `provenance` under its own key; `build` reads it back."""
    content = {**settings.model_dump(mode="json"), PROVENANCE_KEY: dict(provenance)}
    write_text(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _sentence(error: ValidationError, file: Path | None) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    where = f"{file}: " if file is not None else ""
    if first["type"] == "extra_forbidden":
        return f"{where}unknown option {name!r}; remove it or correct its spelling."
    if first["type"] == "missing":
        return f"{where}option --{name.replace('_', '-')} is required; give it on the command line or in --config."
    if first["type"] == CREDENTIALS:
        return f"{where}option --{name.replace('_', '-')}: {first['msg']}."
    problem = first["msg"].removeprefix("Value error, ")
    if not name:  # about several options, which the sentence names
        return f"{where}{problem}."
    return f"{where}option --{name.replace('_', '-')}: {problem} (got {first['input']!r})."
