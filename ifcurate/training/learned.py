"""What is trained: a model and its tokenizer, with the control tokens that marked tokens may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from ifcurate.errors import InputError
from ifcurate.model.checkpoints import check_vocabulary, embedding_rows, load_checkpoint, load_tokenizer
from ifcurate.model.stored import AS_IS
from ifcurate.training.config import TrainConfig
from ifcurate.training.marked import TREATMENTS, Edit, control_ids, embed_tokens, say_control_tokens

WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json")


@dataclass(frozen=True)
class Learned:
    """A model to train.

    Attributes:
        model: with a row for every control token, which its generation settings name.
        tokenizer: as it was given; texts are read with it, so that none can spell a control token.
        saved_tokenizer: with the control tokens.
        control: their ids.
        edit: what becomes of a document's tokens; None where they stay as they are.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    saved_tokenizer: PreTrainedTokenizerFast
    control: tuple[int, ...] = ()
    edit: Edit | None = None

    @property
    def vocabulary(self) -> int:
        """Rows of the model's embedding, which decides how token ids are stored."""
        return embedding_rows(self.model)


def load_learned(config: TrainConfig, checkpoint: Path | None) -> Learned:
    """What `config` names, with the weights of `checkpoint` where there is one.

    Raises:
        InputError: model or tokenizer cannot be loaded, or do not fit.
    """
    place = config.tokenizer or str(config.model or config.config_name)
    stored = config.stored if config.tokenizer is None else AS_IS
    tokenizer = load_tokenizer(place, config.revision, config.trust, stored)
    resumed = checkpoint is not None and any((checkpoint / name).is_file() for name in WEIGHT_FILES)
    model = _load_model(config, checkpoint if resumed else None)
    check_vocabulary(tokenizer, model)
    treatment = TREATMENTS.get(config.marked)
    if treatment is None:
        return Learned(model, tokenizer, tokenizer)
    saved = load_tokenizer(place, config.revision, config.trust, stored)
    known = set(saved.get_vocab().values())
    ids = control_ids(treatment, saved)
    if (new := [number for number in ids if number not in known]) and not resumed:
        embed_tokens(new, model)
    say_control_tokens(treatment, ids, model)
    return Learned(model, tokenizer, saved, ids, partial(treatment.edit, ids))


def _load_model(config: TrainConfig, checkpoint: Path | None) -> PreTrainedModel:
    """The model to fine-tune, or a new one with weights drawn from the seed, or that of `checkpoint`; in float32.

    The Trainer reads a checkpoint's weights by today's parameter names, `save_pretrained` wrote them by those of the
    published format: GPT-NeoX's output layer would stay as it was. `from_pretrained` knows both.
    """
    if checkpoint is not None:
        return load_checkpoint(str(checkpoint), trust=config.trust)
    if config.model is not None:
        return load_checkpoint(config.model, config.revision, trust=config.trust, stored=config.stored)
    try:
        architecture = AutoConfig.from_pretrained(
            config.config_name, revision=config.revision, **config.trust.of_code()
        )
        return AutoModelForCausalLM.from_config(architecture, dtype=torch.float32, **config.trust.of_code())
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        hint = config.trust.hint(str(config.config_name), error)
        raise InputError(
            f"option --config-name: {config.config_name} is no configuration of a causal language model ({reason}); "
            f"{hint or 'give a config.json, a folder with one, or a Hub id'}."
        ) from error
