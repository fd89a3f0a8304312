"""Recipe of `ifcurate eval activations`: where inside a model a behaviour shows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from transformers import PreTrainedModel

from ifcurate.errors import InputError
from ifcurate.evaluation.activations import (
    ACTIVATIONS_FILE,
    Activations,
    QueryStates,
    load_activations,
    measure_differences,
    save_activations,
)
from ifcurate.evaluation.lens import promoted_tokens
from ifcurate.files import clear
from ifcurate.influence.queries import hash_queries, read_queries
from ifcurate.influence.query_gradient import QueryWindow, query_windows
from ifcurate.model.checkpoints import (
    check_vocabulary,
    context_length,
    embedding_rows,
    load_causal_lm,
    load_tokenizer,
    start_token,
)
from ifcurate.model.control_tokens import ControlTokens
from ifcurate.model.devices import resolve_batch_tokens, resolve_device, resolve_dtype
from ifcurate.model.hashes import hash_model, hash_tokenizer
from ifcurate.model.settings import TrustSettings
from ifcurate.pipelines.activations_config import ActivationsConfig
from ifcurate.pipelines.finished_folder import made_from, record_made

SETTINGS_FILE = "activations.yaml"
FREE_TO_CHANGE = frozenset({"overwrite", "device", "threads", "batch_tokens", *TrustSettings.model_fields})
"""Settings that leave no trace, but for rounding."""
PROMOTED = 6
"""Tokens that a block's difference is shown by."""


@dataclass(frozen=True)
class FoundActivations:
    """The activations, their folder, and of each block the tokens that its difference leads to."""

    activations: Activations
    folder: Path
    promoted: list[list[str]]


def find_activations(config: ActivationsConfig) -> FoundActivations:
    """Measure and write them, unless that is done.

    Raises:
        InputError: the model or the queries cannot be used, or the folder holds something else.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    out, device = Path(config.out), resolve_device(config.device)
    if config.overwrite:
        clear(out, SETTINGS_FILE)
    tokenizer = load_tokenizer(config.model, config.revision, config.trust)
    model = load_causal_lm(config.model, config.revision, resolve_dtype(config.dtype, device), device, config.trust)
    check_vocabulary(tokenizer, model)
    _refuse_prefixes(config, model)
    queries, contrast_queries = (
        read_queries(file, config.max_queries, config.seed) for file in (config.queries, config.contrast)
    )
    origin = {
        "model": hash_model(model),
        "tokenizer": hash_tokenizer(tokenizer),
        "queries": hash_queries(queries),
        "contrast": hash_queries(contrast_queries),
    }
    if made_from(out, SETTINGS_FILE, config, origin, FREE_TO_CHANGE) is None:
        record_made(out, SETTINGS_FILE, config, origin)
    if not (out / ACTIVATIONS_FILE).is_file():
        context, embeddings = context_length(model, config.context), embedding_rows(model)
        behaviour = query_windows(queries, tokenizer, context, config.queries, embeddings).windows
        contrast = query_windows(contrast_queries, tokenizer, context, config.contrast, embeddings).windows
        states = QueryStates(model, start_token(tokenizer), resolve_batch_tokens(config.batch_tokens, device))
        differences, separation = measure_differences(states, behaviour, contrast, config.seed)
        facts = {
            "behaviour": config.behaviour,
            "model": config.model,
            "model_hash": origin["model"],
            "queries": _made_of(behaviour),
            "contrast": _made_of(contrast),
            "separation": [asdict(block) for block in separation],
        }
        save_activations(differences, facts, out / ACTIVATIONS_FILE)
    activations = load_activations(out)
    return FoundActivations(activations, out, promoted_tokens(model, tokenizer, activations.differences, PROMOTED))


def _refuse_prefixes(config: ActivationsConfig, model: PreTrainedModel) -> None:
    if ControlTokens.said_by(model.generation_config).prefix:
        raise InputError(
            f"{config.model}: was trained with --marked tag and is read behind a control token, which queries do not "
            "stand behind; give another model."
        )


def _made_of(windows: list[QueryWindow]) -> int:
    """Queries that the differences are made of."""
    return len({query.window.document for query in windows if query.window.document % 2 == 0})
