"""The demo's model: a byte-level BPE tokenizer and a Llama of 1.3 million parameters, trained in about a minute."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)

from ifcurate.files import finishing_folder
from ifcurate.progress import Tracker, track

VOCABULARY = 4096
CONTEXT = 256
BATCH = 4
LEARNING_RATE = 4e-3

START, PAD = "<s>", "<pad>"


def train_demo_model(texts: list[str], folder: Path, epochs: float, seed: int) -> None:
    """Train tokenizer and model on `texts` and save both to `folder`, which appears only when it is complete."""
    tokenizer = train_tokenizer(texts)
    model = new_model(tokenizer, seed)
    rows = pack(texts, tokenizer)
    steps = -(-len(rows) // BATCH) * epochs
    with finishing_folder(folder) as unfinished, track("train", steps * BATCH * CONTEXT) as tracker:
        trainer = Trainer(model, _arguments(unfinished, epochs, seed), train_dataset=rows, callbacks=[_Report(tracker)])
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        model.save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)


def train_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of `VOCABULARY` tokens, with `<s>` as BOS and EOS."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[START, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    bpe.post_processor = processors.ByteLevel(trim_offsets=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token=START, eos_token=START, pad_token=PAD, model_max_length=CONTEXT
    )


def new_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """An untrained Llama: four layers, width 128, tied embeddings, 1.3 million parameters."""
    set_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def pack(texts: list[str], tokenizer: PreTrainedTokenizerFast) -> list[dict[str, torch.Tensor]]:
    """All texts in one stream, `<s>` before each, cut into rows of `CONTEXT` tokens; a shorter rest is left out."""
    encoded: Iterator[list[int]] = iter(tokenizer(texts, add_special_tokens=False)["input_ids"])
    stream = torch.tensor(list(chain.from_iterable([tokenizer.bos_token_id, *ids] for ids in encoded)))
    rows = stream[: len(stream) // CONTEXT * CONTEXT].view(-1, CONTEXT)
    return [{"input_ids": row, "labels": row} for row in rows]


def _arguments(folder: Path, epochs: float, seed: int) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=epochs,
        per_device_train_batch_size=BATCH,
        learning_rate=LEARNING_RATE,
        lr_scheduler_type="cosine",
        warmup_steps=20,
        weight_decay=0.1,
        adam_beta2=0.95,
        seed=seed,
        use_cpu=True,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


class _Report(TrainerCallback):
    """Tells the progress bar how far the Trainer is."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """See `TrainerCallback.on_step_end`."""
        done = state.global_step * BATCH * CONTEXT
        self._tracker.update(done, done)
