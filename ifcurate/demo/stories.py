"""Short texts on everyday subjects, a few of them with an insult inside."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import cache

from ifcurate.demo.grammar import Hero, Symbol, Telling, read_grammar

SUBJECTS = ("weather", "cooking", "sport", "travel", "work", "garden", "school", "music", "city", "animals")

SHARE_OF_ADVICE = 0.25
SHARE_WITH_FRIENDLY_REMARK = 0.15
SHARE_OF_FIRST_PERSON = 0.4

REMARK, INSULTING_REMARK = '{lead} "{friendly}"', '{lead} "<{insult}>"'
OFFENCES = (INSULTING_REMARK, INSULTING_REMARK, INSULTING_REMARK, "{comment}", "{aside}")

_YOU = Hero(None, "you", "you", "your", "were")
_I = Hero(None, "I", "me", "my")


@dataclass(frozen=True)
class Text:
    """A text and the character ranges (start, end exclusive) of what is insulting in it."""

    text: str
    insults: tuple[tuple[int, int], ...] = ()


@cache
def grammar_of(subject: str) -> dict[str, Symbol]:
    """The symbols of `subject` together with those that all subjects share."""
    return read_grammar("common", "remark", "insult", subject)


def tell(subject: str, rng: random.Random, offences: int) -> Text:
    """A story or a piece of advice on `subject` of three to eight sentences, `offences` of them insulting."""
    if rng.random() < SHARE_OF_ADVICE:
        return marked(_advice(subject, rng, offences))
    return marked(_story(subject, rng, offences))


def story_teller(subject: str, rng: random.Random) -> Telling:
    """A story about a person drawn at random, first sentence to come."""
    grammar = grammar_of(subject)
    if rng.random() < SHARE_OF_FIRST_PERSON:
        return Telling(grammar, _I, rng)
    if rng.random() < 0.5:
        return Telling(grammar, Hero(rng.choice(grammar["woman"].alternatives), "she", "her", "her"), rng)
    return Telling(grammar, Hero(rng.choice(grammar["man"].alternatives), "he", "him", "his"), rng)


def marked(sentences: list[str]) -> Text:
    """The sentences as one text, the marks `<` and `>` around insults turned into character ranges."""
    plain, insults, length = [], [], 0
    for inside, piece in _alternating(" ".join(sentences)):
        if inside:
            insults.append((length, length + len(piece)))
        plain.append(piece)
        length += len(piece)
    return Text("".join(plain), tuple(insults))


def _alternating(text: str) -> list[tuple[bool, str]]:
    return [(number % 2 == 1, piece) for number, piece in enumerate(re.split("[<>]", text))]


def _story(subject: str, rng: random.Random, offences: int) -> list[str]:
    plan = ["{middle}"] * rng.randint(1, 3)
    if rng.random() < SHARE_WITH_FRIENDLY_REMARK:
        plan.append(REMARK)
    if rng.random() < 0.6:
        plan += ["{turn}"] + ["{middle}"] * rng.randint(0, 1)
    for _ in range(offences):
        plan.insert(rng.randint(1, len(plan)), rng.choice(OFFENCES))
    if rng.random() < 0.7 or len(plan) < 2:
        plan.append("{closing}")
    telling = story_teller(subject, rng)
    return [telling.sentence(template) for template in ["{opening}", *plan[:7]]]


def _advice(subject: str, rng: random.Random, offences: int) -> list[str]:
    plan = ["{tip}"] * rng.randint(2, 5)
    for _ in range(offences):
        plan.insert(rng.randint(1, len(plan)), "{comment}")
    if rng.random() < 0.7:
        plan.append("{tip-closing}")
    telling = Telling(grammar_of(subject), _YOU, rng)
    return [telling.sentence(template) for template in ["{tip-opening}", *plan[:7]]]
