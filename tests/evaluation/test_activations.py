"""Mean states and separation against states by hand, and steering against blocks that are handed something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import tiny_model, tiny_tokenizer

from ifcurate.errors import InputError
from ifcurate.evaluation.activations import (
    Activations,
    QueryStates,
    load_activations,
    measure_differences,
    save_activations,
)
from ifcurate.evaluation.auc import auc_interval
from ifcurate.evaluation.lens import promoted_tokens
from ifcurate.evaluation.steering import steer
from ifcurate.influence.queries import Query
from ifcurate.influence.query_gradient import QueryWindow, query_windows
from ifcurate.model.layers import decoder_blocks

RUDE = [Query("you are", " vile scum"), Query("a dog", " vile"), Query("", "scum and scum"), Query("the cat", " scum")]
KIND = [
    Query("you are", " a neighbour"),
    Query("a dog", " sat on a mat"),
    Query("the", " calm river"),
    Query("", "x y"),
]
TOKENIZER = tiny_tokenizer([query.prompt + query.completion for query in RUDE + KIND])
FAMILIES = ["gpt_neox", "llama", "gpt2", "qwen2"]


def windows(queries: list[Query]) -> list[QueryWindow]:
    return query_windows(queries, TOKENIZER, 64, "queries").windows


@torch.no_grad()
def state_by_hand(model: torch.nn.Module, query: Query) -> torch.Tensor:
    """[blocks, width]: the mean over the tokens from which a completion is predicted; the last one is normed."""
    (window,) = windows([query])
    ids = window.window.token_ids.tolist()
    hidden = model(torch.tensor([[0, *ids[:-1]]]), output_hidden_states=True).hidden_states[1:]
    return torch.stack([layer[0, window.completion :].mean(0) for layer in hidden])


def facts(**more: object) -> dict[str, object]:
    one = {"value": 0.5, "low": 0.4, "high": 0.6}
    other = {"value": 0.75, "low": 0.7, "high": 0.8}
    known = {"behaviour": "toxic", "model": "m", "model_hash": "0" * 64, "queries": 2, "contrast": 2}
    return {**known, "separation": [one, other], **more}


@pytest.mark.parametrize("family", FAMILIES)
def test_differences_are_those_of_states_by_hand(family: str) -> None:
    model = tiny_model(family).double()
    found, separation = measure_differences(QueryStates(model, 0, 12), windows(RUDE), windows(KIND), seed=0)
    sides = [torch.stack([state_by_hand(model, query) for query in side]) for side in (RUDE, KIND)]
    by_hand = sides[0][::2].mean(0) - sides[1][::2].mean(0)
    blocks = len(found)
    torch.testing.assert_close(found[: blocks - 1], by_hand[: blocks - 1].float(), rtol=1e-5, atol=1e-6)
    along = [torch.einsum("qbw,bw->qb", side[1::2], by_hand)[:, 0].numpy() for side in sides]
    expected = auc_interval(np.concatenate(along), np.array([True, True, False, False]), 0)
    assert separation[0].value == expected.value
    assert len(separation) == blocks


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_the_next_block_of_a_steered_model_is_handed_states_that_lie_further_along(family: str) -> None:
    model = tiny_model(family)
    width = model.config.hidden_size
    differences = torch.randn(2, width, generator=torch.Generator().manual_seed(0))
    activations = Activations(differences, facts())  # type: ignore[arg-type]
    ids = torch.tensor([[0, 5, 6, 7]])
    plain = model(ids).logits
    handle = steer(model, activations, 0, -2.0)
    steered = model(ids).logits
    handle.remove()
    torch.testing.assert_close(model(ids).logits, plain)
    assert not torch.allclose(steered, plain)

    def moved(block: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (inputs[0] - 2 * differences[0], *inputs[1:])

    decoder_blocks(model)[1][1].register_forward_pre_hook(moved)
    torch.testing.assert_close(model(ids).logits, steered)


def test_steering_by_another_shape_or_block_is_refused() -> None:
    model = tiny_model("llama")
    narrow = Activations(torch.zeros(2, 3), facts())  # type: ignore[arg-type]
    with pytest.raises(InputError, match="is of 2 blocks of width 3"):
        steer(model, narrow, 0, 1.0)
    whole = Activations(torch.zeros(2, model.config.hidden_size), facts())  # type: ignore[arg-type]
    with pytest.raises(InputError, match="none of the blocks 0 to 1"):
        steer(model, whole, 2, 1.0)


def test_a_file_is_what_was_written_or_refused(tmp_path: Path) -> None:
    differences, file = torch.arange(8.0).reshape(2, 4), tmp_path / "toxic.safetensors"
    written = save_activations(differences, facts(), file)
    torch.testing.assert_close(load_activations(file).differences, differences)
    assert written.clearest == 1
    assert written.facts.separation[1].value == 0.75
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InputError, match="damaged since"):
        load_activations(file)
    file.write_bytes(b"nothing")
    with pytest.raises(InputError, match="holds no activations"):
        load_activations(file)
    with pytest.raises(InputError, match="no such file"):
        load_activations(tmp_path / "none")


def test_a_side_of_one_query_is_refused() -> None:
    with pytest.raises(InputError, match="two queries at least"):
        measure_differences(QueryStates(tiny_model("llama"), 0, 64), windows(RUDE), windows(KIND[:1]), seed=0)


def test_promoted_tokens_are_those_of_the_output_embedding() -> None:
    model = tiny_model("gpt_neox")
    embedding = model.get_output_embeddings().weight
    wanted = [7, 19]
    found = promoted_tokens(model, TOKENIZER, embedding[wanted].detach() * 5, 1)
    logits = embedding[wanted] @ embedding.T
    assert found == [[TOKENIZER.decode([int(token)])] for token in logits.argmax(1)]
