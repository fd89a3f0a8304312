"""What can be said of vLLM without it, and what its own classes say where it is installed."""

import inspect

import pytest

from ifcurate.evaluation.backends.vllm import own_tokens, sampling_parameters
from ifcurate.evaluation.generation import SamplingSettings


def test_sampling_parameters_by_value():
    settings = SamplingSettings(completions=2, max_new_tokens=7, temperature=0.5, top_p=0.8, min_new_tokens=1)
    expected = {"n": 2, "max_tokens": 7, "min_tokens": 1, "temperature": 0.5, "top_p": 0.8, "seed": 5}
    assert sampling_parameters(settings, (1 << 31) + 5) == expected
    assert sampling_parameters(settings, 5, [3, 4]) == {**expected, "logit_bias": {3: -100.0, 4: -100.0}}


def test_an_end_token_is_not_the_completions_own():
    assert own_tokens((7, 8, 0), "stop") == 2 and own_tokens((7, 8, 9), "length") == 3


def test_vllm_takes_these_arguments():
    vllm = pytest.importorskip("vllm")
    settings = SamplingSettings(completions=2, min_new_tokens=1)
    made = vllm.SamplingParams(**sampling_parameters(settings, 5, [3]))
    assert (made.n, made.max_tokens, made.min_tokens, made.top_p, made.seed) == (2, 20, 1, 0.9, 5)
    assert {"model", "revision", "dtype", "seed"} <= set(inspect.signature(vllm.LLM.__init__).parameters)
    assert {"prompts", "sampling_params", "use_tqdm"} <= set(inspect.signature(vllm.LLM.generate).parameters)
