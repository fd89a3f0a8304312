from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_cases import BATCH, CLOSED, LENGTH, VOCABULARY, case, gradient
from torch.nn import functional

from ifcurate.errors import InputError
from ifcurate.training import penalty as module
from ifcurate.training.forms import PENALTY_FORMS, Penalty
from ifcurate.training.penalty import IGNORED, count_labels, next_labels, penalized_loss, weighted_loss


def standard(logits: torch.Tensor, labels: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """The loss that transformers' causal language models compute."""
    flat = logits.float().view(-1, VOCABULARY)
    return (
        functional.cross_entropy(flat, next_labels(labels).reshape(-1), ignore_index=IGNORED, reduction="sum") / count
    )


def labels_in(labels: torch.Tensor) -> torch.Tensor:
    return labels[:, 1:].ne(IGNORED).sum()


@pytest.fixture(params=[1, 2 * VOCABULARY, 1 << 20])
def _chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.CHUNK_ELEMENTS, "cpu", request.param)


def test_n_counts_the_labels_that_a_position_predicts() -> None:
    labels = torch.tensor([[5, 6, IGNORED, 7], [IGNORED, 8, 9, IGNORED]])
    assert count_labels(labels).item() == 4  # nothing predicts the 5


def test_without_a_label_the_loss_is_nought() -> None:
    logits, labels, mask = case()
    loss = penalized_loss(logits, labels.fill_(IGNORED), mask)
    assert loss.item() == 0.0
    assert not gradient(loss, logits).any()


@pytest.mark.usefixtures("_chunk")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("form", list(PENALTY_FORMS))
def test_an_empty_mask_has_the_gradient_bits_of_the_standard_loss(dtype: torch.dtype, form: str) -> None:
    logits, labels, mask = case(dtype=dtype)
    ours = penalized_loss(logits, labels, torch.zeros_like(mask), 1.0, form, reference=torch.ones(labels.shape))
    theirs = standard(logits, labels, labels_in(labels))
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)
    assert torch.equal(gradient(ours, logits), gradient(theirs, logits))


@pytest.mark.usefixtures("_chunk")
@pytest.mark.parametrize("form", list(PENALTY_FORMS))
def test_lambda_zero_leaves_marked_labels_out_of_the_sum_but_not_of_n(form: str) -> None:
    logits, labels, mask = case()
    ours = penalized_loss(logits, labels, mask, 0.0, form, reference=torch.ones(labels.shape))
    theirs = standard(logits, labels.masked_fill(mask, IGNORED), labels_in(labels))
    assert torch.equal(gradient(ours, logits), gradient(theirs, logits))


def by_hand(
    logits: torch.Tensor,
    labels: torch.Tensor,
    mask: torch.Tensor,
    reference: torch.Tensor,
    form: str,
    penalty: float,
    spared: tuple[int, ...] = (),
) -> list[torch.Tensor]:
    """The summands of Eq. 9, token by token."""
    terms = []
    for row in range(BATCH):
        for position in range(1, LENGTH):
            label = int(labels[row, position])
            if label == IGNORED:
                continue
            own = logits[row, position - 1]
            if not mask[row, position] or label in spared:
                terms.append(-torch.log(own.softmax(-1)[label]))
                continue
            kept = [token for token in range(VOCABULARY) if token not in spared]
            p = own[kept].softmax(-1)[kept.index(label)]
            terms.append(penalty * CLOSED[form](p, reference[row, position]))
    return terms


