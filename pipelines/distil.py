"""Recipe of `ifcurate distil`: from a scored run and a small model to a student, which scores at one forward pass."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ifcurate.config import read_provenance, save
from ifcurate.corpus.shards import Shard
from ifcurate.distilling.examples import ScoredShards, ScoredWindows
from ifcurate.distilling.learning import TOP, Course, Pupil, learn
from ifcurate.distilling.measures import rank_correlation, top_overlap
from ifcurate.errors import InputError
from ifcurate.files import clear, is_free, remove, remove_parts, telling_of_full_disk
from ifcurate.influence.quantile_map import QuantileMap
from ifcurate.influence.student import STUDENT_FILE, Student, load_student, save_student
from ifcurate.machine import cores
from ifcurate.model.checkpoints import (
    check_vocabulary,
    context_length,
    load_causal_lm,
    load_checkpoint,
    load_tokenizer,
    start_token,
)
from ifcurate.model.devices import forbid_reduced_precision, resolve_device
from ifcurate.model.hashes import hash_model, hash_tokenizer
from ifcurate.model.positions import hold_positions
from ifcurate.pipelines.corpus_record import present_shards, require_same_shards
from ifcurate.pipelines.distil_config import DistilConfig, LearningSettings
from ifcurate.pipelines.found_engine import read_engine
from ifcurate.pipelines.run import Run, open_run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.progress import log
from ifcurate.provenance import versions
from ifcurate.selection.footers import SidecarMetadata, hash_sidecars, sidecar_metadata

SETTINGS_FILE = "distil.yaml"
UNFINISHED = "unfinished.safetensors"
MADE_FROM = "made_from"
FREE_TO_CHANGE = ("save_steps",)
"""Settings of learning that leave no trace in the student."""


@dataclass(frozen=True)
class Taught:
    """Scored shards, and what their sidecars say of how the influence was found."""

    shards: list[Shard]
    sidecars: list[Path]
    behaviour: str
    context: int
    said: SidecarMetadata


def distil(config: DistilConfig) -> Student:
    """Make a student, unless it is there; a call that was stopped goes on, to the same bytes on a CPU.

    Raises:
        InputError: the run is not scored, its corpus is gone or changed, the student does not fit it, or the folder
            holds another.
    """
    out = Path(config.out)
    if config.overwrite:
        clear(out, SETTINGS_FILE)
    run, settings = open_run(config.run)
    taught = _taught(run, settings, config)
    tokenizer = load_tokenizer(config.student, config.revision, config.trust)
    _require_tokenizer(tokenizer, taught, config)
    model = load_checkpoint(config.student, config.revision, trust=config.trust)
    made_from = _made_from(taught, config, model)
    _claim(config, made_from)
    if (out / STUDENT_FILE).is_file():
        log.info(f"{out}: is made already; --overwrite makes it anew")
        return load_student(out / STUDENT_FILE)
    with tempfile.TemporaryDirectory(prefix="ifcurate-") as folder:
        scored = ScoredShards(
            taught.shards,
            taught.sidecars,
            taught.behaviour,
            taught.context,
            taught.said.overlap,
            settings.text_column,
            settings.bad_rows,
        )
        learnt, held_out = scored.read(Path(folder), config.held_out_share, config.seed)
        return _make(config, taught, model, tokenizer, (learnt, held_out), made_from)


def _make(
    config: DistilConfig,
    taught: Taught,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    parts: tuple[ScoredWindows, ScoredWindows],
    made_from: dict[str, Any],
) -> Student:
    torch.set_num_threads(cores())
    forbid_reduced_precision()
    learnt, held_out = parts
    check_vocabulary(tokenizer, model)
    hold_positions(model, context_length(model, taught.context))
    pupil = Pupil(model.to(resolve_device(config.device)), start_token(tokenizer))
    out = Path(config.out)
    course = Course(config.epochs, config.learning_rate, config.tokens_per_step, config.save_steps, config.seed)
    log.info(
        f"learning from {learnt.tokens:,} tokens of {learnt.documents:,} documents; {held_out.documents:,} are held out"
    )
    steps = learn(pupil, learnt, course, out / UNFINISHED, _identity(made_from))
    found, exact = pupil.of(held_out, config.tokens_per_step), held_out.scored()
    try:
        scale = QuantileMap.between(found, exact)
    except ValueError as error:
        raise InputError(
            f"option --held-out: {config.held_out} of the documents are {len(exact):,} tokens, too few or too much "
            "alike to measure a student on; give more, or score more of the corpus."
        ) from error
    with telling_of_full_disk(out):
        pupil.model.save_pretrained(out)
        tokenizer.save_pretrained(out)
    counts = {
        name: {"documents": part.documents, "tokens": part.tokens}
        for name, part in (("learnt_from", learnt), ("held_out", held_out))
    }
    said = {
        **_facts(taught),
        "model_hash": hash_model(load_causal_lm(str(out), trust=config.trust)),
        "correlation": rank_correlation(found, exact),
        "overlap": top_overlap(found, exact, TOP),
        "share": TOP,
        "steps": steps,
        **counts,
        MADE_FROM: made_from,
    }
    save_student(dict(pupil.head.named_parameters()), scale, said, out / STUDENT_FILE)
    remove(out / UNFINISHED)
    return load_student(out / STUDENT_FILE)


def _taught(run: Run, settings: RunConfig, config: DistilConfig) -> Taught:
    """What is learnt from.

    Raises:
        InputError: not every shard is scored, or the scores are none that a student can learn.
    """
    shards = present_shards(run, config.corpus)
    require_same_shards(run, shards)
    sidecars = [shard.output(run.scores) for shard in shards]
    missing = [shard.name for shard, file in zip(shards, sidecars, strict=True) if not file.is_file()]
    if missing or not shards:
        raise InputError(
            f"{run.root}: shards not scored yet: {len(missing) or 'all'}; run `ifcurate score {run.root}` first."
        )
    said = sidecar_metadata(sidecars[0])
    behaviour = _behaviour(run, said, config)
    more = said.model_extra or {}
    if more.get("alignment") != "label":
        raise InputError(
            f"{run.root}: its scores are of positions, which losses behind them flow into, and a student sees none of "
            "these; give a run with --alignment label."
        )
    if said.screened is not None:
        raise InputError(
            f"{run.root}: a screen chose which of its documents have a score, so they tell nothing of all others; give "
            "a run without --screen."
        )
    if said.method is not None:
        raise InputError(f"{run.root}: has each token's {said.method}, no influence; give a run with exact scores.")
    if said.directions[behaviour].is_approximate:
        raise InputError(f"{run.root}: was scored by a student itself; give a run with exact scores.")
    return Taught(shards, sidecars, behaviour, read_engine(run).context, said)


def _behaviour(run: Run, said: SidecarMetadata, config: DistilConfig) -> str:
    behaviours = sorted(said.directions)
    if config.behaviour is None and len(behaviours) == 1:
        return behaviours[0]
    if config.behaviour not in behaviours:
        raise InputError(f"option --behaviour: {run.root} has scores of {', '.join(behaviours)}; name one of them.")
    return str(config.behaviour)


def _require_tokenizer(tokenizer: PreTrainedTokenizerFast, taught: Taught, config: DistilConfig) -> None:
    found, wanted = hash_tokenizer(tokenizer), str((taught.said.model_extra or {})["tokenizer_hash"])
    if found != wanted:
        raise InputError(
            f"option --student: {config.student} has another tokenizer than the scores are of (hash {found[:12]}, "
            f"there {wanted[:12]}), and influence is learnt token by token; give a model with the run's tokenizer."
        )


def _facts(taught: Taught) -> dict[str, Any]:
    more = taught.said.model_extra or {}
    return {
        "behaviour": taught.behaviour,
        "model": str(more["model"]),
        "revision": more.get("revision"),
        "direction_hash": taught.said.directions[taught.behaviour].direction_hash,
        "tokenizer_hash": more["tokenizer_hash"],
        "context": taught.context,
    }


def _made_from(taught: Taught, config: DistilConfig, model: PreTrainedModel) -> dict[str, Any]:
    """What decides the student."""
    sidecars: Sequence[tuple[str, Path]] = [
        (shard.name, file) for shard, file in zip(taught.shards, taught.sidecars, strict=True)
    ]
    learning = config.model_dump(include=set(LearningSettings.model_fields) - set(FREE_TO_CHANGE))
    return {
        **_facts(taught),
        "scores_hash": hash_sidecars(sidecars),
        "shards": [shard.name for shard in taught.shards],
        "student": config.student,
        "student_hash": hash_model(model),
        "learning": learning,
    }


def _identity(made_from: dict[str, Any]) -> str:
    deciding = {name: value for name, value in made_from.items() if name not in ("student", "model")}
    return sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()


def _claim(config: DistilConfig, made_from: dict[str, Any]) -> None:
    """Make the output folder this student's own, or refuse it."""
    out, file = Path(config.out), Path(config.out) / SETTINGS_FILE
    if file.is_file():
        found = read_provenance(file, MADE_FROM)[MADE_FROM]
        if _identity(found) != _identity(made_from) and (
            (out / STUDENT_FILE).is_file() or (out / UNFINISHED).is_file()
        ):
            raise InputError(
                f"option --out: {out} holds a student of other scores or settings; give another --out, or --overwrite."
            )
    elif not is_free(out):
        raise InputError(f"option --out: {out} is not empty and no student; give a new folder.")
    remove_parts(out)
    save(config, file, {**versions(), MADE_FROM: made_from})
