"""From settings to a scorer that is ready: model, tokenizer and directions loaded and checked against each other."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ifcurate.errors import InputError
from ifcurate.influence.batch_size import automatic_batch_tokens, bytes_per_worker
from ifcurate.influence.column_names import TOKEN_IDS, influence_column
from ifcurate.influence.direction import Direction, check_direction, find_direction, hash_tensors, load_direction
from ifcurate.influence.engines import AUTO, ENGINES
from ifcurate.influence.engines.calibration import Step, best_steps, calibrate
from ifcurate.influence.engines.choice import build_engine, choose_dtype, choose_engine
from ifcurate.influence.engines.compiled import find_obstacle, refusal
from ifcurate.influence.scorer import DocumentScores, Scorer, Work
from ifcurate.influence.settings import ScoreSettings
from ifcurate.influence.student import Student, check_student, load_student
from ifcurate.model.batching import Batching, OneWindowARow, PackedRows
from ifcurate.model.checkpoints import (
    check_token_ids,
    check_vocabulary,
    context_length,
    embedding_rows,
    load_causal_lm,
    load_tokenizer,
    start_token,
)
from ifcurate.model.conversations import encode, require_template
from ifcurate.model.device_map import place, resolve_devices
from ifcurate.model.devices import forbid_reduced_precision
from ifcurate.model.hashes import hash_model, hash_tokenizer
from ifcurate.model.positions import hold_positions
from ifcurate.model.windows import Encoding, Window, bucket_by_length, collate, split_into_windows
from ifcurate.progress import log

CALIBRATION_TOKENS = 2048
"""Tokens on which a finite-difference step is chosen and checked."""


def load_scorer(settings: ScoreSettings) -> LoadedScorer:
    """Load what `settings` names; sets this process's CPU threads and forbids it reduced precision.

    Raises:
        InputError: something cannot be loaded, model, tokenizer and directions do not belong together, or the engine
            that was asked for cannot score this model here.
    """
    torch.set_num_threads(settings.threads)
    forbid_reduced_precision()
    devices = resolve_devices(settings.device, settings.device_map)
    dtype = choose_dtype(settings.dtype, settings.engine, settings.alignment, devices[0])
    engine = choose_engine(settings.engine, settings.alignment, dtype, devices, len(settings.directions))
    if ENGINES[engine].needs_student != (settings.student is not None):
        raise InputError(f"option --engine: {engine} and a student do not go together; give --engine student with one.")
    tokenizer = load_tokenizer(settings.model, settings.revision, settings.trust, settings.stored)
    model = load_causal_lm(settings.model, settings.revision, trust=settings.trust, stored=settings.stored)
    check_vocabulary(tokenizer, model)
    if settings.on is not None:
        require_template(tokenizer)
    student, directions = _load_checked(settings, model, tokenizer)
    context = context_length(model, settings.context, settings.overlap)
    hold_positions(model, context)
    if engine == "compiled-jvp" and (obstacle := find_obstacle(model, devices[0])):
        if settings.engine != AUTO:
            raise refusal(obstacle)
        log.info(f"scoring with jvp, as compiled-jvp cannot be used here: {obstacle}")
        engine = "jvp"
    placed = place(model.to(dtype), devices)
    return LoadedScorer(settings, placed, tokenizer, directions, engine, context, student)


def _load_checked(
    settings: ScoreSettings, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> tuple[Student | None, list[Direction]]:
    """The student that scores, or what is scored along."""
    hashes = hash_model(model), hash_tokenizer(tokenizer)
    if settings.student is not None:
        student = load_student(Path(settings.student))
        check_student(student, settings.model, *hashes)
        return student, []
    directions = [load_direction(find_direction(place)) for place in settings.directions]
    for direction in directions:
        check_direction(direction, model, *hashes)
    return None, directions


def _load_same(settings: ScoreSettings, identity: str) -> LoadedScorer:
    """`load_scorer` in another process.

    Raises:
        InputError: its directions are others now; see `load_scorer`.
    """
    loaded = load_scorer(settings)
    if _identity(loaded.scored_along) != identity:
        named = settings.directions if settings.student is None else (settings.student,)
        raise InputError(f"{', '.join(named)}: changed since the scorer was loaded; load it again.")
    return loaded


def _identity(directions: Sequence[Direction | Student]) -> str:
    """A hash of directions, which name their model and tokenizer by hash."""
    said = [[dict(direction.provenance), hash_tensors(direction.tensors)] for direction in directions]
    return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


@dataclass
class LoadedScorer:
    """A scorer with its model, tokenizer and directions; the engine is built at the first use.

    `engine` is what was chosen; where the choice was ours, `steps` may still replace one-sided by central differences.
    """

    settings: ScoreSettings
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    directions: list[Direction]
    engine: str
    context: int
    student: Student | None = None
    _scorer: Scorer | None = field(default=None, init=False)

    @property
    def behaviours(self) -> list[str]:
        """One a direction, in order, or the student's."""
        return [each.behaviour for each in self.scored_along]

    @property
    def scored_along(self) -> Sequence[Direction | Student]:
        """The directions, or the student that knows one."""
        return self.directions if self.student is None else [self.student]

    def encode(self, texts: Sequence[str], names: Sequence[str] | None = None) -> list[Encoding]:
        """See `conversations.encode`; documents without `names` are told by their number."""
        return encode(self.tokenizer, texts, names or [str(number) for number in range(len(texts))], self.settings.on)

    def columns(self, batch: Mapping[str, Sequence[str]], text_column: str = "text") -> dict[str, list[NDArray[Any]]]:
        """The columns that scoring adds to a batch of documents: for `dataset.map(scorer.columns, batched=True)`.

        Args:
            batch: column name -> values, one a document.
            text_column: which of them the texts are.

        Returns:
            `token_ids`, int32 [tokens] a document, and for each direction `<behaviour>_influence`, float32 [tokens],
            as an annotated shard has them.

        Raises:
            InputError: there is no such column, or a text is none; see `score`.
        """
        texts = batch.get(text_column)
        if texts is None:
            raise InputError(f"the data set has no column {text_column!r}; give fn_kwargs={{'text_column': ...}}.")
        if isinstance(texts, str):
            raise InputError("the scorer takes batches of documents; give batched=True.")
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise InputError(f"row {row} of the batch: {text_column!r} is no text but {text!r}; fill or remove it.")
        encodings = self.encode(texts)
        scores, _ = self.score(encodings, [f"{row} of the batch" for row in range(len(texts))])
        return {
            TOKEN_IDS: [encoding.token_ids for encoding in encodings],
            **{
                influence_column(behaviour): [of_document.influence[number] for of_document in scores]
                for number, behaviour in enumerate(self.behaviours)
            },
        }

    def __reduce__(self) -> tuple[Callable[..., LoadedScorer], tuple[ScoreSettings, str]]:
        """What other processes load again, and caches know it by: settings, and what they named by hash."""
        return _load_same, (self.settings, _identity(self.scored_along))

    def score(
        self,
        encodings: Sequence[Encoding],
        names: Sequence[str],
        on_batch: Callable[[int], None] = lambda tokens: None,
    ) -> tuple[list[DocumentScores], Work]:
        """See `Scorer.score`; finite differences without given steps are calibrated on `sample_of_tokens`."""
        rows = embedding_rows(self.model)
        for encoding, name in zip(encodings, names, strict=True):
            check_token_ids(encoding.token_ids, rows, f"document {name}")
        if self._scorer is None:
            self._scorer = self._build(self.steps(self.sample_of_tokens()))
        return self._scorer.score(encodings, names, on_batch)

    def batch_tokens(self, workers: int = 1) -> int:
        """Positions a batch: as set, or what fits into memory that `workers` processes share."""
        if self.settings.batch_tokens is not None:
            return self.settings.batch_tokens
        return automatic_batch_tokens(self.model, self.engine, len(self.scored_along), workers)

    @property
    def worker_bytes(self) -> int:
        """See `bytes_per_worker`."""
        return bytes_per_worker(self.model, self.engine, len(self.scored_along))

    def steps(self, windows: Sequence[Window]) -> list[Step]:
        """The given finite-difference steps, or those found best on `windows`; none for other engines.

        Raises:
            InputError: finite differences are not exact enough, see `calibrate`.
        """
        if not ENGINES[self.engine].needs_step:
            return []
        if self.settings.steps is not None:
            return [Step(relative, float("nan")) for relative in self.settings.steps]
        longest = bucket_by_length([len(window) for window in windows], CALIBRATION_TOKENS)[0]
        batch = collate([windows[index] for index in longest], start_token(self.tokenizer)).to(str(self.model.device))
        if self.settings.engine == AUTO and self.engine == "one-sided":
            steps = best_steps(self.model, self.directions, batch, self.engine)
            if all(step.is_exact for step in steps):
                return steps
            self.engine = "finite-difference"
        return calibrate(self.model, self.directions, batch, self.engine)

    def sample_of_tokens(self) -> list[Window]:
        """Windows of `CALIBRATION_TOKENS` tokens drawn from the vocabulary: the same in every process.

        Where nobody gives steps, they may not depend on which documents a process sees, and in which order.
        """
        added = self.tokenizer.get_added_vocab()
        ordinary = sorted(number for token, number in self.tokenizer.get_vocab().items() if token not in added)
        drawn = np.random.default_rng(0).choice(np.array(ordinary, np.int32), CALIBRATION_TOKENS)
        everywhere = np.zeros_like(drawn)
        return split_into_windows([Encoding(drawn, everywhere, everywhere)], self.context)

    def _build(self, steps: Sequence[Step]) -> Scorer:
        return Scorer(
            engine=build_engine(self.engine, self.model, self.scored_along, steps),
            directions=len(self.scored_along),
            context=self.context,
            batching=self._batching(),
            batch_tokens=self.batch_tokens(),
            device=str(self.model.device),
            overlap=self.settings.overlap,
        )

    def _batching(self) -> Batching:
        start = start_token(self.tokenizer)
        return PackedRows(start, self.context) if self.engine == "compiled-jvp" else OneWindowARow(start)
