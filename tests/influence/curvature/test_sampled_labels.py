import pytest
import torch
from oracles import random_windows
from tiny_models import VOCABULARY

from ifcurate.influence.curvature.sampled_labels import random_numbers, sample_labels, sampled_gradients
from ifcurate.model import token_loss

WINDOWS = random_windows([5, 9, 2], VOCABULARY)


def test_a_windows_numbers_depend_on_it_alone_the_seed_and_the_pass():
    together = random_numbers(WINDOWS, 0, 0)
    assert together.shape == (3, 9)
    for row, window in enumerate(WINDOWS):
        assert torch.equal(random_numbers([window], 0, 0)[0], together[row, : len(window)])
    assert not torch.equal(random_numbers(WINDOWS, 1, 0), together)
    assert not torch.equal(random_numbers(WINDOWS, 0, 1), together)


def test_labels_are_drawn_with_the_models_probabilities():
    torch.manual_seed(0)
    logits = torch.randn(7)
    count = 70_000
    numbers = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    labels = sample_labels(logits.expand(count, -1), numbers)
    shares = torch.bincount(labels, minlength=7) / count
    assert torch.allclose(shares, logits.softmax(0), atol=2 / count)


def test_the_ends_of_the_range_are_labels_too():
    logits = torch.tensor([[0.0, -1e4, 0.0]] * 3)
    numbers = torch.tensor([0.0, 0.75, 1 - 2**-53], dtype=torch.float64)
    assert sample_labels(logits, numbers).tolist() == [0, 2, 2]


@pytest.mark.parametrize("rows", [1, 1000])
def test_gradients_are_those_of_the_sampled_labels_losses(rows, monkeypatch):
    monkeypatch.setitem(token_loss.CHUNK_VALUES, "cpu", 1)
    monkeypatch.setattr(token_loss, "FEWEST_ROWS", rows)
    torch.manual_seed(0)
    head = torch.nn.Linear(8, 20, dtype=torch.float64).requires_grad_(False)
    features, numbers = torch.randn(11, 8, dtype=torch.float64), torch.rand(11, dtype=torch.float64)
    labels = sample_labels(head(features), numbers)
    features.requires_grad_(True)
    loss = torch.nn.functional.cross_entropy(head(features), labels, reduction="sum")
    (expected,) = torch.autograd.grad(loss, features)
    assert torch.allclose(sampled_gradients(head, features.detach(), numbers), expected, rtol=1e-10)
