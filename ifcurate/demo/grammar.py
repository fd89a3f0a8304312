"""A small grammar language for generated English, and the state of one text told in it.

A grammar file holds symbols and their alternatives, one a line or several separated by ` | `:

    [opening]
    {hero} walked to {town} on {weekday}.

    [town once]
    Ashby | Northgate

`{town}` stands for one alternative, drawn anew each time, or drawn once in a text where the heading says `once`.
`{hero}`, `{he}`, `{him}`, `{his}` and `{was}` are the person a text is about.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from importlib.resources import files

NAMED_AGAIN = 0.2
"""Share of sentences that name the hero again instead of using a pronoun."""

_HEADING = re.compile(r"\[([a-z-]+)( once)?\]")
_PLACEHOLDER = re.compile(r"\{([a-z-]+)\}")
_A_BEFORE_VOWEL = re.compile(r"\b([Aa]) (?=[<\"]?(?:(?!one\b|us[ei]|uni)[aeiou]|honest|hour))")
_FIRST_LETTER = re.compile(r"[A-Za-z]")


@dataclass(frozen=True)
class Symbol:
    """What a placeholder can become; `once` keeps the first choice through a text."""

    alternatives: tuple[str, ...]
    once: bool


@dataclass(frozen=True)
class Hero:
    """The person a text is about. `name` is None where there is only a pronoun ("I", "you")."""

    name: str | None
    he: str
    him: str
    his: str
    was: str = "was"


def read_grammar(*names: str) -> dict[str, Symbol]:
    """The symbols of the grammar files `names` that come with this package; later files may not redefine any."""
    symbols: dict[str, Symbol] = {}
    for name in names:
        text = (files("ifcurate.demo") / "phrases" / f"{name}.txt").read_text(encoding="utf-8")
        for block in re.split(r"\n\s*\n", text):
            heading, *lines = [line for line in block.splitlines() if line and not line.startswith("#")] or [""]
            if not lines:
                continue
            match = _HEADING.fullmatch(heading)
            if match is None or match[1] in symbols:
                raise ValueError(f"{name}.txt: {heading!r} is no heading or stands there twice")
            symbols[match[1]] = Symbol(tuple(" | ".join(lines).split(" | ")), once=match[2] is not None)
    return symbols


class Telling:
    """One text in the making: who it is about, and what has been said already."""

    def __init__(self, grammar: dict[str, Symbol], hero: Hero, rng: random.Random) -> None:
        self._grammar, self._hero, self._rng = grammar, hero, rng
        self._kept: dict[str, str] = {}
        self._left: dict[str, list[str]] = {}
        self._hero_is_known = hero.name is None

    def sentence(self, template: str) -> str:
        """`template` with every placeholder filled in, articles and the first letter made right."""
        if self._hero.name is not None and self._rng.random() < NAMED_AGAIN:
            self._hero_is_known = False
        told = _A_BEFORE_VOWEL.sub(r"\1n ", self._fill(template))
        return _FIRST_LETTER.sub(lambda letter: letter[0].upper(), told, count=1)

    def _fill(self, template: str) -> str:
        return _PLACEHOLDER.sub(lambda match: self._value(match[1]), template)

    def _value(self, name: str) -> str:
        if name in ("hero", "he", "him", "his", "was"):
            return self._person(name)
        symbol = self._grammar[name]
        if not symbol.once:
            return self._fill(self._draw(name, symbol))
        if name not in self._kept:
            self._kept[name] = self._fill(self._draw(name, symbol))
        return self._kept[name]

    def _draw(self, name: str, symbol: Symbol) -> str:
        left = self._left.setdefault(name, [])
        if not left:
            left.extend(symbol.alternatives)
        return left.pop(self._rng.randrange(len(left)))

    def _person(self, form: str) -> str:
        if form == "was":
            return self._hero.was
        known, self._hero_is_known = self._hero_is_known, True
        if self._hero.name is not None and (form == "hero" or not known):
            return f"{self._hero.name}'s" if form == "his" else self._hero.name
        return str(getattr(self._hero, "he" if form == "hero" else form))
