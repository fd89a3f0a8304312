"""The main recipe: a folder of shards in, the same shards with influence, masks, spans and ranks out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ifcurate.annotation.changed import ChangedShardError
from ifcurate.annotation.schema import written_fields
from ifcurate.annotation.writer import check_new_columns
from ifcurate.annotators.base import State
from ifcurate.corpus.documents import on_messages
from ifcurate.corpus.places import list_place
from ifcurate.corpus.shards import Shard, known, open_shard
from ifcurate.errors import InputError
from ifcurate.influence.engines.choice import choose_dtype, choose_engine
from ifcurate.influence.query_sets import read_query_sets
from ifcurate.model.device_map import resolve_devices
from ifcurate.model.layers import Coverage
from ifcurate.pipelines.adopted_student import require_student
from ifcurate.pipelines.cluster import Submission, require_free, submit_missing
from ifcurate.pipelines.corpus_record import reconcile
from ifcurate.pipelines.direct import direct, published_directions
from ifcurate.pipelines.fit import check_model, fit
from ifcurate.pipelines.marking import adopt_annotator, require_annotator
from ifcurate.pipelines.run import Run, create_run
from ifcurate.pipelines.run_config import STAGES, RunConfig
from ifcurate.pipelines.score import processes, score
from ifcurate.pipelines.select import select
from ifcurate.pipelines.stage_times import Stage, read_stages
from ifcurate.pipelines.tracked import say_tracked
from ifcurate.pipelines.write import write
from ifcurate.pipelines.written import skipped_rows
from ifcurate.progress import log
from ifcurate.selection.repeated import repeated_ids
from ifcurate.selection.table import Selection


@dataclass(frozen=True)
class Summary:
    """What a run did: a selection for each behaviour, its stages, where it is, rows skipped for want of a text, and
    documents that share their id with one before them, the limit that only the first documents were read to, and what
    the number of a token is called."""

    run: Run
    selections: list[Selection]
    stages: list[Stage]
    skipped: int = 0
    repeated_ids: int = 0
    limit: int | None = None
    value: str = "influence"


def annotate(config: RunConfig) -> Summary:
    """Run every stage that is not done yet; the same settings give the same bytes, however often it was stopped.

    It is run here, whatever `config.executor` says: `annotate_on_ray` and `submit` are for others.

    Raises:
        InputError: something given cannot be used; nothing half-written is left.
    """
    run, shards, seen = _begin(config)
    if config.needs_factors:
        fit(run, config, shards)
    if not config.marks:
        direct(run, config)
    else:
        adopt_annotator(run, config, shards, config.workers or processes(config.threads), seen.annotator)
    say_tracked(run, config, seen.coverage)
    try:
        selections = _score_and_write(run, config, shards)
    except ChangedShardError as error:  # under its old size and time
        log.warning(str(error))
        shards = [known(shard) for shard in list_place(config.corpus, config.part).shards]
        reconcile(run, config, config.corpus, shards)
        selections = _score_and_write(run, config, shards)
    return _summary(run, config, shards, selections)


def annotate_on_ray(config: RunConfig) -> Summary:
    """`annotate` with the tasks of every stage on a Ray cluster, which this process waits for.

    Raises:
        InputError: something given cannot be used, there is no cluster, or a task failed; what others did stays.
    """
    from ifcurate.pipelines.ray import run_missing

    run, shards, _ = _begin(config)
    run_missing(run, config, shards)
    return _summary(run, config, shards, [Selection.load(run.selection, behaviour) for behaviour in run.behaviours])


def submit(config: RunConfig) -> Submission | None:
    """Submit every stage that is not done yet to Slurm, and wait for none; None where nothing is left to be done.

    Raises:
        InputError: something given cannot be used, jobs of the run are still there, or Slurm refuses one.
    """
    run, shards, _ = _begin(config)
    return submit_missing(run, config, shards)


@dataclass(frozen=True)
class _Seen:
    """What was looked at early: how much of the model is tracked, as far as it was said, or what an annotator is made
    of."""

    coverage: Coverage | None = None
    annotator: State | None = None


def _begin(config: RunConfig) -> tuple[Run, list[Shard], _Seen]:
    """The run folder, made or taken up again, its corpus, and what was looked at."""
    require_free(Path(config.out))
    listing = list_place(config.corpus, config.part)
    shards = [known(shard) for shard in listing.shards]
    seen = _refuse_early(config, shards)
    run = create_run(config, shards)
    log.info(listing.sentence())
    return run, shards, seen


def _summary(run: Run, config: RunConfig, shards: Sequence[Shard], selections: list[Selection]) -> Summary:
    repeated = repeated_ids([shard.output(run.scores) for shard in shards])
    return Summary(
        run, selections, read_stages(run.logs), skipped_rows(run, shards), repeated, config.limit, config.value
    )


def _score_and_write(run: Run, config: RunConfig, shards: Sequence[Shard]) -> list[Selection]:
    score(run, config, shards)
    selections = [select(run, config.for_behaviour(behaviour), shards) for behaviour in run.behaviours]
    write(run, config, shards)
    return selections


def _refuse_early(config: RunConfig, shards: Sequence[Shard]) -> _Seen:
    """Look at what only a later stage needs, so that nobody waits for stages that lead nowhere.

    Returns it, as far as it is of use again; nothing where a run goes on.
    """
    if config.marks:
        state = require_annotator(config, shards)
        _require_columns(config, shards, [config.behaviour])
        return _Seen(annotator=state)
    devices = resolve_devices(config.device, config.device_map)
    dtype = choose_dtype(config.dtype, config.engine, config.alignment, devices[0])
    choose_engine(config.engine, config.alignment, dtype, devices)
    published = published_directions(config)
    if not published and config.student is None:
        read_query_sets(config, config.seed)
        if config.device_map is not None and config.needs_factors and not Run(Path(config.out)).factors.is_dir():
            raise InputError(
                "option --device-map: is for direct and score, and curvature is fitted on one device; "
                "run `ifcurate fit` first, with --device cpu where no GPU holds the model, or give --direction."
            )
    if not config.overwrite and Run(Path(config.out)).has_results_from(STAGES[0]):  # they were looked at before it
        return _Seen()
    _require_columns(config, shards, list(published) or [config.behaviour])
    if config.student is not None:
        require_student(config)
        return _Seen()
    return _Seen(coverage=check_model(config))


def _require_columns(config: RunConfig, shards: Sequence[Shard], behaviours: Sequence[str]) -> None:
    """Refuse shards that have columns of these behaviours already, or types that cannot be written."""
    if config.output_format == "parquet":
        for shard in shards:
            open_shard(shard).schema  # noqa: B018, whose types Parquet needs, and lines do not
    messages = on_messages(shards, config.text_column, config.on) is not None
    check_new_columns(shards, written_fields(behaviours, config.token_ids, config.with_loss, messages))
