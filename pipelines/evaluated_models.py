"""What every evaluation begins with: the processes that share it, each model's folder, and the model itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerFast

from ifcurate.evaluation.config import FluencyConfig, ModelsConfig, RecognitionConfig
from ifcurate.evaluation.fluency import Reader
from ifcurate.evaluation.results import EVALUATION_FILE, Evaluation, ModelFolder, model_folders
from ifcurate.files import clear
from ifcurate.model.checkpoints import check_vocabulary, context_length, load_causal_lm, load_tokenizer
from ifcurate.model.control_tokens import ControlTokens
from ifcurate.model.devices import resolve_batch_tokens, resolve_dtype
from ifcurate.model.ranks import Ranks, find_ranks
from ifcurate.model.stored_hash import hash_stored


def start(device: str, threads: int | None) -> Ranks:
    """Where this process stands, with the threads it was given."""
    if threads is not None:
        torch.set_num_threads(threads)
    return find_ranks(device)


def begin(config: ModelsConfig, ranks: Ranks) -> list[tuple[ModelFolder, Evaluation]]:
    """Every model's folder, made its own, and what is known of that very model."""
    begun = []
    for folder, place in model_folders(config.models, config.out):
        if config.overwrite and ranks.first:
            clear(folder.path, EVALUATION_FILE)
        ranks.wait()
        known = folder.read_or_begin(place, hash_stored(place, config.revision, config.trust))
        if ranks.first:
            folder.write(known)
        begun.append((folder, known))
    ranks.wait()
    return begun


@dataclass(frozen=True)
class OpenedModel:
    """A model that reads: its tokenizer, the tokens of a window, and those that steer it."""

    reader: Reader
    tokenizer: PreTrainedTokenizerFast
    context: int
    control: ControlTokens


def open_model(config: FluencyConfig | RecognitionConfig, known: Evaluation, ranks: Ranks) -> OpenedModel:
    """The model of an evaluation, loaded and checked.

    Raises:
        InputError: it cannot be loaded, or does not fit its tokenizer.
    """
    tokenizer = load_tokenizer(known.place, config.revision, config.trust)
    model = load_causal_lm(
        known.place, config.revision, resolve_dtype(config.dtype, ranks.device), ranks.device, config.trust
    )
    check_vocabulary(tokenizer, model)
    reader = Reader(model, resolve_batch_tokens(config.batch_tokens, ranks.device), ranks)
    control = ControlTokens.said_by(model.generation_config)
    return OpenedModel(reader, tokenizer, context_length(model, config.context), control)
