"""Pieces of a study made, each by its recipe, which goes on by itself where it was stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ifcurate.errors import InputError
from ifcurate.evaluation.completions import is_empty
from ifcurate.evaluation.config import ToxicityConfig
from ifcurate.evaluation.results import ModelFolder
from ifcurate.pipelines.annotate import annotate
from ifcurate.pipelines.evaluate import evaluate_fluency, evaluate_saved, evaluate_toxicity
from ifcurate.pipelines.reward_model import train_reward_model
from ifcurate.pipelines.study_recipes import classifier_of, model_folder, settings_of
from ifcurate.pipelines.study_shared_prompts import count_shared
from ifcurate.pipelines.train import train
from ifcurate.studies.costs import likeness
from ifcurate.studies.declared import Study
from ifcurate.studies.layout import Layout
from ifcurate.studies.pieces import Kind, Piece
from ifcurate.studies.records import JudgedBy, Record, read_record, write_record

RECIPES: Mapping[Kind, Callable[[Any], Any]] = {
    "shared_prompts": count_shared,
    "reward_model": train_reward_model,
    "annotation": annotate,
    "training": train,
    "completions": evaluate_toxicity,
    "fluency": evaluate_fluency,
}


@dataclass(frozen=True)
class Workplace:
    """A study, its pieces, and the folder that they are in.

    Attributes:
        threads: of torch, as this process began with: recipes that change them leave them changed, and what a piece
            is must not depend on what was made before it.
    """

    study: Study
    layout: Layout
    root: Path
    threads: int

    def record(self, piece: Piece) -> Record | None:
        """What is known of `piece`; None while it is not made, or a judge has not seen it."""
        record = read_record(piece, self.root)
        if record is None or piece.kind != "completions" or record.silent:
            return record
        return record if not self._unjudged(record) else None

    def make(self, piece: Piece) -> Record:
        """Make `piece`, or what is left of it.

        Raises:
            InputError: its recipe refuses something; names the piece.
        """
        try:
            return self._made(piece)
        except InputError as error:
            raise InputError(f"{piece.title}: {error}") from error

    def _made(self, piece: Piece) -> Record:
        torch.set_num_threads(self.threads)
        whole, began = not (self.root / piece.place).exists(), time.monotonic()
        settings = settings_of(piece, self.study, self.layout, self.root)
        record = read_record(piece, self.root)  # of completions that a judge has not seen yet
        record = record or Record(piece.kind, piece.name, dict(piece.settings), likeness(piece), whole)
        if piece.kind == "completions":
            record = self._judge(piece, settings, record)
        else:
            RECIPES[piece.kind](settings)
        record = replace(record, seconds=record.seconds + time.monotonic() - began)
        write_record(piece, record, self.root)
        return record

    def _judge(self, piece: Piece, settings: ToxicityConfig, record: Record) -> Record:
        """Complete the prompts, and have every judge see the completions that has not."""
        folder = model_folder(piece, self.root)
        if not record.judged:
            try:
                evaluate_toxicity(settings)
            except InputError:
                if not is_silent(folder):
                    raise
                return replace(record, silent=True)
        for name in self._unjudged(record):
            classifier, label = classifier_of(name, self.study, self.layout, self.root)
            evaluate_saved([folder], classifier, label, settings.device, settings.seed, settings.trust)
            column = folder.read().toxicity[-1].classifier
            self._refuse_shared_column(name, column, record)
            record = replace(record, judged={**record.judged, name: JudgedBy(classifier, label, column)})
        return record

    def _unjudged(self, record: Record) -> list[str]:
        """Judges that have not seen the completions, or were others when they did."""
        asked = {name: classifier_of(name, self.study, self.layout, self.root) for name in self.study.judges}
        seen = {name: (judged.classifier, judged.label) for name, judged in record.judged.items()}
        return [name for name, wanted in asked.items() if seen.get(name) != wanted]

    def _refuse_shared_column(self, name: str, column: str, record: Record) -> None:
        for other, judged in record.judged.items():
            if other != name and other in self.study.judges and judged.column == column:
                raise InputError(
                    f"judges.{name} and judges.{other}: are both called {column!r} after their folders; rename one."
                )


def is_silent(folder: ModelFolder) -> bool:
    """Whether a model completed prompts, and no completion has any text."""
    if not any(folder.path.glob("*.parquet")):
        return False
    tables = [folder.completions(name).read() for name in folder.all_completions()]
    return all(is_empty(text) for table in tables for texts in table["completions"].to_pylist() for text in texts)
