"""One Arrow type for many JSON values: the narrowest that keeps every value as it is.

Null fits everything, integers widen to doubles, objects merge their keys, lists merge their elements. Strings stay
strings, whatever they look like.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

MOST_KEYS = 4096
"""Most distinct keys of the objects at one place; more means that keys are data, which has no bounded schema."""

DEEPEST = 64
"""Deepest nesting of lists and objects."""

_EXACT_IN_DOUBLE = 2**53
_NAMES = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "an object"}


class TypeConflictError(ValueError):
    """Values at one place of the rows that no single Arrow type can hold; the message is a clause about the place."""


class JsonType:
    """What was seen so far at one place of the rows: a column, a key of an object, or the elements of a list."""

    __slots__ = ("_depth", "_elements", "_fractions", "_high", "_keys", "_kind", "_low", "_place")

    def __init__(self, place: str = "", depth: int = 0) -> None:
        self._place = place
        self._depth = depth
        self._kind: type | None = None
        self._low = self._high = 0
        self._fractions = False
        self._keys: dict[str, JsonType] = {}
        self._elements: JsonType | None = None

    def see(self, value: Any) -> None:
        """Widen the type so that it holds `value`.

        Raises:
            TypeConflictError: no type holds this value and the ones before it.
        """
        if value is None:
            return
        kind = type(value)
        if self._kind is None:
            self._kind = kind
        elif self._kind is not kind and {self._kind, kind} != {int, float}:
            raise TypeConflictError(
                f"column {self._place!r} holds {_NAMES[kind]} where earlier lines hold {_NAMES[self._kind]}"
            )
        if kind is dict:
            self._see_object(value)
        elif kind is list:
            self._see_list(value)
        elif kind is int or kind is float:
            self._see_number(value)

    def _see_object(self, value: dict[str, Any]) -> None:
        for key, inner in value.items():
            known = self._keys.get(key)
            if known is None:
                known = self._keys[key] = self._inside(f"{self._place}.{key}" if self._depth else key)
                if len(self._keys) > MOST_KEYS:
                    where = f"column {self._place!r} holds objects with" if self._depth else "its rows have"
                    raise TypeConflictError(f"{where} more than {MOST_KEYS:,} different keys")
            known.see(inner)

    def _see_list(self, value: list[Any]) -> None:
        if self._elements is None:
            self._elements = self._inside(f"{self._place}[]")
        for inner in value:
            self._elements.see(inner)

    def _inside(self, place: str) -> JsonType:
        if self._depth == DEEPEST:
            raise TypeConflictError(f"a column is nested more than {DEEPEST} levels deep")
        return JsonType(place, self._depth + 1)

    def _see_number(self, value: int | float) -> None:
        if isinstance(value, float):
            self._fractions = True
        else:
            self._low, self._high = min(self._low, value), max(self._high, value)
        if self._fractions:
            if max(-self._low, self._high) > _EXACT_IN_DOUBLE:
                raise TypeConflictError(
                    f"column {self._place!r} mixes fractions with integers beyond 2**53, which would be rounded"
                )
        elif self._low < -(2**63) or self._high >= (2**63 if self._low < 0 else 2**64):
            raise TypeConflictError(f"column {self._place!r} holds integers beyond 64 bits")

    def fields(self) -> list[pa.Field]:
        """One Arrow field a key of the objects seen, in the order of first appearance.

        Raises:
            TypeConflictError: an object never has a key; Parquet has no type for that.
        """
        return [pa.field(key, known.arrow()) for key, known in self._keys.items()]

    def arrow(self) -> pa.DataType:
        """The Arrow type; `null` where nothing but null was seen.

        Raises:
            TypeConflictError: as `fields`.
        """
        if self._kind is None:
            return pa.null()
        if self._kind is dict:
            if not self._keys:
                raise TypeConflictError(f"column {self._place!r} holds only empty objects, which Parquet cannot store")
            return pa.struct(self.fields())
        if self._kind is list:
            return pa.list_(self._elements.arrow() if self._elements is not None else pa.null())
        if self._kind is bool:
            return pa.bool_()
        if self._kind is str:
            return pa.string()
        if self._fractions:
            return pa.float64()
        return pa.int64() if self._high < 2**63 else pa.uint64()
