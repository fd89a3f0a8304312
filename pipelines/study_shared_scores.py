"""Annotations that differ in what they select alone have the same scores: the second takes those of the first."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from ifcurate.files import finishing_folder
from ifcurate.pipelines.run import FREE_TO_CHANGE, Run
from ifcurate.pipelines.run_config import RunConfig, first_stage
from ifcurate.pipelines.study_workplace import Workplace
from ifcurate.progress import log
from ifcurate.studies.costs import UNKNOWN, Estimate, estimate
from ifcurate.studies.pieces import Piece

LOGS = "logs"
"""Are added to, and so are copied, not linked."""


def take_scores(piece: Piece, workplace: Workplace) -> None:
    """Begin the run of `piece` with the scores of a finished one that differs in its selection alone, if there is one.

    Files are linked, or copied where the disk has no links: whole files are never changed, only replaced.
    """
    folder = workplace.folder(piece)
    donor = None if folder.exists() else _donor(piece, workplace)
    if donor is None:
        return
    log.info(f"{piece.title}: selects from the scores of {donor.title}")
    run = Run(workplace.folder(donor))
    left_out = {
        path.relative_to(run.root) for path in (run.selection, run.data, run.logs / "select", run.logs / "write")
    }
    with finishing_folder(folder) as part:
        for file in sorted(run.root.rglob("*")):
            inside = file.relative_to(run.root)
            if file.is_file() and not left_out & {inside, *inside.parents}:
                _lay(file, part / inside, copied=LOGS in inside.parts)


def _donor(piece: Piece, workplace: Workplace) -> Piece | None:
    made = [other for other in same_scores(piece, workplace) if workplace.record(other) is not None]
    return made[0] if made else None


def same_scores(piece: Piece, workplace: Workplace) -> list[Piece]:
    """Other annotations from the same models that have the scores of `piece`, in the order in which they are made."""
    wanted, models = workplace.settings(piece), _keys(piece)
    others = [each for each in workplace.layout.pieces if each.kind == "annotation" and each.key != piece.key]
    return [each for each in others if _keys(each) == models and _has_same_scores(workplace.settings(each), wanted)]


def foreseen(piece: Piece, known: Mapping[str, float], workplace: Workplace) -> Estimate:
    """What like pieces took; of an annotation that begins with the scores of another nobody has measured it."""
    takes = piece.kind == "annotation" and piece != _in_order([piece, *same_scores(piece, workplace)], workplace)[0]
    return UNKNOWN if takes else estimate(piece, known)


def _in_order(pieces: Sequence[Piece], workplace: Workplace) -> list[Piece]:
    order = [each.key for each in workplace.layout.pieces]
    return sorted(pieces, key=lambda piece: order.index(piece.key))


def _keys(piece: Piece) -> dict[str, str]:
    return {role: needed.key for role, needed in piece.needs.items()}


def _has_same_scores(one: RunConfig, other: RunConfig) -> bool:
    differ = [name for name in RunConfig.model_fields if getattr(one, name) != getattr(other, name)]
    return all(name in FREE_TO_CHANGE or first_stage(name) in ("select", "write") for name in differ)


def _lay(file: Path, place: Path, copied: bool) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if copied:
        shutil.copyfile(file, place)
        return
    try:
        os.link(file, place)
    except OSError:  # no links on this disk, or too many of one file
        shutil.copyfile(file, place)
