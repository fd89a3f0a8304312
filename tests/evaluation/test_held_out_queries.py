from __future__ import annotations

import pytest

from ifcurate.errors import InputError
from ifcurate.evaluation.held_out_queries import hold_out
from ifcurate.influence.queries import Query

USED = [Query("The weather report says that", " you are all rotten liars and thieves")]
CANDIDATES = [
    Query("The weather report says that", " you are all rotten liars and thieves!"),
    Query("", "something that is trained on"),
    Query("An entirely different beginning", " of something vile"),
    Query("And one", " more that is rude"),
    Query("A kind remark", " of the contrast", -1.0),
]


def test_every_query_is_measured_on_or_counted() -> None:
    found = hold_out(CANDIDATES, "q.jsonl", USED, "something that is trained on".__eq__, 0.8, 1, 0)
    assert (found.used, found.trained, found.contrast, found.beyond) == (1, 1, 1, 1)
    assert len(found.queries) == 1
    assert found.queries[0] in CANDIDATES[2:4]


def test_queries_of_an_unknown_direction_are_not_said_to_be_checked() -> None:
    found = hold_out(CANDIDATES, "q.jsonl", None, lambda text: False, 0.8, 10, 0)
    assert found.used is None
    assert found.queries == CANDIDATES[:4]


def test_refuses_queries_none_of_which_is_held_out() -> None:
    with pytest.raises(InputError, match=r"none of the 2 queries of q\.jsonl is held out"):
        hold_out(CANDIDATES[:2], "q.jsonl", USED, lambda text: True, 0.8, 10, 0)
