"""Recipe of the first stage: curvature factors on a sample of the corpus."""

from __future__ import annotations

import gc
import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerFast

from ifcurate.corpus.documents import on_messages
from ifcurate.corpus.shards import Shard
from ifcurate.errors import InputError
from ifcurate.files import write_text
from ifcurate.influence.curvature import fit as own_passes
from ifcurate.influence.curvature import through_kronfluence
from ifcurate.influence.curvature.factors import load_factors
from ifcurate.influence.curvature.idle import idle_layers, idle_sentence
from ifcurate.influence.probe import require_scorable
from ifcurate.influence.sample import sample_windows
from ifcurate.machine import cores
from ifcurate.model.checkpoints import (
    check_vocabulary,
    context_length,
    embedding_rows,
    load_causal_lm,
    load_tokenizer,
    start_token,
)
from ifcurate.model.devices import forbid_reduced_precision, is_out_of_memory, resolve_batch_tokens, resolve_device
from ifcurate.model.experts import ExpertLayout
from ifcurate.model.layers import Coverage, say_coverage
from ifcurate.model.positions import hold_positions
from ifcurate.model.ranks import Ranks
from ifcurate.model.windows import Window
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.stage_times import Stage, timed
from ifcurate.progress import log


def fit(run: Run, config: RunConfig, shards: Sequence[Shard], ranks: Ranks | None = None) -> None:
    """Fit `RUN/factors` unless they are there; computes in float32 with all CPU threads or on the GPU.

    Batches are halved, and the stage begun anew, when memory runs out. The processes of a launch, `ranks`, share the
    work out, and the first one writes; in a launch, memory that runs out is refused.

    Raises:
        InputError: the model, its tokenizer or the corpus cannot be used, or one window does not fit into memory.
    """
    ranks = ranks or Ranks(0, 1, resolve_device(config.device))
    if ranks.count > 1 and config.fit_with == "kronfluence":
        raise InputError("option --fit-with: kronfluence cannot share work out; start one process.")
    found = run.factors.is_dir()
    ranks.wait()
    if found:
        return
    with timed(run.logs, "fit") if ranks.first else nullcontext(Stage("fit")) as stage:
        torch.set_num_threads(max(1, cores() // ranks.count))
        forbid_reduced_precision()
        device = ranks.device
        tokenizer = load_tokenizer(config.model, config.revision, config.trust, config.stored)
        shape = _checked_shape(config, tokenizer)
        sample = sample_windows(
            shards,
            config.text_column,
            config.id_column,
            tokenizer,
            shape.context,
            config.fit_tokens,
            config.seed,
            shape.embeddings,
            config.bad_rows,
            config.overlap,
            on_messages(shards, config.text_column, config.on),
        )
        facts = {"documents": sample.documents, "tokens": sample.tokens, "hash": sample.hash()}
        if ranks.first:
            write_text(run.sample, json.dumps(facts, indent=2) + "\n")
        log.debug(f"fit: {sample.tokens:,} tokens of {sample.documents:,} documents, on {device}")
        batch_tokens = resolve_batch_tokens(config.batch_tokens, device)
        longest = max(len(window) for window in sample.windows)
        while not _fits(run, config, ranks, sample.windows, start_token(tokenizer), batch_tokens, stage):
            gc.collect()  # what was computed hangs in the hooks of the model's layers
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            if ranks.count > 1:
                raise InputError(
                    f"option --batch-tokens: {batch_tokens} positions a batch do not fit into the memory of process "
                    f"{ranks.index} of {ranks.count}; give fewer."
                )
            if batch_tokens <= longest:
                raise InputError(
                    f"option --context: fitting on a window of {longest} tokens does not fit into the memory of "
                    f"{device}; give fewer tokens, or use a smaller model or a larger device."
                )
            stage.counts["computed"] = 0
            stage.add(halvings=1)
            batch_tokens //= 2
        _say_idle_experts(run, shape.experts)
        stage.add(tokens=sample.tokens, documents=sample.documents)


def check_model(config: RunConfig) -> Coverage:
    """Say what of the model is tracked, or refuse it, before anything is made.

    Raises:
        InputError: the model or its tokenizer cannot be used, and why.
    """
    tokenizer = load_tokenizer(config.model, config.revision, config.trust, config.stored)
    model = load_causal_lm(config.model, config.revision, trust=config.trust, stored=config.stored)
    check_vocabulary(tokenizer, model)
    hold_positions(model, context_length(model, config.context, config.overlap))
    covered = require_scorable(model)
    say_coverage(covered)
    return covered


@dataclass(frozen=True)
class _Shape:
    """Of a model that is not kept: tokens a window, rows of the embedding, and where its experts are."""

    context: int
    embeddings: int
    experts: ExpertLayout


def _checked_shape(config: RunConfig, tokenizer: PreTrainedTokenizerFast) -> _Shape:
    """The shape of the model, once it and its tokenizer are known to fit."""
    model = load_causal_lm(config.model, config.revision, trust=config.trust, stored=config.stored)
    check_vocabulary(tokenizer, model)
    return _Shape(context_length(model, config.context, config.overlap), embedding_rows(model), ExpertLayout(model))


def _say_idle_experts(run: Run, experts: ExpertLayout) -> None:
    if experts.fused and (idle := idle_layers(load_factors(run.factors), experts)):
        log.warning(idle_sentence(idle, experts))


def _fits(
    run: Run,
    config: RunConfig,
    ranks: Ranks,
    windows: Sequence[Window],
    start: int,
    batch_tokens: int,
    stage: Stage,
) -> bool:
    """False where memory ran out: then there are no factors, and nobody holds the model, which fitting changes."""
    model = load_causal_lm(config.model, config.revision, device=ranks.device, trust=config.trust, stored=config.stored)
    given = model, windows, start, run.factors, batch_tokens, config.seed, lambda tokens: stage.add(computed=tokens)
    try:
        if config.fit_with == "kronfluence":
            through_kronfluence.fit_factors(*given)
        else:
            own_passes.fit_factors(*given, ranks)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True
