from __future__ import annotations

import pytest

from ifcurate.training.forms import PAPER_PENALTY, parse_penalties, parse_penalty


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("toxic", ("toxic", PAPER_PENALTY)),
        ("toxic=0.5", ("toxic", 0.5)),
        ("toxic=0", ("toxic", 0.0)),
        ("0.5", (None, 0.5)),
        ("0", (None, 0.0)),
        ("=2", (None, 2.0)),
    ],
)
def test_a_penalty_is_a_behaviour_a_lambda_or_both(text: str, expected: tuple[str | None, float]) -> None:
    assert parse_penalty(text) == expected


@pytest.mark.parametrize(
    "text", ["", "toxic=", "toxic=-0.1", "-1", "toxic=inf", "toxic=nan", "toxic=much", "to-xic", "a=b=1x"]
)
def test_other_penalties_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not BEHAVIOUR=LAMBDA with a finite LAMBDA of at least 0"):
        parse_penalty(text)


def test_a_later_penalty_overrides_an_earlier_one() -> None:
    assert parse_penalties(["0.5"], ["toxic", "private"]) == {"toxic": 0.5, "private": 0.5}
    assert parse_penalties(["0.5", "private=2"], ["toxic", "private"]) == {"toxic": 0.5, "private": 2.0}
    assert parse_penalties(["private=2", "toxic"], ["toxic", "private"]) == {"private": 2.0, "toxic": 1.0}
