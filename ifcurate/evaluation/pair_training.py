"""Direct preference optimisation on pairs of completions (DPO, Rafailov et al. 2023), by TRL's trainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

import datasets
from transformers import PreTrainedModel, PreTrainedTokenizerFast, PrinterCallback, Trainer

from ifcurate.errors import InputError
from ifcurate.evaluation.preferences import Pair
from ifcurate.model.checkpoints import embedding_rows, start_token

Row = dict[str, list[int]]
"""Token ids of a pair, by the names that TRL's collator knows."""


def encode_pairs(pairs: Sequence[Pair], tokenizer: PreTrainedTokenizerFast, context: int) -> tuple[list[Row], int]:
    """Token ids of the pairs, and how many lost the beginning of their prompt to fit into `context` tokens.

    A prompt is encoded as it is when it is completed. A token that prompt and completion share belongs to the
    completions. Nothing is put behind a completion: most were cut after so many tokens, and did not end there.

    Raises:
        InputError: a completion leaves no room for a token before it.
    """
    rows, cut = [], 0
    for number, pair in enumerate(pairs, 1):
        prompt, chosen, rejected = (
            tokenizer(text)["input_ids"]
            for text in (pair.prompt, pair.prompt + pair.chosen, pair.prompt + pair.rejected)
        )
        shared = sum(1 for _ in takewhile(_equal, zip(prompt, chosen, rejected, strict=False)))
        before = prompt[:shared] or [start_token(tokenizer)]
        completions = chosen[shared:], rejected[shared:]
        room = context - max(map(len, completions))
        if room < 1 or not all(completions):
            raise InputError(
                f"pair {number}: a completion is empty or fills the {context} tokens of the model; remove the pair."
            )
        cut += len(before) > room
        rows.append({"prompt_ids": before[-room:], "chosen_ids": completions[0], "rejected_ids": completions[1]})
    return rows, cut


def _equal(ids: tuple[int, int, int]) -> bool:
    return ids[0] == ids[1] == ids[2]


def pair_trainer(
    model: PreTrainedModel,
    reference: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    rows: Sequence[Row],
    beta: float,
    arguments: Mapping[str, Any],
) -> Trainer:
    """TRL's trainer over `rows`, which it takes as they are.

    Args:
        model: is trained.
        reference: what it was before; stays as it is.
        tokenizer: of both; is stored with the model.
        rows: see `encode_pairs`.
        beta: how strongly the model is held to the reference.
        arguments: of `TrainingArguments`.

    Raises:
        InputError: TRL is not installed.
    """
    try:
        from trl import DPOConfig, DPOTrainer
    except ImportError as error:
        raise InputError(
            "preference learning needs TRL, which is not installed; run `pip install 'ifcurate[trl]'`."
        ) from error

    class PairTrainer(DPOTrainer):  # type: ignore[misc]
        """Of rows that are encoded: its own encoding ends every completion, as though the model had ended it."""

        def _prepare_dataset(self, dataset: datasets.Dataset, *_: Any) -> datasets.Dataset:
            return dataset

    if tokenizer.pad_token_id is None or tokenizer.pad_token_id >= embedding_rows(model):
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(start_token(tokenizer))
    own = {"beta": beta, "max_length": None, "gradient_checkpointing": False}
    trainer = PairTrainer(
        model=model,
        ref_model=reference,
        args=DPOConfig(**arguments, **own),
        train_dataset=datasets.Dataset.from_list(list(rows)),
        processing_class=tokenizer,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer
