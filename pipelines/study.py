"""Recipe of `ifcurate study`: the comparisons of a paper in one command.

OUT/
  study.yaml                     the study, as it was read
  annotation/<name>-<key>/       a run of `ifcurate annotate`, see docs/columns.md
  training/<name>-<key>/         a checkpoint of `ifcurate train`
  reward-model/<name>-<key>/     a classifier of `ifcurate reward-model`
  completions/<name>-<key>/      completions and their scores, of `ifcurate eval toxicity`
  fluency/<name>-<key>/          perplexity and LAMBADA, of `ifcurate eval fluency`
  pieces/                        what each is made of, and how long it took
  results.json, .csv, .md, .tex  the table
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch

from ifcurate.config import save
from ifcurate.errors import InputError
from ifcurate.files import is_free, remove_parts
from ifcurate.pipelines.study_config import StudyConfig
from ifcurate.pipelines.study_pieces import Workplace
from ifcurate.pipelines.study_recipes import settings_of
from ifcurate.pipelines.study_results import results_of
from ifcurate.progress import log
from ifcurate.provenance import versions
from ifcurate.studies.files import write_results
from ifcurate.studies.layout import lay_out
from ifcurate.studies.pieces import Piece
from ifcurate.studies.reading import read_study
from ifcurate.studies.records import RECORDS
from ifcurate.studies.sweeps import expanded
from ifcurate.studies.tables import Shown, shown

STUDY_FILE = "study.yaml"


@dataclass(frozen=True)
class Made:
    """A piece that was made now, and the seconds it took this process."""

    piece: Piece
    seconds: float


@dataclass(frozen=True)
class StudySummary:
    """What a study did now, and what it found.

    Attributes:
        tables: in order.
        made: what was made now.
        there: pieces that were there already.
        seconds: of this process.
        files: that were written.
    """

    tables: list[Shown]
    made: list[Made]
    there: int
    seconds: float
    files: list[Path]


def study(config: StudyConfig) -> StudySummary:
    """Make what is missing, piece by piece, then the tables; the same command goes on wherever it was stopped.

    Raises:
        InputError: the study or something in it cannot be used.
    """
    began = time.monotonic()
    workplace = open_study(config)
    _claim(workplace)
    made = _make_missing(workplace)
    results = results_of(workplace)
    tables = [shown(results, name, table) for name, table in workplace.study.tables.items()]
    files = write_results(results, tables, workplace.root)
    there = len(workplace.layout.pieces) - len(made)
    return StudySummary(tables, made, there, time.monotonic() - began, files)


def open_study(config: StudyConfig) -> Workplace:
    """The study that `config` names, with every setting of every piece looked at.

    Raises:
        InputError: the file or a setting cannot be used; names it.
    """
    file = Path(config.study)
    declared = read_study(file, config.set)
    try:
        declared = expanded(declared)
        layout = lay_out(declared)
        workplace = Workplace(declared, layout, Path(config.out), torch.get_num_threads())
        for piece in layout.pieces:
            settings_of(piece, declared, layout, workplace.root)
    except (InputError, ValueError) as error:
        raise InputError(f"{file}: {str(error).rstrip('.')}.") from error
    return workplace


def _claim(workplace: Workplace) -> None:
    """Make the output folder this study's own, or refuse it."""
    root = workplace.root
    if not ((root / STUDY_FILE).is_file() or is_free(root)):
        raise InputError(f"option --out: {root} is in use by something else; give a new folder.")
    remove_parts(root / RECORDS)
    save(workplace.study, root / STUDY_FILE, versions())


def _make_missing(workplace: Workplace) -> list[Made]:
    pieces = workplace.layout.pieces
    missing = [piece for piece in pieces if workplace.record(piece) is None]
    made = []
    for number, piece in enumerate(missing, 1):
        log.info(f"study: {piece.title} ({number} of {len(missing)}; {len(pieces) - len(missing)} were there)")
        began = time.monotonic()
        workplace.make(piece)
        made.append(Made(piece, time.monotonic() - began))
    return made
