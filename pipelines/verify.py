"""Recipe of `ifcurate verify`: do the marked tokens teach the behaviour? Train without them, and without others.

OUT/
  verify.yaml              every setting, and what the models were trained and measured on, by hash
  rows/seed<n>.parquet     the documents, with the marks of the run and random ones
  pieces/<arm>-seed<n>.json    one trained model's losses
  models/<arm>-seed<n>/    the model while it is trained, or for good with --keep-models
  verify.json              the rises, with intervals, and what they cost
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ifcurate.artifacts import read_artifact
from ifcurate.config import build, read_provenance, save
from ifcurate.errors import InputError
from ifcurate.evaluation.fluency import Reader
from ifcurate.evaluation.retraining import HeldOutTexts, Piece, Rise, rise
from ifcurate.evaluation.retraining_rows import MARKED, RANDOM, write_rows
from ifcurate.files import clear, is_free, remove, remove_parts, write_text
from ifcurate.launch import processes
from ifcurate.model.checkpoints import load_causal_lm
from ifcurate.model.devices import resolve_batch_tokens, resolve_device
from ifcurate.model.ranks import Ranks
from ifcurate.pipelines.train import train
from ifcurate.pipelines.verify_config import VerifyConfig
from ifcurate.pipelines.verify_inputs import Inputs, read_inputs
from ifcurate.progress import log
from ifcurate.provenance import versions
from ifcurate.training.arguments import batch_shape
from ifcurate.training.config import TrainConfig

NONE = "none"
ARMS = (NONE, MARKED, RANDOM)
SETTINGS_FILE, RESULT_FILE = "verify.yaml", "verify.json"
PIECES, MODELS, ROWS = "pieces", "models", "rows"
FREE_TO_CHANGE = frozenset({"run", "out", "overwrite", "seeds", "save_steps", "keep_models"})
"""Settings that leave no trace in a piece."""
ROWS_A_STEP = 16


@dataclass(frozen=True)
class Verification:
    """What leaving the marked tokens out of training did.

    Attributes:
        behaviour: whose tokens.
        tokens: of the documents that are trained on.
        marked: those of them that were left out in one arm, and as many others in another.
        steps: of every model.
        seeds: models an arm.
        queries: rise of the loss on held-out queries.
        ordinary: the same on unmarked tokens of ordinary text.
        left_out: queries that are none to measure on, by reason; None where a reason could not be checked.
        repeated: ordinary documents left out because they are trained on, or came twice.
        tokens_trained: by all models.
        seconds: of training and measuring all models.
    """

    behaviour: str
    tokens: int
    marked: int
    steps: int
    seeds: int
    queries: Rise
    ordinary: Rise
    left_out: dict[str, int | None]
    repeated: int
    tokens_trained: int
    seconds: float


def verify(config: VerifyConfig) -> Verification:
    """Train what is not trained yet, measure it, and write `verify.json`; the same command goes on.

    Raises:
        InputError: the run, the queries or the text cannot be used, or the folder holds something else.
    """
    if processes() > 1:
        raise InputError("`ifcurate verify` trains in one process; start it without torchrun or accelerate.")
    out = config.folder
    if config.overwrite:
        clear(out, SETTINGS_FILE)
    inputs = read_inputs(config)
    batch_shape(_training(config, inputs, NONE, config.seed), inputs.shape.context, 1)
    _claim(config, inputs)
    pieces: list[Piece] = []
    for seed in range(config.seed, config.seed + config.seeds):
        for arm in ARMS:
            log.info(f"verify: {arm}, seed {seed} ({len(pieces) + 1} of {config.seeds * len(ARMS)} models)")
            pieces.append(_piece(config, inputs, arm, seed))
    verification = _summary(config, inputs, pieces)
    described = {**versions(), **asdict(verification), "rows": inputs.shape.rows, "context": inputs.shape.context}
    write_text(out / RESULT_FILE, json.dumps(described, indent=2) + "\n")
    return verification


def _claim(config: VerifyConfig, inputs: Inputs) -> None:
    """Make the output folder this verification's own, or refuse it."""
    out, file = config.folder, config.folder / SETTINGS_FILE
    if file.is_file():
        remove_parts(out)
        if any((out / PIECES).glob("*.json")):
            _refuse_other(config, inputs, file)
    elif not is_free(out):
        raise InputError(f"option --out: {out} is in use by something else; give a new folder.")
    save(config, file, {**versions(), "made_from": inputs.hashes})


def _refuse_other(config: VerifyConfig, inputs: Inputs, file: Path) -> None:
    stored = build(VerifyConfig, {"out": config.out}, file)
    for name, value in config.model_dump().items():
        if name not in FREE_TO_CHANGE and value != getattr(stored, name):
            raise InputError(
                f"option --{name.replace('_', '-')}: {file.parent} was made with {getattr(stored, name)!r}, not "
                f"{value!r}; give what {file.name} says to continue, another --out, or --overwrite."
            )
    for name, value in read_provenance(file, "made_from")["made_from"].items():
        if inputs.hashes.get(name) != value:
            raise InputError(f"{file.parent}: was made from another {name}; give another --out, or --overwrite.")


