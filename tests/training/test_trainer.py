from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from launches import in_two_processes
from torch.nn import functional
from training_cases import (
    CASES,
    MICRO_BATCH,
    InOrder,
    StandardInOrder,
    arguments,
    plain_loop,
    tiny_model,
    train_every_case,
    trained,
    uneven_rows,
)

from ifcurate.errors import InputError
from ifcurate.training.forms import PENALTY_FORMS, Penalty
from ifcurate.training.packing import PaddingCollator


def largest_difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.mark.parametrize(("accumulation", "form"), CASES)
def test_one_process_equals_the_plain_loop(tmp_path: Path, accumulation: int, form: str) -> None:
    trainer = trained(tmp_path, uneven_rows(), accumulation, form)
    expected = plain_loop(uneven_rows(), MICRO_BATCH * accumulation, form)
    assert largest_difference(trainer.model.state_dict(), expected) < 1e-9
    assert largest_difference(tiny_model().state_dict(), expected) > 1e-2


@pytest.mark.parametrize("form", list(PENALTY_FORMS))
def test_lambdas_of_their_own_equal_the_plain_loop(tmp_path: Path, form: str) -> None:
    rows = uneven_rows()
    generator = torch.Generator().manual_seed(2)
    for row in rows:
        own = torch.rand(len(row["loss_weights"]), generator=generator).numpy() * 2
        row["loss_weights"] = np.where(row["loss_weights"] < 0, -own, 1.0)
    trainer = trained(tmp_path, rows, 4, form)
    expected = plain_loop(rows, MICRO_BATCH * 4, form)
    assert largest_difference(trainer.model.state_dict(), expected) < 1e-7  # weights are float32
    assert largest_difference(plain_loop(uneven_rows(), MICRO_BATCH * 4, form), expected) > 1e-3


def test_stored_losses_take_the_place_of_a_reference_model(tmp_path: Path) -> None:
    rows, stored, frozen = uneven_rows(), [], tiny_model()
    for row in rows:
        tokens = torch.as_tensor(row["input_ids"])
        logits = frozen(tokens[None, :]).logits[0, :-1].detach()
        losses = functional.cross_entropy(logits, tokens[1:], reduction="none")
        stored.append({**row, "reference_losses": [0.0, *losses.tolist()]})

    def trained_with(own_rows: list[dict], **given: object) -> dict[str, torch.Tensor]:
        trainer = InOrder(
            model=tiny_model(),
            args=arguments(tmp_path, 4),
            train_dataset=own_rows,
            data_collator=PaddingCollator(0),
            penalty_form=Penalty("npo"),
            **given,
        )
        trainer.train()
        return dict(trainer.model.state_dict())

    computed = trained_with(rows, reference_model=tiny_model())
    assert largest_difference(trained_with(stored), computed) < 1e-6  # stored as float32
    with pytest.raises(InputError, match="the penalty form npo needs the losses of a reference model; give them or it"):
        trained_with(rows)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="forks processes that have imported torch")
def test_two_processes_equal_the_plain_loop(tmp_path: Path) -> None:
    in_two_processes(lambda: train_every_case(tmp_path), tmp_path / "said.txt")
    for accumulation, form in CASES:
        found = torch.load(tmp_path / f"{accumulation}-{form}.pt")
        expected = plain_loop(uneven_rows(), 2 * MICRO_BATCH * accumulation, form)
        assert largest_difference(found["weights"], expected) < 1e-9


