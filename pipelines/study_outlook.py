"""What a study would make, what is done, and what the rest will take; nothing is made to find out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ifcurate.corpus.data_sets import is_data_set_id
from ifcurate.errors import InputError
from ifcurate.pipelines.plan import plan
from ifcurate.pipelines.plan_config import PlanConfig
from ifcurate.pipelines.run_config import AnnotationSettings
from ifcurate.pipelines.study_inputs import Looked, look
from ifcurate.pipelines.study_workplace import Workplace
from ifcurate.planning.result import SECONDS_AN_HOUR
from ifcurate.studies.costs import Estimate, estimate, measured
from ifcurate.studies.pieces import Piece
from ifcurate.studies.records import Record, read_records

UNKNOWN = Estimate(None, "unknown")


@dataclass(frozen=True)
class Prospect:
    """One piece: the arms that need it, its record where it is done, and what it will take where it is not."""

    piece: Piece
    arms: list[str]
    record: Record | None
    estimate: Estimate | None


@dataclass(frozen=True)
class Outlook:
    """All pieces, in the order in which they are made, and what came of looking at what they need."""

    prospects: list[Prospect]
    looked: Looked

    @property
    def estimates(self) -> list[Estimate]:
        """Of what is not done."""
        return [each.estimate for each in self.prospects if each.estimate is not None]


def outlook(workplace: Workplace) -> Outlook:
    """Look at what is there, on this machine alone."""
    looked = look(workplace, online=False)
    known = measured(read_records(workplace.root))
    prospects = []
    for piece in workplace.layout.pieces:
        record = workplace.record(piece)
        guess = None if record is not None else _estimate(piece, known, workplace)
        prospects.append(Prospect(piece, workplace.layout.arms_of(piece), record, guess))
    return Outlook(prospects, looked)


def _estimate(piece: Piece, known: dict[str, float], workplace: Workplace) -> Estimate:
    """Of like pieces; of an annotation by influence of a corpus and with a model on this machine, else a plan's."""
    found = estimate(piece, known)
    if found.seconds is not None or piece.kind != "annotation" or "model" in piece.needs:
        return found
    config = workplace.settings(piece)
    if not Path(config.model).is_dir() or is_data_set_id(config.corpus):
        return UNKNOWN
    return _planned(config)


def _planned(config: Any) -> Estimate:
    """What `ifcurate plan` says; nothing where it refuses, as it does what it cannot plan."""
    given = {name: getattr(config, name) for name in AnnotationSettings.model_fields}
    try:
        found = plan(PlanConfig(**given))
    except InputError:
        return UNKNOWN
    return Estimate(found.hours * SECONDS_AN_HOUR, "ifcurate plan") if found.stages else UNKNOWN
