"""Estimates of memory by their numbers: a wrong one only shows where memory runs out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_models import tiny_model

from ifcurate.influence import batch_size
from ifcurate.influence.batch_size import (
    automatic_batch_tokens,
    bytes_per_position,
    bytes_per_worker,
    memory_at_hand,
    workers_that_fit,
)

HIDDEN, INNER, VOCABULARY, BLOCKS = 32, 64, 300, 2
BLOCK = 8 * HIDDEN + 4 * INNER
"""Values alive at once in a block of GPT-NeoX, a position."""


@pytest.mark.parametrize(
    ("engine", "directions", "passes", "expected"),
    [
        ("finite-difference", 1, 1, 4 * (4 * HIDDEN + BLOCK)),
        ("finite-difference", 1, 4, 4 * (4 * 4 * HIDDEN + BLOCK)),
        ("one-sided", 3, 1, 4 * (8 * HIDDEN + BLOCK)),
        ("jvp", 1, 1, 4 * (4 * HIDDEN + 3 * BLOCK)),
        ("jvp", 3, 1, 4 * (8 * HIDDEN + 7 * BLOCK)),
        ("kronfluence", 1, 1, 4 * 2 * BLOCKS * BLOCK + 16 * VOCABULARY),
    ],
)
def test_bytes_of_a_position(engine: str, directions: int, passes: int, expected: int) -> None:
    model = tiny_model("gpt_neox")
    assert bytes_per_position(model, engine, directions, passes) == expected
    if engine == "jvp":
        assert bytes_per_position(model.to(torch.bfloat16), engine, directions, passes) == expected // 2


def test_widths_are_those_of_the_family() -> None:
    """GPT-2 names its feed-forward width otherwise, or not at all: then it is four hidden widths."""
    block = 8 * HIDDEN + 4 * 4 * HIDDEN
    assert bytes_per_position(tiny_model("gpt2"), "finite-difference", 1) == 4 * (4 * HIDDEN + block)
    block = 8 * HIDDEN + 4 * 40
    assert bytes_per_position(tiny_model("gpt2", n_inner=40), "finite-difference", 1) == 4 * (4 * HIDDEN + block)


def test_a_worker_holds_model_directions_and_moved_weights() -> None:
    model = tiny_model("gpt_neox")
    values = sum(parameter.numel() for parameter in model.parameters())
    tracked = BLOCKS * (4 * HIDDEN * HIDDEN + 4 * HIDDEN + 2 * HIDDEN * INNER + INNER + HIDDEN)
    assert bytes_per_worker(model, "jvp", 1) == (1 << 29) + 4 * (values + tracked)
    assert bytes_per_worker(model, "jvp", 3) == (1 << 29) + 4 * (values + 3 * tracked)
    assert bytes_per_worker(model, "one-sided", 3) == (1 << 29) + 4 * (values + 4 * tracked)


def test_workers_share_what_activations_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_size, "memory", lambda: 1000)
    assert memory_at_hand(torch.device("cpu")) == 1000
    assert [workers_that_fit(size) for size in (1, 200, 300, 301, 600, 601)] == [600, 3, 2, 1, 1, 1]


@pytest.mark.parametrize(("fitting", "expected"), [(0, 1), (1, 1), (2, 2), (3, 2), (4, 4), (1023, 512), (1024, 1024)])
def test_batches_are_powers_of_two(fitting: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("gpt_neox")
    room = fitting * bytes_per_position(model, "jvp", 1)
    monkeypatch.setattr(batch_size, "memory", lambda: -(-room * 10 // 4))
    assert automatic_batch_tokens(model, "jvp", 1) == expected


def test_a_head_that_cannot_be_split_off_holds_logits_at_both_ends() -> None:
    model = tiny_model("gpt_neox")
    forward = model.forward

    def doubled(*args: Any, **kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        output.logits = 2 * output.logits
        return output

    model.forward = doubled
    assert bytes_per_position(model, "jvp", 1) == 4 * (4 * VOCABULARY + 3 * BLOCK)
