"""Tiny models, uneven rows and the plain loop that the trainer has to equal."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch.nn import functional
from torch.utils.data import SequentialSampler
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

from ifcurate.training.forms import Penalty
from ifcurate.training.packing import PaddingCollator
from ifcurate.training.trainer import PenalizedTrainer

VOCABULARY = 48
MICRO_BATCH = 2
STEPS = 3
LEARNING_RATE = 0.5
WEIGHTS_FILE = "weights.pt"


def tiny_model(dtype: torch.dtype = torch.float64) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        initializer_range=0.3,
    )
    return LlamaForCausalLM(config).to(dtype)


def uneven_rows(count: int = 48, penalty: float = 1.0, marked_share: float = 0.2) -> list[dict]:
    """Rows of 1 to 16 tokens (one token: no label at all), some of their tokens marked."""
    generator = torch.Generator().manual_seed(1)
    rows = []
    for _ in range(count):
        length = int(torch.randint(1, 17, (), generator=generator))
        marked = torch.rand(length, generator=generator) < marked_share
        rows.append(
            {
                "input_ids": torch.randint(0, VOCABULARY, (length,), generator=generator).numpy(),
                "loss_weights": torch.where(marked, -penalty, 1.0).numpy(),
            }
        )
    return rows


def arguments(folder: Path, accumulation: int = 1, **others: object) -> TrainingArguments:
    settings = {
        "output_dir": str(folder),
        "per_device_train_batch_size": MICRO_BATCH,
        "gradient_accumulation_steps": accumulation,
        "max_steps": STEPS,
        "learning_rate": LEARNING_RATE,
        "lr_scheduler_type": "constant",
        "optim": "sgd",
        "weight_decay": 0.0,
        "max_grad_norm": 0.0,
        "remove_unused_columns": False,
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
        "use_cpu": True,
        **others,
    }
    return TrainingArguments(**settings)


class InOrder(PenalizedTrainer):
    def _get_train_sampler(self, *_: object) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)


class StandardInOrder(Trainer):
    def _get_train_sampler(self, *_: object) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)


def trained(folder: Path, rows: list[dict], accumulation: int, form: str) -> InOrder:
    trainer = InOrder(
        model=tiny_model(),
        args=arguments(folder, accumulation),
        train_dataset=rows,
        data_collator=PaddingCollator(0),
        penalty_form=Penalty(form, clamp="2.0", spared=SPARED if form in ("clamped", "npo") else ()),
        reference_model=tiny_model(),
    )
    trainer.train()
    return trainer


def plain_loop(rows: list[dict], rows_per_step: int, form: str) -> dict[str, torch.Tensor]:
    """Eq. 9 written down: one row at a time, float64 sums, one gradient step for all rows of a step."""
    model, frozen = tiny_model(), tiny_model()
    for step in range(STEPS):
        own = rows[step * rows_per_step : (step + 1) * rows_per_step]
        labels = sum(len(row["input_ids"]) - 1 for row in own)
        total = torch.zeros((), dtype=torch.float64)
        for row in own:
            tokens = torch.as_tensor(row["input_ids"])
            log_probs = functional.log_softmax(model(tokens.unsqueeze(0)).logits[0].double(), dim=-1)
            with torch.no_grad():
                reference = functional.log_softmax(frozen(tokens.unsqueeze(0)).logits[0].double(), dim=-1)
            for position in range(1, len(tokens)):
                loss = -log_probs[position - 1, tokens[position]]
                weight = float(row["loss_weights"][position])
                spared = form in ("clamped", "npo") and int(tokens[position]) in SPARED
                if weight < 0 and form != "ascent" and not spared:
                    total = total + -weight * by_hand(form, log_probs[position - 1], reference, tokens, position)
                elif weight <= 0 and spared:
                    total = total + loss  # a spared token is never marked
                else:
                    total = total + weight * loss
        model.zero_grad()
        (total / labels).backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= LEARNING_RATE * parameter.grad
    return model.state_dict()


def by_hand(
    form: str, log_probs: torch.Tensor, reference: torch.Tensor, tokens: torch.Tensor, position: int
) -> torch.Tensor:
    """What lambda multiplies, at one marked token."""
    token = int(tokens[position])
    if form == "unlikelihood":
        return -torch.log1p(-torch.exp(log_probs[token]))
    kept = [index for index in range(len(log_probs)) if index not in SPARED]
    loss = -log_probs[kept].log_softmax(-1)[kept.index(token)]
    if form == "clamped":
        return -loss.clamp(max=2.0)
    compared = -reference[position - 1, kept].log_softmax(-1)[kept.index(token)]
    return 20.0 * torch.log1p(torch.exp(0.1 * (compared - loss)))


SPARED = (1,)
CASES = [(1, "ascent"), (4, "ascent"), (4, "unlikelihood"), (4, "clamped"), (4, "npo")]


def train_every_case(folder: Path) -> None:
    """What each process of a launch does: trains all `CASES` with gloo and saves what rank 0 has."""
    for accumulation, form in CASES:
        trainer = trained(folder / "out", uneven_rows(), accumulation, form)
        if os.environ["RANK"] == "0":
            logs = [entry for entry in trainer.state.log_history if "loss_unmarked" in entry]
            weights = {name: value.clone() for name, value in trainer.model.state_dict().items()}
            torch.save({"weights": weights, "logs": logs}, folder / f"{accumulation}-{form}.pt")
