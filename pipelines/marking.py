"""Another annotator than influence in a run: what it is made of, what it counts, and what it leaves in score files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ifcurate.annotators import ANNOTATORS, THE_SAME
from ifcurate.annotators.base import CONTEXT, PARAMETERS, Asked, Counts, State
from ifcurate.annotators.kept import KeptAnnotator, keep_annotator, read_annotator
from ifcurate.annotators.loading import MarkSettings
from ifcurate.corpus.documents import on_messages
from ifcurate.corpus.settings import On
from ifcurate.corpus.shards import Shard
from ifcurate.errors import InputError
from ifcurate.files import remove, sha256_of
from ifcurate.influence.batch_size import INTERPRETER_BYTES
from ifcurate.influence.column_names import METHOD
from ifcurate.model.checkpoints import CONTEXT_CAP, load_tokenizer
from ifcurate.model.conversations import require_template
from ifcurate.model.devices import resolve_device
from ifcurate.model.hashes import hash_tokenizer
from ifcurate.pipelines.executor import run_tasks
from ifcurate.pipelines.found_engine import FoundEngine, read_engine
from ifcurate.pipelines.marked_runs import scored_runs
from ifcurate.pipelines.run import Run, open_run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.stage_times import timed
from ifcurate.pipelines.steps.count_texts import CountTexts, add, counts_file
from ifcurate.pipelines.steps.read_shards import ReadShards
from ifcurate.selection.scores import DIRECTIONS, sidecar_metadata


def require_annotator(config: RunConfig, shards: Sequence[Shard]) -> State:
    """What the annotator of `config` is made of, or refuse it, before anything is made.

    Raises:
        InputError: the tokenizer, or something that the annotator reads, cannot be used.
    """
    spec = ANNOTATORS[_name(config)]
    if not spec.of_scores:
        tokenizer = load_tokenizer(config.model, config.revision, config.trust, config.stored)
        if on_messages(shards, config.text_column, config.on) is not None:
            require_template(tokenizer)
    return spec.kind.prepare(asked_for(Run(Path(config.out)), config, shards))


def adopt_annotator(
    run: Run, config: RunConfig, shards: Sequence[Shard], workers: int, state: State | None = None
) -> None:
    """Write `RUN/annotator/<behaviour>.json` unless it is there: what it counts, it counts in the corpus now.

    Args:
        run: where it is kept.
        config: names it, and what it reads.
        shards: the corpus.
        workers: processes that count.
        state: what `require_annotator` said before, if it was asked.

    Raises:
        InputError: see `require_annotator`; or what it is made of has changed since.
    """
    name, file = _name(config), run.annotator(config.behaviour)
    state = require_annotator(config, shards) if state is None else state
    if file.is_file():
        if read_annotator(file).state != json.loads(json.dumps(state)):
            raise InputError(
                f"option --by: what {name} reads has changed since {run.root} was made; give another --out."
            )
        return
    counts = _counted(run, config, shards, state, workers) if ANNOTATORS[name].counts else {}
    kept = KeptAnnotator(name=name, behaviour=config.behaviour, state=state, counts=counts)
    shutil.rmtree(run.files_of_annotator, ignore_errors=True)
    ANNOTATORS[name].kind.keep(asked_for(run, config, shards))
    keep_annotator(kept, file)
    remove(run.counted)


def _counted(run: Run, config: RunConfig, shards: Sequence[Shard], state: State, workers: int) -> Counts:
    """Counts of all shards, those of each in a file until all are there."""
    missing = [shard for shard in shards if not counts_file(run.counted, shard).is_file()]
    if missing:
        reader = ReadShards(missing, config.text_column, config.id_column, config.bad_rows)
        messages = on_messages(shards, config.text_column, config.on) is not None
        step = CountTexts(reader, _name(config), state, run.counted, messages)
        with timed(run.logs, "count"):
            run_tasks([step], len(missing), workers, config.threads, run.logs / "count", run.counted)
    total: Counts = {}
    for shard in shards:
        add(total, json.loads(counts_file(run.counted, shard).read_bytes()))
    return dict(sorted(total.items()))


def asked_for(run: Run, config: RunConfig, shards: Sequence[Shard]) -> Asked:
    """What the annotator of `config` may read.

    Raises:
        InputError: see `scored_runs`.
    """
    return Asked(
        words=config.words,
        classifier=config.classifier,
        label=config.label,
        queries=tuple(config.query_files),
        contrast=tuple(config.contrast_files),
        max_queries=config.max_queries,
        of=scored_runs(config, shards),
        folder=run.files_of_annotator,
        model=config.model,
        revision=config.revision,
        stored=config.stored,
        reference=config.reference,
        context=config.context,
        overlap=config.overlap,
        batch_tokens=config.batch_tokens,
        seed=config.seed,
        device=config.device,
        trust=config.trust,
    )


def mark_settings(run: Run, config: RunConfig, shards: Sequence[Shard], on: On | None) -> MarkSettings:
    """What the workers load."""
    return MarkSettings(
        annotator=run.annotator(config.behaviour),
        asked=asked_for(run, config, shards),
        on=on,
        threads=config.threads,
    )


def engine_of_marks(run: Run, config: RunConfig) -> FoundEngine:
    """What `scores/engine.json` says of marks, for which nothing has to be found."""
    state = read_annotator(run.annotator(config.behaviour)).state
    if ANNOTATORS[_name(config)].of_scores:
        first, _ = open_run(config.of[0])
        own = {"engine": config.by, "behaviours": [config.behaviour], "steps": []}
        return read_engine(first).model_copy(update=own)
    tokenizer = load_tokenizer(config.model, config.revision, config.trust, config.stored)
    return FoundEngine(
        engine=_name(config),
        dtype="float32",
        context=state.get(CONTEXT) or config.context or CONTEXT_CAP,
        tokenizer_hash=hash_tokenizer(tokenizer),
        behaviours=[config.behaviour],
        steps=[],
        batch_tokens=1,
        worker_bytes=INTERPRETER_BYTES + 4 * state.get(PARAMETERS, 0),
    )


def metadata_of_marks(run: Run, config: RunConfig, found: FoundEngine, settings: MarkSettings) -> dict[str, Any]:
    """What sidecars say of themselves; of values that are those of another run, what this one says of them."""
    spec, file = ANNOTATORS[_name(config)], run.annotator(config.behaviour)
    made_by = {"direction_hash": None, "relative_error": None, "annotator_hash": sha256_of(file)}
    said: dict[str, Any] = {}
    if spec.unit == THE_SAME:
        said = sidecar_metadata(settings.asked.of[0].sidecars[0][1]).model_extra or {}
    return {
        "model": config.model,
        "revision": config.revision,
        "tokenizer_hash": found.tokenizer_hash,
        DIRECTIONS: {config.behaviour: made_by},
        "engine": found.engine,
        "precision": config.precision,
        "context": found.context,
        "alignment": config.alignment,
        METHOD: spec.method,
        "sign": said.get("sign", spec.sign),
        "unit": said.get("unit", spec.unit),
    }


def said_of_method(config: RunConfig) -> dict[str, Any]:
    """What sidecars say of values that are along a direction and not influence all the same."""
    if config.by is None:
        return {}
    spec = ANNOTATORS[config.by]
    return {METHOD: spec.method, "sign": spec.sign, "unit": spec.unit}


def uses_gpu(config: RunConfig) -> bool:
    """Whether what scores or marks computes on a GPU here."""
    if config.marks and not ANNOTATORS[_name(config)].on_device:
        return False
    return resolve_device(config.device).startswith("cuda")


def _name(config: RunConfig) -> str:
    assert config.by is not None
    return config.by
