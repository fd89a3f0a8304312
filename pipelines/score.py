"""Recipe of the third stage: scores of every token, shard by shard, by any number of workers."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from typing import Any

import torch

from ifcurate.corpus.shards import Shard
from ifcurate.errors import InputError
from ifcurate.files import write_text
from ifcurate.influence.direction import hash_direction
from ifcurate.influence.loading import CALIBRATION_TOKENS, load_scorer
from ifcurate.influence.sample import sample_windows
from ifcurate.influence.settings import ScoreSettings
from ifcurate.model.checkpoints import embedding_rows
from ifcurate.model.devices import resolve_device
from ifcurate.pipelines.executor import run_tasks, total
from ifcurate.pipelines.heartbeat import Pulse, watching
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.stage_times import timed
from ifcurate.pipelines.steps.read_shards import ReadShards
from ifcurate.pipelines.steps.score_tokens import ScoreTokens
from ifcurate.pipelines.steps.write_scores import WriteScores
from ifcurate.progress import log, track
from ifcurate.selection.scores import DIRECTIONS

UNIT = "nats per unit of the direction"
KEPT = frozenset({"engine", "dtype", "context", "tokenizer_hash", "behaviours", "steps", "batch_tokens"})
"""What a run finds once, when scoring begins."""
SIGN = "positive: training on the token makes the behaviour likelier"


def score(run: Run, config: RunConfig, shards: Sequence[Shard]) -> None:
    """Write the missing sidecars.

    Raises:
        InputError: direction and model do not fit, a document cannot be read, or a score is not finite.
    """
    pending = [shard for shard in shards if not shard.output(run.scores).is_file()]
    if not pending:
        return
    with timed(run.logs, "score") as stage:
        settings, metadata = _calibrated(run, config, shards)
        beats = run.logs / "score" / "progress"
        shutil.rmtree(beats, ignore_errors=True)
        steps = [
            ReadShards(pending, config.text_column, config.id_column),
            ScoreTokens(settings, config.with_loss, Pulse(beats, pending)),
            WriteScores(pending, run.scores, run.behaviours, metadata, config.with_loss),
        ]
        if settings.engine == "compiled-jvp":
            log.info("every worker compiles the model first, which takes minutes")
        with watching(beats, track("score", sum(shard.size for shard in pending))):
            stats = run_tasks(steps, len(pending), workers_for(config), config.threads, run.logs / "score", run.scores)
        stage.add(tokens=total(stats, "tokens"), positions=total(stats, "positions"))
        stage.add(halvings=total(stats, "halvings"))


def workers_for(config: RunConfig) -> int:
    """Processes that score: those asked for, one a GPU, or one a core."""
    if config.workers is not None:
        return config.workers
    device = resolve_device(config.device)
    if device.startswith("cuda"):
        return torch.cuda.device_count() if config.device in ("auto", "cuda") else 1
    return cores(config.threads)


def cores(threads: int = 1) -> int:
    """As many processes of `threads` threads as the CPU has room for."""
    return max(1, (os.cpu_count() or 1) // threads)


def _calibrated(run: Run, config: RunConfig, shards: Sequence[Shard]) -> tuple[ScoreSettings, dict[str, Any]]:
    """Settings with this run's engine, dtype, steps and batch size, found once and kept, and what sidecars say."""
    behaviours = run.behaviours
    if not behaviours:
        raise InputError(f"{run.root}: has no direction yet; run `ifcurate direct {run.root}` first.")
    settings = ScoreSettings(
        model=config.model,
        directions=tuple(str(run.direction(behaviour)) for behaviour in behaviours),
        revision=config.revision,
        context=config.context,
        engine=config.engine,
        alignment=config.alignment,
        device=config.device,
        dtype=config.dtype,
        batch_tokens=config.batch_tokens,
        threads=config.threads,
    )
    if not run.engine.is_file():
        loaded = load_scorer(settings)
        sample = sample_windows(
            shards,
            config.text_column,
            config.id_column,
            loaded.tokenizer,
            loaded.context,
            CALIBRATION_TOKENS,
            config.seed,
            embedding_rows(loaded.model),
        )
        steps = [vars(step) for step in loaded.steps(sample.windows)]
        found = {
            "engine": loaded.engine,
            "dtype": str(loaded.model.dtype).removeprefix("torch."),
            "context": loaded.context,
            "tokenizer_hash": loaded.directions[0].provenance["tokenizer_hash"],
            "behaviours": behaviours,
            "steps": steps,
            "batch_tokens": loaded.batch_tokens(cores(config.threads)),  # not the workers, which leave no trace
        }
        write_text(run.engine, json.dumps(found, indent=2) + "\n")
    found = _read_engine(run)
    if found["behaviours"] != behaviours:
        raise InputError(
            f"{run.root}: was scored for {', '.join(found['behaviours'])}, and now has directions for "
            f"{', '.join(behaviours)}; give another run folder."
        )
    errors = [step["error"] for step in found["steps"]] or [None] * len(behaviours)
    chosen = {
        "engine": found["engine"],
        "dtype": found["dtype"],
        "steps": tuple(step["relative"] for step in found["steps"]) or None,
        "batch_tokens": found["batch_tokens"],
    }
    metadata = {
        "model": config.model,
        "revision": config.revision,
        "tokenizer_hash": found["tokenizer_hash"],
        DIRECTIONS: {
            behaviour: {"direction_hash": hash_direction(run.direction(behaviour)), "relative_error": error}
            for behaviour, error in zip(behaviours, errors, strict=True)
        },
        "engine": found["engine"],
        "dtype": found["dtype"],
        "context": found["context"],
        "alignment": config.alignment,
        "sign": SIGN,
        "unit": UNIT,
    }
    return ScoreSettings(**{**vars(settings), **chosen}), metadata


def _read_engine(run: Run) -> dict[str, Any]:
    """What was found when scoring began.

    Raises:
        InputError: the file is damaged, or older than what is kept in it now.
    """
    try:
        found = dict(json.loads(run.engine.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        found = {}
    if KEPT - found.keys():
        raise InputError(f"{run.engine}: is damaged or of another version; delete {run.scores}, and score again.")
    return found
