"""Attention in blocks against PyTorch's plain attention: values and derivatives, for every head layout."""

import pytest
import torch
from tiny_models import FAMILIES, VOCABULARY, tiny_model
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from ifcurate.influence.engines import attention as forward_attention
from ifcurate.influence.engines.attention import attend_in_blocks, attention_in_blocks, block_shape

LENGTH = 37


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(forward_attention, "BLOCK_QUERIES", (1, 8))


def random_heads(heads: int, width: int = 6, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, heads, LENGTH, width, dtype=dtype, generator=generator)


def plain(query, key, value, mask=None):
    with sdpa_kernel(SDPBackend.MATH):
        attended = scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=mask is None, enable_gqa=True, scale=0.3
        )
    return attended.transpose(1, 2)


def in_blocks(query, key, value, mask=None):
    return attend_in_blocks(torch.nn.Identity(), query, key, value, mask, scaling=0.3)[0]


@pytest.mark.parametrize("key_heads", [1, 2, 4])
def test_values_and_derivatives_are_those_of_plain_attention(key_heads):
    heads = tuple(random_heads(count, seed=seed) for seed, count in enumerate((4, key_heads, key_heads)))
    moves = tuple(random_heads(count, seed=seed) for seed, count in enumerate((4, key_heads, key_heads), 10))
    expected = torch.func.jvp(plain, heads, moves)
    found = torch.func.jvp(in_blocks, heads, moves)
    assert torch.allclose(found[0], expected[0], atol=1e-13)
    assert torch.allclose(found[1], expected[1], atol=1e-12)


def test_a_mask_is_obeyed():
    heads = [random_heads(4, seed=seed) for seed in range(3)]
    position = torch.arange(LENGTH)
    sliding = (position[:, None] >= position) & (position[:, None] - position < 5)
    mask = sliding.expand(2, 1, LENGTH, LENGTH)
    assert torch.allclose(in_blocks(*heads, mask), plain(*heads, mask), atol=1e-13)


def test_scores_are_softly_capped_as_gemma_caps_them():
    query, key, value = (random_heads(2, seed=seed) for seed in range(3))
    scores = 2 * torch.tanh(query @ key.transpose(-1, -2) * 0.3 / 2)
    scores = scores.masked_fill(torch.ones(LENGTH, LENGTH).triu(1).bool(), float("-inf"))
    found = attend_in_blocks(torch.nn.Identity(), query, key, value, None, scaling=0.3, softcap=2.0)[0]
    assert torch.allclose(found, (scores.softmax(-1) @ value).transpose(1, 2), atol=1e-13)


def test_blocks_are_bounded_by_memory(monkeypatch):
    monkeypatch.setattr(forward_attention, "BLOCK_QUERIES", (64, 512))
    monkeypatch.setattr(forward_attention, "BLOCK_VALUES", {"cpu": 1 << 20, "cuda": 1 << 28})
    assert block_shape(1, 8, "cpu") == (8, 512)
    assert block_shape(1 << 10, 8, "cpu") == (8, 128)
    assert block_shape(1 << 12, 8, "cpu") == (4, 64)  # few queries make products slow: rather fewer sequences
    assert block_shape(1 << 30, 8, "cpu") == (1, 64)
    assert block_shape(1 << 14, 8, "cuda") == (8, 512)


@pytest.mark.parametrize("held", [1, 40 * LENGTH, 1 << 20])
def test_blocks_of_every_shape_give_the_same(monkeypatch, held):
    heads = [random_heads(4, seed=seed) for seed in range(3)]
    monkeypatch.setattr(forward_attention, "BLOCK_VALUES", {"cpu": held})
    assert torch.allclose(in_blocks(*heads), plain(*heads), atol=1e-13)


@pytest.mark.parametrize("held", [1, 1 << 20])
def test_one_mask_may_be_that_of_all_sequences(monkeypatch, held):
    heads = [random_heads(4, seed=seed) for seed in range(3)]
    monkeypatch.setattr(forward_attention, "BLOCK_VALUES", {"cpu": held})
    mask = torch.ones(1, 1, LENGTH, LENGTH).tril().bool()
    assert torch.allclose(in_blocks(*heads, mask), plain(*heads), atol=1e-13)


@pytest.mark.parametrize("family", FAMILIES)
def test_models_compute_the_same_with_it_and_get_their_own_back(family):
    model = tiny_model(family).double()
    ids = torch.randint(0, VOCABULARY, (3, LENGTH), generator=torch.Generator().manual_seed(0))
    own = model.config._attn_implementation
    expected = model(ids).logits
    with attention_in_blocks(model):
        assert model.config._attn_implementation == forward_attention.NAME
        found = model(ids).logits
    assert model.config._attn_implementation == own
    assert torch.allclose(found, expected, atol=1e-6)  # Llama normalises in float32
