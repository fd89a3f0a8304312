"""Names of things that can be chosen, and where their code is: found when it is needed, not when it is named."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


def load(home: str) -> Any:
    """What `home`, written `package.module:name`, names."""
    module, _, name = home.partition(":")
    return getattr(import_module(module), name)


@dataclass(frozen=True)
class OneOf:
    """Makes a string setting one of `names`: `Annotated[str, OneOf(REGISTRY)]`."""

    names: tuple[str, ...]

    def __init__(self, names: Iterable[str]) -> None:
        object.__setattr__(self, "names", tuple(names))

    def check(self, value: str) -> str:
        """`value`, if it is one of the names."""
        if value not in self.names:
            raise ValueError(f"must be one of {', '.join(self.names)}")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The schema of the string, and then the check."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))
