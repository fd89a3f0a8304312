"""Recipe of `ifcurate screen`: from scored shards to a screen, which tells what of other text is worth a score."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from ifcurate.corpus.shards import Shard
from ifcurate.errors import InputError
from ifcurate.files import clear, is_free
from ifcurate.pipelines.corpus_record import present_shards, require_same_shards
from ifcurate.pipelines.run import Run, open_run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.screen_config import ScreenConfig
from ifcurate.pipelines.select import is_current, selection_origin
from ifcurate.progress import log
from ifcurate.screening.examples import Examples
from ifcurate.screening.features import Features
from ifcurate.screening.kinds import SCREEN_FILE
from ifcurate.screening.learning import FOLDS, Learnt, learn
from ifcurate.screening.ngrams import NGrams
from ifcurate.screening.screen import Screen, load_screen, save_screen
from ifcurate.selection.scores import sidecar_metadata

MADE_FROM = "made_from"


def screen(config: ScreenConfig) -> Screen:
    """Learn a screen, unless it is there.

    Raises:
        InputError: the run is not scored and selected, its corpus is gone or changed, or the folder holds another.
    """
    run, settings = open_run(config.run)
    behaviour = _behaviour(run, settings, config)
    shards = present_shards(run, config.corpus)
    require_same_shards(run, shards)
    made_from = _made_from(run, settings.for_behaviour(behaviour), config, shards)
    file = Path(config.out) / SCREEN_FILE
    if config.overwrite:
        clear(Path(config.out), SCREEN_FILE)
    if file.is_file():
        return _made_before(file, made_from)
    if not is_free(Path(config.out)):
        raise InputError(f"option --out: {config.out} is not empty and no screen; give a new folder.")
    features = _features(config, settings).identified()
    examples = Examples(shards, run.selection, behaviour, settings.text_column, settings.bad_rows)
    log.info(f"learning from {len(shards):,} shards of {run.root}, {FOLDS} times from a part and once from all")
    with tempfile.TemporaryDirectory(prefix="ifcurate-") as folder:
        learnt = learn(features, examples, Path(folder), config.seed)
    save_screen(config.kind, features, learnt.linear, _said(behaviour, learnt, made_from), file)
    return load_screen(file)


def _behaviour(run: Run, settings: RunConfig, config: ScreenConfig) -> str:
    behaviours = run.behaviours or [settings.behaviour]
    if config.behaviour is None and len(behaviours) > 1:
        raise InputError(f"option --behaviour: {run.root} has {', '.join(behaviours)}; name one of them.")
    behaviour = config.behaviour or behaviours[0]
    if behaviour not in behaviours:
        raise InputError(f"option --behaviour: {run.root} has {', '.join(behaviours)}, not {behaviour!r}.")
    return behaviour


def _made_from(run: Run, settings: RunConfig, config: ScreenConfig, shards: Sequence[Shard]) -> dict[str, Any]:
    """What decides the screen, as far as it can be known before."""
    origin = selection_origin(run, settings, shards)
    if not is_current(run, settings, origin):
        raise InputError(f"{run.root}: has no selection of its present scores; run `ifcurate select {run.root}` first.")
    scored = sidecar_metadata(shards[0].output(run.scores))
    if scored.method is not None:
        raise InputError(f"{run.root}: has each token's {scored.method}, no influence; give a run that scored some.")
    return {
        "selection_hash": sha256(origin.encode()).hexdigest(),
        "direction_hash": scored.directions[settings.behaviour].direction_hash,
        "model": settings.model,
        "shards": [shard.name for shard in shards],
        "kind": config.kind,
        "probe": [config.model, config.revision, config.tokens] if config.kind == "probe" else None,
        "seed": config.seed,
    }


def _made_before(file: Path, made_from: dict[str, Any]) -> Screen:
    found = load_screen(file)
    if found.provenance.get(MADE_FROM) != made_from:
        raise InputError(
            f"option --out: {file} was learnt from other scores or with other settings; give another --out, or "
            "--overwrite."
        )
    log.info(f"{file}: is made already; --overwrite makes it anew")
    return found


def _features(config: ScreenConfig, settings: RunConfig) -> Features:
    if config.kind == "ngrams":
        return NGrams()
    from ifcurate.screening.probe import Probe  # which loads torch

    revision = settings.revision if config.model is None else config.revision
    return Probe(config.model or settings.model, revision, config.tokens)


def _said(behaviour: str, learnt: Learnt, made_from: dict[str, Any]) -> dict[str, Any]:
    counts = {name: getattr(learnt, name) for name in ("documents", "tokens", "selected", "texts")}
    return {"behaviour": behaviour, "curve": learnt.curve, "learnt_from": counts, MADE_FROM: made_from}
