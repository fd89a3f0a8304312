import pytest
import torch
from dense_systems import SMALLEST, WINDOWS, flat, gauss_newton_matrix, smallest_model

from ifcurate.errors import InputError
from ifcurate.influence.refinement.gauss_newton import GaussNewton, softmax_products
from ifcurate.influence.refinement.vectors import joined
from ifcurate.model import token_loss
from ifcurate.model.layers import tracked_parameters


def random_vector(model, seed=0):
    torch.manual_seed(seed)
    return joined({name: torch.randn_like(parameter) for name, parameter in tracked_parameters(model).items()})


@pytest.mark.parametrize("family", SMALLEST)
@pytest.mark.parametrize("batch_tokens", [1, 12, 100])
def test_products_are_those_of_the_matrix_by_its_definition(family, batch_tokens):
    model = smallest_model(family)
    vector = random_vector(model)
    expected = gauss_newton_matrix(model, WINDOWS) @ flat(vector, model)
    found = flat(GaussNewton(model, 0, batch_tokens).product(vector, WINDOWS), model)
    assert float((found - expected).norm() / expected.norm()) < 1e-6  # Llama's norms are in float32
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_the_matrix_is_symmetric_and_has_no_negative_direction():
    model = smallest_model("llama")
    product = GaussNewton(model, 0, 20).product
    one, other = random_vector(model, 0), random_vector(model, 1)
    moved_one, moved_other = (flat(product(vector, WINDOWS), model) for vector in (one, other))
    left, right = flat(one, model) @ moved_other, flat(other, model) @ moved_one
    assert float(left) == pytest.approx(float(right), rel=1e-5)
    assert float(flat(one, model) @ moved_one) > 0


@pytest.mark.parametrize("rows", [1, 128])
def test_the_softmaxs_matrix_through_a_head_with_a_bias(rows, monkeypatch):
    monkeypatch.setitem(token_loss.CHUNK_VALUES, "cpu", 1)
    monkeypatch.setattr(token_loss, "FEWEST_ROWS", rows)
    torch.manual_seed(0)
    head = torch.nn.Linear(5, 11, dtype=torch.float64).requires_grad_(False)
    features, tangents = torch.randn(2, 3, 5, dtype=torch.float64)
    found = softmax_products(head, features, tangents)
    for row, moved, product in zip(features, tangents, found, strict=True):
        chances = head(row).softmax(-1)
        middle = chances.diag() - chances.outer(chances)
        assert torch.allclose(product, head.weight.T @ middle @ head.weight @ moved, rtol=1e-10)


def test_batches_are_halved_when_memory_runs_out(monkeypatch):
    model = smallest_model("gpt_neox")
    vector = random_vector(model)
    roomy = GaussNewton(model, 0, 100)
    expected = roomy.product(vector, WINDOWS)
    tight = GaussNewton(model, 0, 100)
    real = tight._pull_back

    def limited(batch, slopes):
        if batch.size > 12:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(batch, slopes)

    monkeypatch.setattr(tight, "_pull_back", limited)
    found = tight.product(vector, WINDOWS)
    assert tight.halvings == 1
    assert all(torch.allclose(found[layer], expected[layer], rtol=1e-10) for layer in expected)
    assert tight.product(vector, WINDOWS) is not None
    assert tight.halvings == 1


def test_a_window_that_does_not_fit_is_refused(monkeypatch):
    model = smallest_model("gpt_neox")
    tight = GaussNewton(model, 0, 100)

    def greedy(batch, slopes):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(tight, "_pull_back", greedy)
    with pytest.raises(InputError, match="option --context: refining on a window of 9 tokens does not fit"):
        tight.product(random_vector(model), WINDOWS)
