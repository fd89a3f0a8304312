import numpy as np
import pytest
import torch

from ifcurate.evaluation.sampling import NotFiniteError, PromptStreams, prompt_keys, sample_nucleus


def draws(logits, top_p, rows=4000, seed=0):
    streams = PromptStreams(prompt_keys(["x"], seed), rows)
    return sample_nucleus(torch.tensor(logits).expand(rows, -1), top_p, streams)


def test_frequencies_are_those_of_the_renormalised_nucleus():
    probabilities = np.array([0.05, 0.3, 0.1, 0.5, 0.05])
    tokens = draws(np.log(probabilities), 0.85, rows=20000)
    frequencies = np.bincount(tokens.numpy(), minlength=5) / 20000
    expected = np.where(probabilities >= 0.1, probabilities, 0) / 0.9
    assert frequencies == pytest.approx(expected, abs=0.012)
    assert (frequencies[[0, 4]] == 0).all()


def test_the_nucleus_is_that_of_the_sorting_definition():
    generator = torch.Generator().manual_seed(0)
    for top_p in (0.1, 0.5, 0.9, 1.0):
        logits = torch.randn(40, generator=generator) * 2
        ordered, order = logits.softmax(-1).sort(descending=True)
        inside = (ordered.cumsum(-1) - ordered) < top_p
        likely = set(order[inside & (ordered > 0.01)].tolist())
        assert likely <= set(draws(logits.tolist(), top_p, rows=3000).tolist()) <= set(order[inside].tolist())


def test_tokens_of_no_probability_are_never_drawn():
    logits = [-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]
    assert set(draws(logits, 1.0).tolist()) == {1, 3}


def test_a_prompt_draws_the_same_whatever_stands_beside_it():
    keys = prompt_keys(["one", "two", "three"], 7)
    logits = torch.randn(3, 30, generator=torch.Generator().manual_seed(1))

    def sample(which):
        streams = PromptStreams([keys[i] for i in which], 5)
        rows = logits[which].repeat_interleave(5, 0)
        return [sample_nucleus(rows, 0.5, streams).reshape(len(which), 5) for _ in range(4)]

    together, alone = sample([0, 1, 2]), sample([2])
    assert all(torch.equal(a[2:], b) for a, b in zip(together, alone, strict=True))


def test_keys_depend_on_seed_text_and_repetition():
    keys = prompt_keys(["a", "b", "a"], 0)
    assert len(set(keys)) == 3 and keys[:1] == prompt_keys(["a"], 0) and keys[:1] != prompt_keys(["a"], 1)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_what_is_no_distribution_is_an_error(bad):
    with pytest.raises(NotFiniteError):
        draws([0.0, bad, 1.0], 0.9, rows=2)
