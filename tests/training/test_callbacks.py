from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from training_cases import tiny_model
from transformers import TrainerControl, TrainerState

from ifcurate.errors import InputError
from ifcurate.training.callbacks import (
    SAMPLED_TOKENS,
    SAMPLES,
    DivergenceWatch,
    KnownPadding,
    RepetitionWatch,
    sample,
)


def log(watch: DivergenceWatch, step: int, **logs: float) -> None:
    watch.on_log(None, TrainerState(global_step=step, is_world_process_zero=True), TrainerControl(), logs)


def test_warns_once_when_the_loss_diverges(messages: Callable[[], list[str]]) -> None:
    watch = DivergenceWatch()
    for step, loss in enumerate([4.0, 3.0, 3.9, 4.1, 4.5, 3.1, 5.0]):
        log(watch, step, loss=1.0, loss_unmarked=loss)
    assert [line.split(":")[0] for line in messages()] == ["step 3", "step 6"]
    assert "lambda or the learning rate is too large" in messages()[0]


@pytest.mark.parametrize("name", ["loss", "grad_norm"])
def test_stops_where_nothing_is_finite(name: str) -> None:
    with pytest.raises(InputError, match=f"step 7: {name} is nan; lower --learning-rate"):
        log(DivergenceWatch(), 7, **{"loss": 1.0, "grad_norm": 1.0, name: float("nan")})


def test_warns_when_sampled_text_repeats_itself(messages: Callable[[], list[str]]) -> None:
    watch = RepetitionWatch(0)
    state = TrainerState(global_step=1, max_steps=10)
    watch.on_step_end(None, state, TrainerControl(), model=tiny_model(torch.float32))
    assert not messages()
    collapsed = tiny_model(torch.float32)
    with torch.no_grad():
        collapsed.get_output_embeddings().weight.mul_(1e4)
    watch.on_step_end(None, state, TrainerControl(), model=collapsed)
    assert "collapses into repetition" in messages()[0]
    assert watch.shares[1] > 0.3


def test_sampling_leaves_the_random_state_and_mode_alone() -> None:
    model = tiny_model(torch.float32).train()
    before = torch.get_rng_state()
    texts = sample(model, 0)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    assert [len(text) for text in texts] == [SAMPLED_TOKENS] * SAMPLES


@pytest.mark.parametrize("before", [None, 0])
def test_a_padding_token_without_an_embedding_is_taken_back(before: int | None) -> None:
    model = tiny_model()
    rows = model.get_input_embeddings().num_embeddings
    model.config.pad_token_id = model.generation_config.pad_token_id = before
    callback = KnownPadding(model)
    for aligned, expected in ((rows, before), (rows - 1, rows - 1)):
        model.config.pad_token_id = model.generation_config.pad_token_id = aligned
        callback.on_train_begin(None, TrainerState(), TrainerControl())
        assert model.config.pad_token_id == model.generation_config.pad_token_id == expected
