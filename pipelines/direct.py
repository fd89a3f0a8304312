"""Recipe of the second stage: the direction, from queries and factors, or one that somebody published."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ifcurate.errors import InputError
from ifcurate.files import finishing
from ifcurate.influence.curvature.factors import hash_factors, load_factors
from ifcurate.influence.curvature.idle import idle_layers, without
from ifcurate.influence.curvature.inverse import precondition
from ifcurate.influence.direction import Direction, check_direction, find_direction, load_direction, save_direction
from ifcurate.influence.queries import hash_queries
from ifcurate.influence.query_sets import pull, read_query_sets
from ifcurate.influence.refinement import NONE
from ifcurate.influence.settings import DirectionSettings
from ifcurate.machine import cores
from ifcurate.model.checkpoints import check_vocabulary, context_length, load_causal_lm, load_tokenizer
from ifcurate.model.device_map import place, resolve_devices
from ifcurate.model.devices import forbid_reduced_precision, resolve_batch_tokens, resolve_device
from ifcurate.model.experts import ExpertLayout
from ifcurate.model.hashes import hash_model, hash_tokenizer
from ifcurate.model.layers import coverage
from ifcurate.model.positions import hold_positions
from ifcurate.model.ranks import Ranks
from ifcurate.pipelines.adopted_student import adopt_student
from ifcurate.pipelines.refine import refined_direction
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.stage_times import Stage, timed


def direct(run: Run, config: RunConfig, ranks: Ranks | None = None) -> None:
    """Make `RUN/direction/<behaviour>.safetensors` unless it is there, or copy the published ones, or a student, there.

    The processes of a launch, `ranks`, share the queries out, and the first one writes.

    Raises:
        InputError: there are neither queries nor a direction, or they cannot be used.
    """
    if config.marks:
        raise InputError(f"{run.root}: is marked by {config.by}, which has no direction; run `ifcurate annotate`.")
    ranks = ranks or Ranks(0, 1, resolve_device(config.device))
    if config.student is not None:
        ranks.lead(lambda: adopt_student(run, config), lambda: None)
        return
    published = published_directions(config)
    missing = [behaviour for behaviour in published or [config.behaviour] if not run.direction(behaviour).is_file()]
    ranks.wait()
    if not missing:
        if not published:
            _refuse_edited_queries(run, config)
        return
    if ranks.count > 1 and config.refine != NONE:
        raise InputError("option --refine: cannot be shared out; start one process.")
    if config.device_map is not None and (ranks.count > 1 or config.refine != NONE):
        raise InputError("option --device-map: goes with one process and --refine none; leave it out.")
    with timed(run.logs, "direct") if ranks.first else nullcontext(Stage("direct")) as stage:
        if published:
            found = {behaviour: published[behaviour] for behaviour in missing}
            ranks.lead(lambda: _adopt(run, found, config), lambda: None)
            return
        direction = _compute(run, config, stage, ranks)
        if ranks.first:
            save_direction(direction, run.direction(config.behaviour))
    ranks.wait()


def _refuse_edited_queries(run: Run, config: RunConfig) -> None:
    """A direction that is there must be of the queries that are named, not of what these files held before."""
    stored = load_direction(run.direction(config.behaviour)).provenance.get("queries", [])
    for query_set, facts in zip(read_query_sets(config, config.seed), stored, strict=False):
        for side, file in query_set.items():
            if side in facts and facts[side]["hash"] != hash_queries(file.queries):
                raise InputError(f"{file.source}: changed since {run.root} was made from it; give another --out.")


def published_directions(config: DirectionSettings) -> dict[str, Path]:
    """The files of `--direction` by behaviour: the one that `--behaviour` names or, of several, each its own.

    Raises:
        InputError: there are queries too, a file is no direction, the only one is of another behaviour, or two are
            of the same.
    """
    if config.directions and (config.queries or config.contrast):
        raise InputError("option --direction: stands in place of queries; give a direction or queries, not both.")
    found: dict[str, Path] = {}
    for file in map(find_direction, config.directions):
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


def _adopt(run: Run, published: Mapping[str, Path], config: RunConfig) -> None:
    model = load_causal_lm(config.model, config.revision, trust=config.trust, stored=config.stored)
    tokenizer = load_tokenizer(config.model, config.revision, config.trust, config.stored)
    for behaviour, file in published.items():
        check_direction(load_direction(file), model, hash_model(model), hash_tokenizer(tokenizer))
        with finishing(run.direction(behaviour)) as part:
            shutil.copyfile(file, part)


def _compute(run: Run, config: RunConfig, stage: Stage, ranks: Ranks) -> Direction:
    if config.has_curvature and not run.factors.is_dir():
        raise InputError(f"{run.root}: has no curvature factors yet; run `ifcurate fit` with this --out first.")
    torch.set_num_threads(max(1, cores() // ranks.count))
    forbid_reduced_precision()
    devices = [ranks.device] if config.device_map is None else resolve_devices(config.device, config.device_map)
    tokenizer = load_tokenizer(config.model, config.revision, config.trust, config.stored)
    model = load_causal_lm(config.model, config.revision, trust=config.trust, stored=config.stored)
    check_vocabulary(tokenizer, model)
    hashes = {"model_hash": hash_model(model), "tokenizer_hash": hash_tokenizer(tokenizer)}
    context = context_length(model, config.context, config.overlap)
    hold_positions(model, context)
    model = place(model, devices)
    batch_tokens = resolve_batch_tokens(config.batch_tokens, devices[0])
    sets = read_query_sets(config, config.seed)
    mean: dict[str, torch.Tensor] = {}
    described = []
    for query_set in sets:
        pulled = pull(query_set, model, tokenizer, context, batch_tokens, config.query_mean, config.overlap, ranks)
        for name, tensor in pulled.tensors.items():
            part = tensor / len(sets)
            mean[name] = mean[name] + part if name in mean else part
        for facts in pulled.facts.values():
            stage.add(tokens=facts["completion_tokens"], queries=facts["queries"], shortened=facts["shortened"])
        stage.add(halvings=pulled.halvings)
        described.append(pulled.facts)
    layout = ExpertLayout(model)
    solved, idle, solved_with = _solved(run, config, model, tokenizer, layout, mean, stage)
    provenance = {
        "behaviour": config.behaviour,
        "model": config.model,
        "revision": config.revision,
        "tokenizer": config.model,
        "stored": asdict(config.stored),
        **hashes,
        "context": context,
        "overlap": config.overlap,
        "queries": described,
        "query_mean": config.query_mean,
        "tracked": asdict(coverage(model, idle)),
        **solved_with,
    }
    return Direction(layout.lay_back(solved, mean), provenance)


def _solved(
    run: Run,
    config: RunConfig,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    layout: ExpertLayout,
    mean: Mapping[str, torch.Tensor],
    stage: Stage,
) -> tuple[dict[str, torch.Tensor], set[str], dict[str, Any]]:
    """The gradient divided by the curvature, the layers that this leaves out, and what is said of it."""
    if not config.has_curvature:
        return layout.open(mean), set(), {"curvature": "none"}
    idle = idle_layers(load_factors(run.factors), layout) if layout.fused else set()
    gradient = without(layout.open(mean), idle)
    facts: dict[str, Any] = {
        "factors_hash": hash_factors(run.factors),
        "sample": json.loads(run.sample.read_text(encoding="utf-8")),
        "damping": config.damping,
    }
    if config.refine == NONE:
        device = resolve_devices(config.device, config.device_map)[0]
        leading = {} if config.leading is None else {"leading": config.leading}
        return precondition(gradient, run.factors, config.damping, device, **leading), idle, {**facts, **leading}
    solved, refinement = refined_direction(run, config, model, tokenizer, gradient, stage)
    return solved, idle, {**facts, "refinement": refinement}