def test_a_penalty_acts_between_its_start_and_its_end(tmp_path: Path) -> None:
    """Elsewhere marked tokens are left out, and still counted in N; three steps are too few for a ramp."""
    rows, rows_a_step = uneven_rows(), 2 * MICRO_BATCH
    chosen = Penalty(start=1 / 3, end=2 / 3)
    trainer = InOrder(
        model=tiny_model(),
        args=arguments(tmp_path, accumulation=2),
        train_dataset=rows,
        data_collator=PaddingCollator(0),
        penalty_form=chosen,
    )
    trainer.train()
    scheduled = []
    for index, row in enumerate(rows):
        weights = row["loss_weights"]
        acts = index // rows_a_step == 1
        scheduled.append({**row, "loss_weights": weights if acts else weights.clip(min=0.0)})
    expected = plain_loop(scheduled, rows_a_step, "ascent")
    assert largest_difference(trainer.model.state_dict(), expected) < 1e-9
    assert largest_difference(plain_loop(rows, rows_a_step, "ascent"), expected) > 1e-3


def test_an_empty_mask_trains_like_the_standard_trainer_bit_for_bit(tmp_path: Path) -> None:
    rows = uneven_rows(marked_share=0.0)
    collator = PaddingCollator(0)

    def without_weights(batch: list[dict]) -> dict[str, torch.Tensor]:
        tensors = collator(batch)
        del tensors["loss_weights"]
        return tensors

    for accumulation in (1, 4):
        args = arguments(tmp_path, accumulation, optim="adamw_torch", learning_rate=1e-2, max_grad_norm=1.0)
        model = tiny_model(torch.float32)
        StandardInOrder(model=model, args=args, train_dataset=rows, data_collator=without_weights).train()
        expected = model.state_dict()
        assert largest_difference(expected, tiny_model(torch.float32).state_dict()) > 1e-3, "it has trained"
        for form in PENALTY_FORMS:
            ours = tiny_model(torch.float32)
            given = {"penalty_form": form, "reference_model": tiny_model(torch.float32)}
            InOrder(model=ours, args=args, train_dataset=rows, data_collator=collator, **given).train()
            assert all(torch.equal(value, expected[name]) for name, value in ours.state_dict().items())


def test_logs_the_mean_loss_of_marked_and_unmarked_tokens(tmp_path: Path) -> None:
    rows = uneven_rows(8)
    trainer = trained(tmp_path, rows * 3, 4, "ascent")
    losses: dict[bool, list[float]] = {True: [], False: []}
    model = tiny_model()
    for row in rows:
        tokens = torch.as_tensor(row["input_ids"])
        each = functional.cross_entropy(model(tokens[None, :]).logits[0, :-1], tokens[1:], reduction="none")
        for loss, weight in zip(each.tolist(), row["loss_weights"][1:], strict=True):
            losses[bool(weight < 0)].append(loss)
    first = trainer.state.log_history[0]
    assert first["loss_marked"] == pytest.approx(sum(losses[True]) / len(losses[True]), abs=1e-5)
    assert first["loss_unmarked"] == pytest.approx(sum(losses[False]) / len(losses[False]), abs=1e-5)
    assert first["marked_share"] == pytest.approx(len(losses[True]) / len(losses[True] + losses[False]))
    assert first["loss"] == pytest.approx(
        (sum(losses[False]) - sum(losses[True])) / len(losses[True] + losses[False]), abs=1e-3
    )


def test_the_held_out_loss_does_not_depend_on_the_batch_size(tmp_path: Path) -> None:
    rows = [row for row in uneven_rows(11) if len(row["input_ids"]) > 1]
    model = tiny_model()
    total, count = 0.0, 0
    for row in rows:
        tokens = torch.as_tensor(row["input_ids"])
        logits = model(tokens[None, :]).logits[0, :-1].detach()
        total += float(functional.cross_entropy(logits, tokens[1:], reduction="sum"))
        count += len(tokens) - 1
    for size in (1, 3, 16):
        trainer = InOrder(
            model=tiny_model(),
            args=arguments(tmp_path, per_device_eval_batch_size=size),
            eval_dataset=rows,
            data_collator=PaddingCollator(0),
        )
        metrics = trainer.evaluate()
        assert metrics["eval_loss"] == pytest.approx(total / count, abs=1e-5)
        assert metrics["eval_perplexity"] == pytest.approx(math.exp(total / count), rel=1e-4)
