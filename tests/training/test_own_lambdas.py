from __future__ import annotations

import math

import pytest
import torch
from loss_cases import BATCH, CLOSED, LENGTH, VOCABULARY, case, gradient

from ifcurate.errors import InputError
from ifcurate.training import penalty as module
from ifcurate.training.forms import PENALTY_FORMS, Penalty
from ifcurate.training.penalty import IGNORED, penalized_loss


@pytest.fixture(params=[1, 2 * VOCABULARY, 1 << 20])
def _chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.CHUNK_ELEMENTS, "cpu", request.param)


@pytest.mark.usefixtures("_chunk")
@pytest.mark.parametrize("spared", [(), (0,), (3, 7)])
@pytest.mark.parametrize(
    ("form", "clamp"),
    [*((form, "1.5") for form in PENALTY_FORMS), ("clamped", "40%"), ("clamped", "base+0.5")],
)
def test_own_lambdas_equal_the_formula_and_autograd(form: str, clamp: str, spared: tuple[int, ...]) -> None:
    """Every form, clamp and choice of spared tokens with a lambda for each token, in float64."""
    for seed in range(2):
        logits, labels, mask = case(seed, torch.float64)
        generator = torch.Generator().manual_seed(seed)
        lambdas = torch.rand(labels.shape, generator=generator) * 3
        reference = torch.rand(labels.shape, dtype=torch.float64, generator=generator) * 5
        terms = []
        for row in range(BATCH):
            for position in range(1, LENGTH):
                label, own = int(labels[row, position]), logits[row, position - 1]
                if label == IGNORED:
                    continue
                if not mask[row, position] or label in spared:
                    terms.append(-torch.log(own.softmax(-1)[label]))
                    continue
                kept = [token for token in range(VOCABULARY) if token not in spared]
                p, compared = own[kept].softmax(-1)[kept.index(label)], reference[row, position]
                limits = {"1.5": p.new_tensor(1.5), "40%": p.new_tensor(0.4 * math.log(len(kept)))}
                closed = CLOSED[form](p, compared)
                if form == "clamped":
                    closed = -torch.minimum(-torch.log(p), limits.get(clamp, compared + 0.5))
                terms.append(float(lambdas[row, position]) * closed)
        expected = torch.stack(terms).sum() / len(terms)
        chosen = Penalty(form, clamp=clamp, beta=0.3, spared=spared)
        ours = penalized_loss(logits, labels, mask, lambdas, chosen, reference=reference)
        torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(gradient(ours, logits), gradient(expected, logits), rtol=1e-10, atol=1e-12)


def test_only_lambdas_of_marked_tokens_matter_and_none_may_reward() -> None:
    logits, labels, mask = case()
    lambdas = torch.where(mask, 0.5, math.nan)
    assert penalized_loss(logits, labels, mask, lambdas).item() == penalized_loss(logits, labels, mask, 0.5).item()
    with pytest.raises(InputError, match=r"a penalty of -0.5 cannot be"):
        penalized_loss(logits, labels, mask, -lambdas)