def _piece(config: VerifyConfig, inputs: Inputs, arm: str, seed: int) -> Piece:
    """The losses of one arm and seed: read where they are stored, or made."""
    name = f"{arm}-seed{seed}"
    file, model = config.folder / PIECES / f"{name}.json", config.folder / MODELS / name
    if file.is_file():
        _tidy(config, model)
        return read_artifact(Piece, file.read_bytes(), file, "delete it to train this model again")
    rows = config.folder / ROWS / f"seed{seed}.parquet"
    if not rows.is_file():
        write_rows(inputs.drawn.trained, inputs.tokenizer_hash, seed, rows)
    training = _training(config, inputs, arm, seed)
    trained = train(training)
    began = time.perf_counter()
    queries, ordinary = _measure(config, inputs, training.out)
    tokens = trained.steps * training.tokens_per_step
    # A process that found all steps done has no rate: what they took is not known.
    seconds = tokens / trained.tokens_per_second if trained.tokens_per_second else trained.seconds
    piece = Piece(
        arm=arm,
        seed=seed,
        left_out=0 if arm == NONE else inputs.drawn.marked,
        steps=trained.steps,
        tokens=tokens,
        seconds=seconds + time.perf_counter() - began,
        queries=queries,
        ordinary=ordinary,
    )
    write_text(file, piece.model_dump_json() + "\n")
    _tidy(config, model)
    return piece


def _tidy(config: VerifyConfig, model: Path) -> None:
    if not config.keep_models:
        remove(model)


def _training(config: VerifyConfig, inputs: Inputs, arm: str, seed: int) -> TrainConfig:
    """One arm as `ifcurate train` does it."""
    given = {
        "data": str(config.folder / ROWS / f"seed{seed}.parquet"),
        "out": str(config.folder / MODELS / f"{arm}-seed{seed}"),
        "model": inputs.model,
        "revision": inputs.revision,
        "gguf_file": inputs.stored.gguf_file,
        "dequantize": inputs.stored.dequantize,
        "allow_pickle": config.allow_pickle,
        "trust_remote_code": config.trust_remote_code,
        "context": inputs.shape.context,
        "penalty": [] if arm == NONE else [f"{arm}=0"],
        "max_steps": config.steps or -(-inputs.shape.rows // _rows_a_step(config, inputs)),
        "tokens_per_step": config.tokens_per_step or ROWS_A_STEP * inputs.shape.context,
        "per_device_train_batch_size": config.per_device_train_batch_size,
        "learning_rate": config.learning_rate,
        "save_steps": config.save_steps,
        "save_total_limit": 1,
        "watch": False,
        "dtype": config.dtype,
        "device": config.device,
        "gradient_checkpointing": config.gradient_checkpointing,
        "liger": config.liger,
        "seed": seed,
    }
    return build(TrainConfig, given)


def _rows_a_step(config: VerifyConfig, inputs: Inputs) -> int:
    return max(1, config.tokens_per_step // inputs.shape.context) if config.tokens_per_step else ROWS_A_STEP


def _measure(config: VerifyConfig, inputs: Inputs, model_folder: str) -> tuple[list[float], list[float]]:
    """Nats of every query and of every ordinary document, in float32 whatever the model was trained in."""
    device = resolve_device(config.device)
    model = load_causal_lm(model_folder, device=device, trust=config.trust)
    reader = Reader(model, resolve_batch_tokens(None, device), Ranks(0, 1, device))
    return inputs.queries.nats(reader, "queries").tolist(), inputs.ordinary.nats(reader, "ordinary").tolist()


def _summary(config: VerifyConfig, inputs: Inputs, pieces: Sequence[Piece]) -> Verification:
    held_out = inputs.held_out
    return Verification(
        behaviour=inputs.behaviour,
        tokens=inputs.drawn.tokens,
        marked=inputs.drawn.marked,
        steps=pieces[0].steps,
        seeds=config.seeds,
        queries=_rise(pieces, "queries", inputs.queries, config.seed),
        ordinary=_rise(pieces, "ordinary", inputs.ordinary, config.seed),
        left_out={
            "like those of the direction": held_out.used,
            "of the contrast": held_out.contrast,
            "trained on": held_out.trained,
            "beyond --most-queries": held_out.beyond,
        },
        repeated=inputs.drawn.repeated,
        tokens_trained=sum(piece.tokens for piece in pieces),
        seconds=sum(piece.seconds for piece in pieces),
    )


def _rise(pieces: Sequence[Piece], kind: str, texts: HeldOutTexts, seed: int) -> Rise:
    losses: dict[str, Any] = {
        arm: np.array([getattr(piece, kind) for piece in pieces if piece.arm == arm]) for arm in ARMS
    }
    return rise(losses[NONE], losses[MARKED], losses[RANDOM], texts.tokens, seed)
