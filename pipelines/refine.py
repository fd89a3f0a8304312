"""Recipe within the second stage: from the gradient of the queries to a direction better than EK-FAC's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ifcurate.corpus.documents import on_messages
from ifcurate.influence.curvature.factors import load_factors
from ifcurate.influence.curvature.inverse import Inverse, check_layers, layers_of, mean_eigenvalues
from ifcurate.influence.refinement import REFINEMENTS
from ifcurate.influence.refinement.gauss_newton import GaussNewton
from ifcurate.influence.refinement.refine import refine, split_sample
from ifcurate.influence.refinement.system import System
from ifcurate.influence.refinement.vectors import joined, parted
from ifcurate.influence.sample import Sample, sample_windows
from ifcurate.model.checkpoints import context_length, embedding_rows, start_token
from ifcurate.model.devices import resolve_batch_tokens
from ifcurate.pipelines.corpus_record import present_shards
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.stage_times import Stage


def refined_direction(
    run: Run,
    config: RunConfig,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    gradient: Mapping[str, torch.Tensor],
    stage: Stage,
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The solution by parameter name, and what its file says of how it was found.

    Raises:
        InputError: the factors or the corpus cannot be used, it does not converge, or memory runs out.
    """
    method = REFINEMENTS[config.refine]
    steps, tokens = config.refine_steps or method.steps, config.refine_tokens or method.tokens
    sample = _sample(run, config, model, tokenizer, tokens if method.fixed_sample else tokens * steps)
    samples = [sample.windows] if method.fixed_sample else split_sample(sample.windows, tokens)
    factors = load_factors(run.factors)
    check_layers(factors, layers_of(gradient), run.factors)
    dampings = {layer: config.refine_damping * mean for layer, mean in mean_eigenvalues(factors).items()}
    batch_tokens = resolve_batch_tokens(config.batch_tokens, model.device.type)
    gauss_newton = GaussNewton(model, start_token(tokenizer), batch_tokens)
    inverse = Inverse(factors, dampings, str(model.device), torch.float32)
    del factors
    system = System(gauss_newton, dampings, inverse, joined(gradient), samples)
    facts = {
        "method": config.refine,
        "steps": steps,
        "tokens_a_step": tokens,
        "damping": config.refine_damping,
        "sample": {"documents": sample.documents, "tokens": sample.tokens, "hash": sample.hash()},
    }
    identity = _identity(facts, gradient)
    found = refine(config.refine, system, steps, run.refinement(config.behaviour), identity, model.device)
    stage.add(refined=steps, halvings=gauss_newton.halvings)
    return parted(found.solution, gradient), {**facts, "quadratics": found.quadratics}


def _sample(
    run: Run, config: RunConfig, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, tokens: int
) -> Sample:
    shards = present_shards(run)
    return sample_windows(
        shards,
        config.text_column,
        config.id_column,
        tokenizer,
        context_length(model, config.context),
        tokens,
        config.seed,
        embedding_rows(model),
        config.bad_rows,
        config.overlap,
        on_messages(shards, config.text_column, config.on),
    )


def _identity(facts: Mapping[str, Any], gradient: Mapping[str, torch.Tensor]) -> str:
    """Hash of the system and of how it is solved: a state of another one is never gone on from."""
    digest = sha256(json.dumps(facts, sort_keys=True).encode())
    for name, tensor in gradient.items():
        digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
