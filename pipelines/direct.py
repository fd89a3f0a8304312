"""Recipe of the second stage: the direction, from queries and factors, or one that somebody published."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch

from ifcurate.errors import InputError
from ifcurate.files import finishing
from ifcurate.influence.curvature import hash_factors, precondition
from ifcurate.influence.direction import Direction, check_direction, load_direction, save_direction
from ifcurate.influence.queries import hash_queries, read_queries
from ifcurate.influence.query_gradient import QueryGradient, query_gradient, query_windows
from ifcurate.machine import cores
from ifcurate.model.checkpoints import (
    check_vocabulary,
    context_length,
    embedding_rows,
    load_causal_lm,
    load_tokenizer,
    start_token,
)
from ifcurate.model.devices import forbid_reduced_precision, resolve_batch_tokens, resolve_device
from ifcurate.model.hashes import hash_model, hash_tokenizer
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.stage_times import Stage, timed
from ifcurate.progress import track


def direct(run: Run, config: RunConfig) -> None:
    """Make `RUN/direction/<behaviour>.safetensors` unless it is there, or copy the published ones there.

    Raises:
        InputError: there are neither queries nor a direction, or they cannot be used.
    """
    published = published_directions(config)
    missing = [behaviour for behaviour in published or [config.behaviour] if not run.direction(behaviour).is_file()]
    if not missing:
        if not published:
            _refuse_edited_queries(run, config)
        return
    with timed(run.logs, "direct") as stage:
        if published:
            _adopt(run, {behaviour: published[behaviour] for behaviour in missing}, config)
        else:
            save_direction(_compute(run, config, stage), run.direction(config.behaviour))


def _refuse_edited_queries(run: Run, config: RunConfig) -> None:
    """A direction that is there must be of the queries that are named, not of what these files held before."""
    stored = load_direction(run.direction(config.behaviour)).provenance.get("queries", {})
    for side, source in query_sources(config).items():
        queries = read_queries(source, config.max_queries, config.seed)
        if side in stored and stored[side]["hash"] != hash_queries(queries):
            raise InputError(f"{source}: changed since {run.root} was made from it; give another --out.")


def published_directions(config: RunConfig) -> dict[str, Path]:
    """The files of `--direction` by behaviour: the one that `--behaviour` names or, of several, each its own.

    Raises:
        InputError: there are queries too, a file is no direction, the only one is of another behaviour, or two are
            of the same.
    """
    if config.directions and (config.queries or config.contrast):
        raise InputError("option --direction: stands in place of queries; give a direction or queries, not both.")
    found: dict[str, Path] = {}
    for file in map(Path, config.directions):
        behaviour = load_direction(file).behaviour
        if len(config.directions) == 1 and behaviour != config.behaviour:
            raise InputError(
                f"option --direction: {file} is of the behaviour {behaviour!r}, not {config.behaviour!r}; "
                f"give --behaviour {behaviour}."
            )
        if behaviour in found:
            raise InputError(
                f"option --direction: {found[behaviour]} and {file} are both of the behaviour {behaviour!r}; give one."
            )
        found[behaviour] = file
    return found


def query_sources(config: RunConfig) -> dict[str, str]:
    """Where the queries of either side are: `behaviour` and `contrast`.

    Raises:
        InputError: one of them is not given.
    """
    if config.queries is None or config.contrast is None:
        option = "--queries" if config.queries is None else "--contrast"
        raise InputError(f"option {option}: is required to make a direction; give a file, or --direction.")
    return {"behaviour": config.queries, "contrast": config.contrast}


def _adopt(run: Run, published: Mapping[str, Path], config: RunConfig) -> None:
    model = load_causal_lm(config.model, config.revision, trust=config.trust)
    tokenizer = load_tokenizer(config.model, config.revision, config.trust)
    for behaviour, file in published.items():
        check_direction(load_direction(file), model, hash_model(model), hash_tokenizer(tokenizer))
        with finishing(run.direction(behaviour)) as part:
            shutil.copyfile(file, part)


def _compute(run: Run, config: RunConfig, stage: Stage) -> Direction:
    if not run.factors.is_dir():
        raise InputError(f"{run.root}: has no curvature factors yet; run `ifcurate fit` with this --out first.")
    torch.set_num_threads(cores())
    forbid_reduced_precision()
    device = resolve_device(config.device)
    tokenizer = load_tokenizer(config.model, config.revision, config.trust)
    model = load_causal_lm(config.model, config.revision, device=device, trust=config.trust)
    check_vocabulary(tokenizer, model)
    hashes = {"model_hash": hash_model(model), "tokenizer_hash": hash_tokenizer(tokenizer)}
    context, start = context_length(model, config.context), start_token(tokenizer)
    batch_tokens = resolve_batch_tokens(config.batch_tokens, device)
    gradients: list[QueryGradient] = []
    described = {}
    for side, source in query_sources(config).items():
        queries = read_queries(source, config.max_queries, config.seed)
        found = query_windows(queries, tokenizer, context, source, embedding_rows(model))
        total = sum(len(query.window) - query.completion for query in found.windows)
        with track(f"{side} queries", total) as tracker:
            done = 0

            def on_batch(tokens: int) -> None:
                nonlocal done
                done += tokens
                tracker.update(done, done)

            gradients.append(query_gradient(model, found.windows, start, batch_tokens, on_batch, config.query_mean))
        stage.add(tokens=total, queries=len(queries), shortened=found.shortened, halvings=gradients[-1].halvings)
        described[side] = {
            "queries": len(queries),
            "completion_tokens": gradients[-1].tokens,
            "shortened": found.shortened,
            "hash": hash_queries(queries),
        }
    behaviour, contrast = (gradient.tensors for gradient in gradients)
    difference = {name: behaviour[name] - contrast[name] for name in behaviour}
    if not any(bool(tensor.any()) for tensor in difference.values()):
        raise InputError("option --contrast: are the same as --queries; give queries that differ.")
    provenance = {
        "behaviour": config.behaviour,
        "model": config.model,
        "revision": config.revision,
        "tokenizer": config.model,
        **hashes,
        "context": context,
        "queries": described,
        "query_mean": config.query_mean,
        "factors_hash": hash_factors(run.factors),
        "sample": json.loads(run.sample.read_text(encoding="utf-8")),
        "damping": config.damping,
    }
    return Direction(precondition(difference, run.factors, config.damping, device), provenance)
