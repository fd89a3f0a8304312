"""Recipe of the third stage: scores of every token, shard by shard, by any number of workers."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from datatrove.pipeline.base import PipelineStep
from datatrove.utils.stats import PipelineStats

from ifcurate.annotators.loading import MarkSettings
from ifcurate.corpus.documents import on_messages
from ifcurate.corpus.settings import On
from ifcurate.corpus.shards import Shard
from ifcurate.errors import InputError
from ifcurate.files import remove, sha256_of
from ifcurate.influence.approximate import APPROXIMATE, NEARNESS
from ifcurate.influence.batch_size import workers_that_fit
from ifcurate.influence.direction import hash_direction
from ifcurate.influence.loading import CALIBRATION_TOKENS, load_scorer
from ifcurate.influence.sample import sample_windows
from ifcurate.influence.settings import ScoreSettings
from ifcurate.influence.student import Student
from ifcurate.machine import cores, memory
from ifcurate.model.checkpoints import embedding_rows, load_tokenizer
from ifcurate.model.conversations import hash_template
from ifcurate.pipelines.adopted_student import adopted_student, scored_model
from ifcurate.pipelines.executor import Tasks, run_tasks, total
from ifcurate.pipelines.found_engine import FoundEngine, FoundStep, keep_engine, kept_engine
from ifcurate.pipelines.heartbeat import Pulse, watching
from ifcurate.pipelines.marking import engine_of_marks, mark_settings, metadata_of_marks, said_of_method, uses_gpu
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.screening import screen_shards
from ifcurate.pipelines.stage_times import Stage, timed
from ifcurate.pipelines.steps.choose_documents import ChooseDocuments
from ifcurate.pipelines.steps.kept_groups import KeptGroups
from ifcurate.pipelines.steps.read_shards import ReadShards
from ifcurate.pipelines.steps.remark_tokens import RemarkTokens
from ifcurate.pipelines.steps.score_tokens import ScoreTokens
from ifcurate.pipelines.steps.write_scores import WriteScores
from ifcurate.progress import log, track
from ifcurate.selection.scores import DIRECTIONS, ON
from ifcurate.selection.screened import ScreenedFacts

UNIT = "nats per unit of the direction"
UNIT_OF_STUDENTS = f"{UNIT}, approximately: a student's quantiles are those of exact influence"
SIGN = "positive: training on the token makes the behaviour likelier"


def score(run: Run, config: RunConfig, shards: Sequence[Shard]) -> None:
    """Write the missing sidecars.

    Raises:
        InputError: direction and model do not fit, a document cannot be read, or a score is not finite.
    """
    pending = _unscored(run, shards)
    if pending:
        workers = config.workers or processes(config.threads)
        _score(run, config, shards, pending, screen_shards(run, config, shards, workers))
    remove(run.unfinished)


def score_share(run: Run, config: RunConfig, shards: Sequence[Shard], rank: int, world_size: int) -> None:
    """Write the missing sidecars of shards `rank`, `rank + world_size`, ... in this process.

    Raises:
        InputError: see `score`.
    """
    pending = _unscored(run, shards[rank::world_size])
    if pending:
        screened = screen_shards(run, config, shards, workers=1)
        with timed(run.logs, "score") as stage:
            steps = _steps(run, config, kept_engine(run), shards, pending, screened)
            _count(stage, Tasks(steps, 1, 1).run_task(0))


def find_engine(run: Run, config: RunConfig, shards: Sequence[Shard]) -> None:
    """Write `scores/engine.json`, unless it is there: what all that score go by."""
    if not run.engine.is_file():
        if config.marks:
            keep_engine(run, engine_of_marks(run, config))
            return
        asked = _settings(run, config, on_messages(shards, config.text_column, config.on))
        keep_engine(run, _find_engine(run, config, shards, asked))


def _unscored(run: Run, shards: Sequence[Shard]) -> list[Shard]:
    return [shard for shard in shards if not shard.output(run.scores).is_file()]


def _score(
    run: Run, config: RunConfig, shards: Sequence[Shard], pending: Sequence[Shard], screened: ScreenedFacts | None
) -> None:
    with timed(run.logs, "score") as stage:
        find_engine(run, config, shards)
        found = kept_engine(run)
        beats = _beats(run)
        shutil.rmtree(beats, ignore_errors=True)
        steps = _steps(run, config, found, shards, pending, screened)
        workers = workers_for(config, found.worker_bytes)
        log.debug(
            f"score: {found.engine} in {found.dtype}, {found.batch_tokens:,} positions a batch, windows of "
            f"{found.context:,} tokens, {min(workers, len(pending))} workers for {len(pending)} shards; "
            f"errors of the steps: {found.errors}"
        )
        with watching(beats, track("score", sum(shard.size for shard in pending))):
            run_tasks(
                *(steps, len(pending), workers, config.threads, run.logs / "score", run.scores),
                on_task=lambda stats: _count(stage, stats),
            )


def _count(stage: Stage, stats: PipelineStats) -> None:
    stage.add(**{label: total(stats, label) for label in ("tokens", "positions", "halvings", "context", "cut")})


def _beats(run: Run) -> Path:
    return run.logs / "score" / "progress"


def _steps(
    run: Run,
    config: RunConfig,
    found: FoundEngine,
    shards: Sequence[Shard],
    pending: Sequence[Shard],
    screened: ScreenedFacts | None,
) -> list[PipelineStep]:
    """What scores the shards `pending` of the corpus `shards`."""
    on = on_messages(shards, config.text_column, config.on)
    settings: ScoreSettings | MarkSettings
    if not config.marks:
        settings = replace(
            _settings(run, config, on),
            engine=found.engine,
            dtype=found.dtype,
            steps=found.relative_steps,
            batch_tokens=found.batch_tokens,
        )
        metadata = {**_metadata(run, config, found), **said_of_method(config), **_of_messages(config, on)}
    else:
        settings = mark_settings(run, config, shards, on)
        metadata = {**metadata_of_marks(run, config, found, settings), **_of_messages(config, on)}
    made_of = {**metadata, **found.model_dump(), "with_loss": config.with_loss}
    kept = KeptGroups(run.unfinished, made_of | ({} if screened is None else screened.model_dump()))
    pulse = Pulse(_beats(run), pending)
    step: PipelineStep = ScoreTokens(settings, config.with_loss, pulse, kept)
    if isinstance(settings, MarkSettings) and settings.asked.of:
        step = RemarkTokens(settings, pulse)
    if found.engine == "compiled-jvp":
        log.info("every worker compiles the model first, which takes minutes")
    return [
        ReadShards(pending, config.text_column, config.id_column, config.bad_rows),
        *([] if screened is None else [ChooseDocuments(run.screened, screened)]),
        step,
        WriteScores(
            *(pending, run.scores, run.behaviours, metadata, config.with_loss, kept, on is not None, screened),
            precision=config.precision,
        ),
    ]


def workers_for(config: RunConfig, worker_bytes: int) -> int:
    """Processes that score: those asked for, one a GPU or device map, or one a core as far as memory for each goes."""
    if config.workers is not None:
        return config.workers
    if config.device_map is not None:
        return 1
    if uses_gpu(config):
        return torch.cuda.device_count() if config.device in ("auto", "cuda") else 1
    wanted, fitting = processes(config.threads), workers_that_fit(worker_bytes)
    if fitting < wanted:
        log.info(
            f"{fitting} workers, not {wanted}: each needs about {worker_bytes / (1 << 30):.1f} GiB of "
            f"{memory() / (1 << 30):.1f}; --workers sets another number"
        )
    return min(wanted, fitting)


def processes(threads: int = 1) -> int:
    """As many processes of `threads` threads as there are cores for."""
    return max(1, cores() // threads)


def _settings(run: Run, config: RunConfig, on: On | None) -> ScoreSettings:
    """What is asked for; engine, dtype, steps and batch size are still to be found."""
    if not run.behaviours:
        raise InputError(f"{run.root}: has no direction yet; run `ifcurate direct {run.root}` first.")
    directions = run.behaviours if config.student is None else []
    return ScoreSettings(
        model=config.model,
        directions=tuple(str(run.direction(behaviour)) for behaviour in directions),
        student=None if config.student is None else str(run.student(config.behaviour)),
        revision=config.revision,
        context=config.context,
        overlap=config.overlap,
        on=on,
        engine=config.engine,
        alignment=config.alignment,
        device=config.device,
        device_map=config.device_map,
        dtype=config.dtype,
        batch_tokens=config.batch_tokens,
        threads=config.threads,
        allow_pickle=config.allow_pickle,
        trust_remote_code=config.trust_remote_code,
        stored=config.stored,
    )


def _find_engine(run: Run, config: RunConfig, shards: Sequence[Shard], settings: ScoreSettings) -> FoundEngine:
    """Choose engine, dtype and batch size, and the steps on a sample of the corpus."""
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
        config.bad_rows,
        config.overlap,
        settings.on,
    )
    steps = [FoundStep(**vars(step)) for step in loaded.steps(sample.windows)]  # may change the engine
    found = {
        "engine": loaded.engine,
        "dtype": str(loaded.model.dtype).removeprefix("torch."),
        "context": loaded.context,
        "tokenizer_hash": loaded.scored_along[0].provenance["tokenizer_hash"],
        "behaviours": run.behaviours,
        "steps": steps,
        "batch_tokens": loaded.batch_tokens(processes(config.threads)),  # not the workers, which leave no trace
        "worker_bytes": loaded.worker_bytes,
    }
    return FoundEngine.model_validate(found)


def _of_messages(config: RunConfig, on: On | None) -> dict[str, Any]:
    """What sidecars say of documents that are messages: whose were scored, and the template that rendered them."""
    if on is None:
        return {ON: None}
    tokenizer = load_tokenizer(config.model, config.revision, config.trust, config.stored)
    return {ON: on, "template_hash": hash_template(tokenizer)}


def _metadata(run: Run, config: RunConfig, found: FoundEngine) -> dict[str, Any]:
    """What sidecars say of themselves."""
    student = adopted_student(run, config)
    model, revision = scored_model(run, config)
    return {
        "model": model,
        "revision": revision,
        "tokenizer_hash": found.tokenizer_hash,
        DIRECTIONS: _of_directions(run, found) if student is None else {student.behaviour: _of_student(run, student)},
        "engine": found.engine,
        "dtype": found.dtype,
        "precision": config.precision,
        "context": found.context,
        "overlap": config.overlap,
        "alignment": config.alignment,
        "sign": SIGN,
        "unit": UNIT if student is None else UNIT_OF_STUDENTS,
    }


def _of_directions(run: Run, found: FoundEngine) -> dict[str, Any]:
    return {
        behaviour: {"direction_hash": hash_direction(run.direction(behaviour)), "relative_error": error}
        for behaviour, error in found.errors.items()
    }


def _of_student(run: Run, student: Student) -> dict[str, Any]:
    """What a student's scores say of the direction that it learnt, and of how near they come."""
    known = {name: student.provenance[name] for name in ("direction_hash", *NEARNESS)}
    student_hash = sha256_of(run.student(student.behaviour))
    return {**known, APPROXIMATE: True, "relative_error": None, "student_hash": student_hash}
