import pytest

from ifcurate.training.repetition import repeated_share


def test_repeated_share_counts_grams_seen_before_in_the_same_text() -> None:
    assert repeated_share([[1, 2, 3, 4, 5, 6]], 4) == 0
    assert repeated_share([[1, 2] * 5], 4) == pytest.approx(5 / 7)
    assert repeated_share([[1, 2, 3, 4], [1, 2, 3, 4]], 4) == 0
    assert repeated_share([[1]], 4) == 0
