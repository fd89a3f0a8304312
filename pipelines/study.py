"""Recipe of `ifcurate study`: the comparisons of a paper in one command.

OUT/
  study.yaml                     the study, as it was read
  annotation/<name>-<key>/       a run of `ifcurate annotate`, see docs/columns.md
  training/<name>-<key>/         a checkpoint of `ifcurate train`
  preferences/<name>-<key>/      pairs of `ifcurate preferences`
  dpo/<name>-<key>/              a checkpoint of `ifcurate dpo`
  reward-model/<name>-<key>/     a classifier of `ifcurate reward-model`
  completions/<name>-<key>/      completions and their scores, of `ifcurate eval toxicity`
  fluency/<name>-<key>/          perplexity and LAMBADA, of `ifcurate eval fluency`
  attack/, recognition/          the same of `ifcurate eval attack` and `recognition`, where a table shows them
  pieces/                        what each is made of, and how long it took
  results.json, .csv, .md, .tex  the tables
  figure.svg                     toxicity over perplexity
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ifcurate.config import save
from ifcurate.errors import InputError
from ifcurate.files import is_free, remove_parts
from ifcurate.pipelines.available import can_draw
from ifcurate.pipelines.study_config import StudyConfig
from ifcurate.pipelines.study_inputs import look
from ifcurate.pipelines.study_pieces import make
from ifcurate.pipelines.study_results import results_of, shared_prompts_of
from ifcurate.pipelines.study_shared_scores import foreseen
from ifcurate.pipelines.study_workplace import Workplace
from ifcurate.progress import log
from ifcurate.provenance import versions
from ifcurate.studies.costs import left, measured
from ifcurate.studies.declared import Study
from ifcurate.studies.figure import FIGURE_FILE, draw, panels
from ifcurate.studies.files import write_results
from ifcurate.studies.layout import lay_out
from ifcurate.studies.pieces import Piece
from ifcurate.studies.reading import read_study
from ifcurate.studies.records import read_records
from ifcurate.studies.reduced import without
from ifcurate.studies.results import Results
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
        failed: why others could not be made, in sentences.
        there: pieces that were there already.
        seconds: of this process.
        files: that were written.
    """

    tables: list[Shown]
    made: list[Made]
    failed: list[str]
    there: int
    seconds: float
    files: list[Path]


def study(config: StudyConfig) -> StudySummary:
    """Make what is missing, piece by piece, then the tables; the same command goes on wherever it was stopped.

    Raises:
        InputError: the study or something in it cannot be used, or had, and `skip_missing` is not set.
    """
    began = time.monotonic()
    workplace, left_out = _with_what_there_is(open_study(config), config)
    _claim(workplace)
    made, failed = _make_missing(workplace)
    results = results_of(workplace, [*left_out, *(f"not made: {each}" for each in failed)])
    tables = [shown(results, name, table) for name, table in workplace.study.tables.items()]
    files = write_results(results, tables, workplace.root) + _figure(results, config, workplace.root)
    there = sum(workplace.record(piece) is not None for piece in workplace.pieces) - len(made)
    return StudySummary(tables, made, failed, there, time.monotonic() - began, files)


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
        _require_tables(config.tables, declared)
        threads, tables = torch.get_num_threads(), tuple(config.tables)
        workplace = Workplace(declared, layout, Path(config.out), config.trust, threads, config.launch, tables)
        for piece in layout.pieces:
            workplace.settings(piece)
    except (InputError, ValueError) as error:
        raise InputError(f"{file}: {str(error).rstrip('.')}.") from error
    return workplace


def _require_tables(names: Sequence[str], study: Study) -> None:
    for name in names:
        if name not in study.tables:
            raise InputError(f"option --tables: there is no table {name!r}, only {', '.join(study.tables)}.")


def _with_what_there_is(workplace: Workplace, config: StudyConfig) -> tuple[Workplace, list[str]]:
    """The study without the arms and judges that cannot be had, and a sentence for each reason.

    Raises:
        InputError: something cannot be had, and is not to be skipped; names all of it.
    """
    looked = look(workplace, online=True)
    missing = looked.sentences
    if config.figure and not can_draw():
        missing.append("figure: needs matplotlib; run `pip install 'ifcurate[eval]'`, or use --no-figure.")
    if missing and not config.skip_missing:
        listed = "".join(f"\n  {sentence}" for sentence in missing)
        raise InputError(f"nothing was run, as this cannot be had here; bring it, or give --skip-missing:{listed}")
    declared = without(workplace.study, looked.arms, looked.judges)
    return replace(workplace, study=declared, layout=lay_out(declared)), [f"left out: {each}" for each in missing]


def _claim(workplace: Workplace) -> None:
    """Make the output folder this study's own, or refuse it."""
    root = workplace.root
    if not ((root / STUDY_FILE).is_file() or is_free(root)):
        raise InputError(f"option --out: {root} is in use by something else; give a new folder.")
    remove_parts(root)
    save(workplace.study, root / STUDY_FILE, versions())


def _make_missing(workplace: Workplace) -> tuple[list[Made], list[str]]:
    """Make piece by piece, and say before each what the rest will take, as far as like ones have shown.

    Where one cannot be made, those that are made from it are left out, and the others made all the same.

    Raises:
        InputError: a judge cannot be made, or prompts that are to be refused cannot be counted.
    """
    needed_by_all = list(workplace.layout.judges.values())
    if workplace.study.shared_prompts == "refuse" and workplace.layout.shared_prompts is not None:
        needed_by_all.append(workplace.layout.shared_prompts)
    missing = workplace.missing()
    there = len(workplace.pieces) - len(missing)
    made: list[Made] = []
    failed: dict[str, str] = {}
    _refuse_shared(workplace)
    for number, piece in enumerate(missing):
        if any(needed.key in failed for needed in piece.all_needed()):
            continue
        known = measured(read_records(workplace.root))
        rest = left([foreseen(each, known, workplace) for each in missing[number:]])
        log.info(f"study: {piece.title} ({number + 1} of {len(missing)}, {there} were there; {rest})")
        began = time.monotonic()
        try:
            make(piece, workplace)
        except InputError as error:
            if piece in needed_by_all:
                raise
            failed[piece.key] = f"{', '.join(workplace.layout.arms_of(piece))}: {error}"
            log.warning(f"study: without {failed[piece.key]}")
            continue
        made.append(Made(piece, time.monotonic() - began))
        if piece == workplace.layout.shared_prompts:
            _refuse_shared(workplace)
    return made, list(failed.values())


def _refuse_shared(workplace: Workplace) -> None:
    if workplace.study.shared_prompts == "refuse":
        for each in shared_prompts_of(workplace):
            if each.in_corpus or each.in_queries:
                raise InputError(f"{each.sentence[:-1]}; take them out, or say `shared_prompts: count` in the study.")


def _figure(results: Results, config: StudyConfig, root: Path) -> list[Path]:
    """The figure, where it is wanted and there is something to draw, and to draw with."""
    if not (config.figure and can_draw() and panels(results)):
        return []
    draw(results, root / FIGURE_FILE)
    return [root / FIGURE_FILE]
