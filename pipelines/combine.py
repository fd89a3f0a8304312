"""Recipe of `ifcurate combine`: scores of several checkpoints added up, as a run to select from and write."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ifcurate.annotation.run_folder import RUN_FILE
from ifcurate.config import read_provenance
from ifcurate.corpus.shards import Shard
from ifcurate.errors import InputError
from ifcurate.files import clear, write_text
from ifcurate.pipelines.combine_config import CombineConfig
from ifcurate.pipelines.corpus_record import read_record, record_corpus, recorded_shards
from ifcurate.pipelines.found_engine import keep_engine, read_engine
from ifcurate.pipelines.run import Run, open_run, record
from ifcurate.progress import log, track
from ifcurate.selection.scores import hash_sidecars, sidecar_metadata
from ifcurate.selection.summation import checkpoints_of, require_alike, sum_sidecars


def combine(config: CombineConfig) -> Run:
    """Write what is missing of the sums, shard by shard; no model is loaded and no text is read.

    Raises:
        InputError: a run is not scored, or runs have other shards, texts, tokens or windows, or a checkpoint twice; or
            the folder holds something else.
    """
    sources = [open_run(root)[0] for root in config.runs]
    if Path(config.out).resolve() in [source.root.resolve() for source in sources]:
        raise InputError(f"option --out: {config.out} is one of the runs to add up; give a new folder.")
    shards = _common_shards(sources)
    behaviour = config.behaviour or _only_behaviour(sources[0], shards)
    made_from = {"behaviour": behaviour, "runs": [_described(source, shards) for source in sources]}
    for shard in shards:
        require_alike([shard.output(source.scores) for source in sources])
    _require_different(sources, shards, behaviour)
    if config.overwrite:
        clear(Path(config.out), RUN_FILE)
    run = Run(Path(config.out))
    _begin(run, sources[0], behaviour, json.dumps(made_from, indent=2) + "\n")
    pending = [shard for shard in shards if not shard.output(run.scores).is_file()]
    if not pending:
        log.info(f"{run.root}: is made already; --overwrite makes it anew")
    with track("combine", sum(shard.size for shard in pending)) as tracker:
        done = tokens = 0
        for shard in pending:
            sidecars = [shard.output(source.scores) for source in sources]
            tokens += sum_sidecars(sidecars, behaviour, shard.output(run.scores))
            done += shard.size
            tracker.update(done, tokens)
    return run


def _common_shards(sources: Sequence[Run]) -> list[Shard]:
    shards, *others = (recorded_shards(source) for source in sources)
    names = {shard.name for shard in shards}
    for source, other in zip(sources[1:], others, strict=True):
        for name in sorted(names ^ {shard.name for shard in other}):
            here, there = (source, sources[0]) if name in names else (sources[0], source)
            raise InputError(f"{here.root}: has no shard {name!r}, as {there.root} has; give runs of one corpus.")
    return shards


def _only_behaviour(source: Run, shards: Sequence[Shard]) -> str:
    behaviours = sorted(sidecar_metadata(shards[0].output(source.scores)).directions)
    if len(behaviours) != 1:
        raise InputError(f"option --behaviour: {source.root} has scores of {', '.join(behaviours)}; name one of them.")
    return behaviours[0]


def _described(source: Run, shards: Sequence[Shard]) -> dict[str, str]:
    """Where a run is, and the hash of all its scores."""
    scores = hash_sidecars([(shard.name, shard.output(source.scores)) for shard in shards])
    return {"run": str(source.root.absolute()), "scores": scores}


def _require_different(sources: Sequence[Run], shards: Sequence[Shard], behaviour: str) -> None:
    """No checkpoint may be counted twice."""
    of_direction: dict[str, Run] = {}
    for source in sources:
        for checkpoint in checkpoints_of(shards[0].output(source.scores), behaviour):
            before = of_direction.setdefault(checkpoint["direction_hash"], source)
            if before is not source:
                raise InputError(
                    f"{source.root}: was scored along the same direction of the same checkpoint as {before.root}; give "
                    "each checkpoint once."
                )


def _begin(run: Run, first: Run, behaviour: str, made_from: str) -> None:
    """Make the run folder, with the settings of the first run as far as they hold for all, or take it up again."""
    if run.root.exists() and (not run.root.is_dir() or any(run.root.iterdir())):
        if not run.combined.is_file():
            raise InputError(f"option --out: {run.root} is in use by something else; give a new folder.")
        if run.combined.read_text(encoding="utf-8") != made_from:
            raise InputError(
                f"option --out: {run.root} was made from other runs, or from other scores of these; give another "
                "--out, or --overwrite."
            )
        run.remove_parts()
    else:
        write_text(run.combined, made_from)
    if not run.file.is_file():
        _, settings = open_run(str(first.root))
        changes = {"out": str(run.root), "behaviour": behaviour, "with_loss": False}
        of_one = dict.fromkeys(("queries", "contrast", "direction"))
        corpus = read_provenance(first.file, "corpus")["corpus"]
        record(run, settings.model_copy(update={**changes, **of_one}), corpus)
    if not run.corpus.is_file():
        corpus_record = read_record(first)
        record_corpus(run, corpus_record.place, corpus_record.part, recorded_shards(first))
    if not run.engine.is_file():
        keep_engine(run, read_engine(first).model_copy(update={"behaviours": [behaviour], "steps": []}))