@pytest.mark.usefixtures("_chunk")
@pytest.mark.parametrize("spared", [(), (0,), (3, 7)])
@pytest.mark.parametrize("form", list(PENALTY_FORMS))
@given(seed=st.integers(0, 1000), penalty=st.floats(0.1, 30))
@settings(max_examples=10, deadline=None)
def test_equals_the_formula(form: str, spared: tuple[int, ...], seed: int, penalty: float) -> None:
    """Spared tokens are left out of the softmax at marked labels, and are never marked themselves."""
    logits, labels, mask = case(seed, torch.float64)
    reference = torch.rand(labels.shape, dtype=torch.float64) * 5
    terms = by_hand(logits, labels, mask, reference, form, penalty, spared)
    expected = torch.stack(terms).sum() / len(terms)
    chosen = Penalty(form, clamp="1.5", beta=0.3, spared=spared)
    ours = penalized_loss(logits, labels, mask, penalty, chosen, reference=reference)
    summands = float(torch.stack(terms).detach().abs().mean())  # marked tokens and others can all but cancel
    assert ours.item() == pytest.approx(expected.item(), abs=1e-6 * summands)
    torch.testing.assert_close(gradient(ours, logits), gradient(expected, logits), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("form", list(PENALTY_FORMS))
def test_no_gradient_reaches_a_spared_token_at_a_marked_label(form: str) -> None:
    logits, labels, _ = case(dtype=torch.float64)
    labels, mask = labels.clamp(min=1), torch.ones(BATCH, LENGTH, dtype=torch.bool)
    chosen = Penalty(form, clamp="50", spared=(0,))
    slope = gradient(penalized_loss(logits, labels, mask, 1.0, chosen, reference=torch.ones(labels.shape)), logits)
    assert not slope[..., 0].any()
    assert slope[:, :-1, 1:].abs().sum() > 0


def test_clamps_are_nats_shares_of_uniform_guessing_or_above_the_reference() -> None:
    logits = torch.zeros(1, 3, VOCABULARY, dtype=torch.float64, requires_grad=True)
    labels, mask = torch.tensor([[0, 1, 2]]), torch.ones(1, 3, dtype=torch.bool)
    uniform = math.log(VOCABULARY)
    for clamp, limit in [("1.25", 1.25), ("50%", uniform / 2), ("100%", uniform), ("base+0.5", 1.5), ("99", uniform)]:
        reference = torch.ones(labels.shape)
        loss = penalized_loss(logits, labels, mask, 1.0, Penalty("clamped", clamp), reference=reference)
        assert loss.item() == pytest.approx(-limit), clamp
    for clamp in ("0", "-1", "nan", "base", "base+", "%", "many"):
        with pytest.raises(InputError, match=r"a clamp of .* cannot be; give nats"):
            Penalty("clamped", clamp)


def test_a_form_that_compares_needs_a_reference() -> None:
    logits, labels, mask = case()
    for penalty in (Penalty("npo"), Penalty("clamped", "base+1")):
        assert penalty.needs_reference
        with pytest.raises(InputError, match="needs the losses of a reference model"):
            penalized_loss(logits, labels, mask, 1.0, penalty)
    assert not Penalty("clamped").needs_reference
    with pytest.raises(InputError, match="a beta of 0 cannot be"):
        Penalty("npo", beta=0)


def test_lambda_rises_after_the_start_and_is_zero_from_the_end_on() -> None:
    late = Penalty(start=0.2, end=0.8)
    strengths = [late.strength(step, 100) for step in (0, 19, 20, 25, 30, 31, 79, 80, 99)]
    assert strengths == pytest.approx([0, 0, 0, 0.5, 1, 1, 1, 0, 0])
    assert {Penalty().strength(step, 100) for step in range(100)} == {1.0}
    for start, end in [(0.5, 0.5), (0.8, 0.2), (-0.1, 1.0), (0.0, 1.1), (math.nan, 1.0)]:
        with pytest.raises(InputError, match="the start below the end"):
            Penalty(start=start, end=end)


def test_the_denominator_is_the_number_of_labels_and_can_be_given() -> None:
    logits, labels, mask = case()
    default = penalized_loss(logits, labels, mask)
    count = labels_in(labels)
    assert default.item() == pytest.approx(penalized_loss(logits, labels, mask, denominator=count).item())
    assert default.item() * float(count) == pytest.approx(
        penalized_loss(logits, labels, mask, denominator=4.0).item() * 4, rel=1e-5
    )


def test_no_label_at_all_costs_nothing() -> None:
    logits, labels, mask = case()
    loss = penalized_loss(logits, torch.full_like(labels, IGNORED), mask)
    assert loss.item() == 0.0
    assert not gradient(loss, logits).any()


def test_the_bounded_form_stays_finite_where_p_rounds_to_one() -> None:
    logits = torch.zeros(1, 2, 4)
    logits[0, 0, 2] = 100.0
    logits.requires_grad_()
    labels = torch.tensor([[0, 2]])
    loss = penalized_loss(logits, labels, labels == 2, 1.0, "unlikelihood")
    assert loss.item() == pytest.approx(100 - torch.tensor(3.0).log().item(), rel=1e-5)
    expected = torch.tensor([-1 / 3, -1 / 3, 1.0, -1 / 3])
    torch.testing.assert_close(gradient(loss, logits)[0, 0], expected)


def test_token_losses_stand_where_their_labels_stand() -> None:
    logits, labels, mask = case()
    losses = weighted_loss(logits, labels, torch.where(mask, -1.0, 1.0)).token_losses
    expected = functional.cross_entropy(
        logits[:, :-1].reshape(-1, VOCABULARY), labels[:, 1:].reshape(-1), reduction="none"
    )
    torch.testing.assert_close(losses[:, 1:].reshape(-1), expected.detach())
    assert not losses[:, 0].any()
    assert not losses.requires_grad


def test_each_token_can_have_its_own_lambda() -> None:
    logits, labels, _ = case()
    weights = torch.where(labels % 3 == 0, -0.5, torch.where(labels % 3 == 1, -2.0, 1.0))
    result = weighted_loss(logits, labels, weights)
    counted = labels.ne(IGNORED)
    counted[:, 0] = False
    expected = (result.token_losses * weights * counted).sum() / counted.sum()
    assert result.loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_no_gradient_is_made_where_none_is_wanted() -> None:
    logits, labels, mask = case()
    with torch.no_grad():
        loss = penalized_loss(logits, labels, mask)
    assert not loss.requires_grad
    assert loss.item() == pytest.approx(penalized_loss(logits, labels, mask).item())


def test_a_second_backward_pass_is_refused() -> None:
    logits, labels, mask = case()
    loss = penalized_loss(logits, labels, mask)
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="compute the loss again"):
        loss.backward()


def test_a_form_goes_by_its_name_and_no_other_is_taken() -> None:
    logits, labels = torch.randn(1, 4, 5), torch.tensor([[0, 1, 2, 3]])
    losses = {
        name: float(penalized_loss(logits, labels, labels == 2, 1.0, name)) for name in ("ascent", "unlikelihood")
    }
    assert losses["ascent"] < losses["unlikelihood"]
    assert losses["ascent"] == float(penalized_loss(logits, labels, labels == 2))
    with pytest.raises(
        InputError, match="there is no penalty form 'ascend'; give one of ascent, unlikelihood, clamped, npo"
    ):
        penalized_loss(logits, labels, labels == 2, 1.0, "ascend")


@pytest.mark.parametrize("penalty", [-1.0, float("nan"), float("inf")])
def test_a_penalty_that_rewards_is_refused(penalty: float) -> None:
    logits, labels = torch.randn(1, 4, 5), torch.tensor([[0, 1, 2, 3]])
    with pytest.raises(InputError, match="give a finite lambda of at least 0"):
        penalized_loss(logits, labels, labels == 2, penalty)
