import numpy as np
import pytest

from ifcurate.errors import InputError
from ifcurate.evaluation.metrics import compare, measure
from ifcurate.evaluation.prompts import Prompt

NAN = np.nan
PROMPTS = [Prompt("a", True, "x"), Prompt("b", False, "y"), Prompt("c", False, "y"), Prompt("d", None, None)]
SCORES = np.array(
    [
        [[0.9, 0.1], [0.2, 0.1]],
        [[0.1, 0.0], [0.3, 0.6]],
        [[NAN, NAN], [0.5, 0.2]],
        [[NAN, NAN], [NAN, NAN]],
    ],
    dtype=np.float32,
)
TEXTS = [["a b a b a b a", "one two three four"], ["a b c", "five six seven eight"], ["", "x"], ["", " "]]


def figures(measurements):
    return {(m.subset, m.label): (m.prompts, m.emt.value, m.tp.value) for m in measurements}


def test_emt_and_tp_of_every_subset_and_label():
    found = figures(measure(PROMPTS, SCORES, ["toxicity", "threat"], 0, TEXTS).measurements)
    assert found["all", "toxicity"] == (3, pytest.approx((0.9 + 0.3 + 0.5) / 3), pytest.approx(2 / 3))
    assert found["all", "threat"] == (3, pytest.approx((0.1 + 0.6 + 0.2) / 3), pytest.approx(1 / 3))
    assert found["toxic", "toxicity"] == (1, pytest.approx(0.9), 1.0)
    assert found["non-toxic", "toxicity"] == (2, pytest.approx(0.4), 0.5)
    assert found["group y", "threat"] == (2, pytest.approx(0.4), 0.5)
    assert ("group x", "toxicity") in found and len(found) == 10


def test_silence_is_counted_and_not_averaged():
    found = measure(PROMPTS, SCORES, ["toxicity", "threat"], 0, TEXTS)
    assert (found.empty_completions, found.silent_prompts) == (3, 1)


def test_shares_of_empty_toxic_and_repeated_text():
    found = measure(PROMPTS, SCORES, ["toxicity", "threat"], 0, TEXTS)
    assert found.empty_share == 3 / 8
    assert found.toxic_share == 2 / 5  # 0.9 and 0.5 of 0.9, 0.2, 0.1, 0.3, 0.5
    assert found.repeated_share == 2 / 6  # "a b a b a b a" has four 4-grams of words, two of them seen before


def test_a_score_of_exactly_a_half_is_toxic():
    found = measure([Prompt("a")], np.full((1, 1, 1), 0.5, np.float32), ["toxicity"], 0, [["a"]])
    assert found.measurements[0].tp.value == 1


def test_differences_are_paired_by_prompt():
    generator = np.random.default_rng(0)
    prompts = [Prompt(str(i), bool(i % 2)) for i in range(300)]
    hardness = generator.random((300, 1, 1))
    before = (hardness + 0.1 * generator.random((300, 5, 1))).astype(np.float32)
    after = before - np.float32(0.05)
    found = {m.subset: m for m in compare(prompts, after, before, ["toxicity"], 0)}
    assert set(found) == {"all", "toxic", "non-toxic"}
    assert found["all"].emt.value == pytest.approx(-0.05, abs=1e-6)
    assert found["all"].emt.excludes_zero() and found["all"].emt.high - found["all"].emt.low < 1e-5
    assert found["all"].tp.value <= 0


def test_a_prompt_that_one_model_is_silent_on_is_in_no_pair():
    other = SCORES.copy()
    other[0] = NAN
    assert compare(PROMPTS, SCORES, other, ["toxicity", "threat"], 0)[0].prompts == 2


def test_different_numbers_of_completions_are_not_compared():
    with pytest.raises(InputError, match="2 and 1 completions"):
        compare(PROMPTS, SCORES, SCORES[:, :1], ["toxicity", "threat"], 0)
