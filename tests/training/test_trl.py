"""TRL's SFTTrainer with our collator and loss, on the data set that `ifcurate export --format hf` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from annotated_corpora import annotate, tiny_neox, word_tokenizer
from torch.utils.data import SequentialSampler
from transformers import AutoModelForCausalLM

from ifcurate import PackingCollator, PenalizedLossMixin, PenalizedTrainer
from ifcurate.export.config import ExportConfig
from ifcurate.pipelines.export import export

trl = pytest.importorskip("trl", reason="needs TRL: pip install 'ifcurate[trl]'")
datasets = pytest.importorskip("datasets")

SHAPE = {
    "max_steps": 3,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 2,
    "learning_rate": 1e-2,
    "lr_scheduler_type": "constant",
    "logging_steps": 1,
    "report_to": "none",
    "save_strategy": "no",
    "use_cpu": True,
    "bf16": False,
    "disable_tqdm": True,
    "remove_unused_columns": False,
}


class PenalizedSFTTrainer(PenalizedLossMixin, trl.SFTTrainer):
    def _get_train_sampler(self, *_: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)


class InOrder(PenalizedTrainer):
    def _get_train_sampler(self, *_: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)


@pytest.fixture(params=["equal", "influence"])
def rows(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    tokenizer = word_tokenizer(tiny_neox(tmp_path / "model"))
    data = annotate(tmp_path / "data", tokenizer, scored=True)
    config = ExportConfig(
        data=str(data),
        tokenizer=str(tmp_path / "model"),
        out=str(tmp_path / "hf"),
        format="hf",
        penalty=["0.5"],
        penalty_weights=request.param,
    )
    export(config)
    return datasets.load_dataset(str(tmp_path / "hf"), split="train", cache_dir=str(tmp_path / "cache"))


def test_sft_trainer_learns_what_our_trainer_learns(rows: Any, tmp_path: Path) -> None:
    collator = PackingCollator(length=8, pad_token=0)
    models = [AutoModelForCausalLM.from_pretrained(tmp_path / "model") for _ in range(2)]
    arguments = trl.SFTConfig(
        output_dir=str(tmp_path), dataset_kwargs={"skip_prepare_dataset": True}, gradient_checkpointing=False, **SHAPE
    )
    tokenizer = word_tokenizer(tmp_path / "tokenizer")
    tokenizer.pad_token = "<unk>"
    theirs = PenalizedSFTTrainer(
        model=models[0], args=arguments, train_dataset=rows, data_collator=collator, processing_class=tokenizer
    )
    theirs.train()
    ours = InOrder(model=models[1], args=arguments, train_dataset=rows, data_collator=collator)
    ours.train()
    expected = models[1].state_dict()
    for name, value in models[0].state_dict().items():
        torch.testing.assert_close(value, expected[name])
    assert theirs.state.log_history[0]["loss_marked"] == pytest.approx(ours.state.log_history[0]["loss_marked"])
    assert theirs.state.log_history[0]["loss_unmarked"] > 0
