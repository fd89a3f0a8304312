"""Pieces of a study made, each by its recipe, which goes on by itself where it was stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from ifcurate.errors import InputError
from ifcurate.evaluation.completions import is_empty
from ifcurate.evaluation.config import ToxicityConfig
from ifcurate.evaluation.results import ModelFolder
from ifcurate.pipelines.annotate import annotate
from ifcurate.pipelines.attack import evaluate_attacks
from ifcurate.pipelines.dpo import train_on_pairs
from ifcurate.pipelines.evaluate import evaluate_saved, evaluate_toxicity
from ifcurate.pipelines.fluency import evaluate_fluency
from ifcurate.pipelines.preferences import make_preferences
from ifcurate.pipelines.recognition import evaluate_recognition
from ifcurate.pipelines.reward_model import train_reward_model
from ifcurate.pipelines.study_launch import COMMANDS, launch
from ifcurate.pipelines.study_shared_prompts import count_shared
from ifcurate.pipelines.study_shared_scores import take_scores
from ifcurate.pipelines.study_workplace import Workplace
from ifcurate.pipelines.train import train
from ifcurate.studies.costs import likeness
from ifcurate.studies.pieces import Kind, Piece
from ifcurate.studies.records import JudgedBy, Record, read_record, write_record

RECIPES: Mapping[Kind, Callable[[Any], Any]] = {
    "shared_prompts": count_shared,
    "reward_model": train_reward_model,
    "annotation": annotate,
    "training": train,
    "preferences": make_preferences,
    "dpo": train_on_pairs,
    "completions": evaluate_toxicity,
    "fluency": evaluate_fluency,
    "attack": evaluate_attacks,
    "recognition": evaluate_recognition,
}


def make(piece: Piece, workplace: Workplace) -> Record:
    """Make `piece`, or what is left of it.

    Raises:
        InputError: its recipe refuses something; names the piece.
    """
    torch.set_num_threads(workplace.threads)
    began = time.monotonic()
    settings = workplace.settings(piece)
    if piece.kind == "annotation":
        take_scores(piece, workplace)
    whole = not workplace.folder(piece).exists()
    record = read_record(piece, workplace.root)  # of completions that a judge has not seen yet
    record = record or Record(piece.kind, piece.name, dict(piece.settings), likeness(piece), whole)
    try:
        if piece.kind == "completions":
            record = _judge(piece, settings, record, workplace)
        else:
            _carry_out(piece, settings, workplace)
    except InputError as error:
        raise InputError(f"{piece.title}: {error}") from error
    record = replace(record, seconds=record.seconds + time.monotonic() - began)
    write_record(piece, record, workplace.root)
    return record


def _carry_out(piece: Piece, settings: Any, workplace: Workplace) -> None:
    if workplace.launch is not None and piece.kind in COMMANDS:
        launch(workplace.launch, piece, settings, workplace.trust, workplace.root)
    else:
        RECIPES[piece.kind](settings)


def _judge(piece: Piece, settings: ToxicityConfig, record: Record, workplace: Workplace) -> Record:
    """Complete the prompts, and have every judge see the completions that has not."""
    folder = workplace.results(piece)
    if not record.judged:
        try:
            _carry_out(piece, settings, workplace)
        except InputError:
            if not is_silent(folder):
                raise
            return replace(record, silent=True)
    for name in workplace.unjudged(record):
        classifier, label = workplace.classifier(name)
        evaluate_saved([folder], classifier, label, settings.device, settings.seed, settings.trust)
        column = folder.read().toxicity[-1].classifier
        _refuse_shared_column(name, column, record, workplace)
        record = replace(record, judged={**record.judged, name: JudgedBy(classifier, label, column)})
    return record


def _refuse_shared_column(name: str, column: str, record: Record, workplace: Workplace) -> None:
    for other, judged in record.judged.items():
        if other != name and other in workplace.study.judges and judged.column == column:
            raise InputError(
                f"judges.{name} and judges.{other}: are both called {column!r} after their folders; rename one."
            )


def is_silent(folder: ModelFolder) -> bool:
    """Whether a model completed prompts, and no completion has any text."""
    if not any(folder.path.glob("*.parquet")):
        return False
    tables = [folder.completions(name).read() for name in folder.all_completions()]
    return all(is_empty(text) for table in tables for texts in table["completions"].to_pylist() for text in texts)
