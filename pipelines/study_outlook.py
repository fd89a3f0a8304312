"""What a study would make, what is done, and what the rest will take; nothing is made to find out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ifcurate.corpus.data_sets import is_data_set_id
from ifcurate.errors import InputError
from ifcurate.pipelines.plan import plan
from ifcurate.pipelines.plan_config import PlanConfig
from ifcurate.pipelines.run_config import AnnotationSettings, RunConfig
from ifcurate.pipelines.study_inputs import Looked, look
from ifcurate.pipelines.study_shared_scores import foreseen, same_scores
from ifcurate.pipelines.study_workplace import Workplace
from ifcurate.planning.result import SECONDS_AN_HOUR, Plan
from ifcurate.studies.costs import UNKNOWN, Estimate, measured
from ifcurate.studies.pieces import Piece
from ifcurate.studies.records import Record, read_records

AGAIN = ("select", "write")
"""Stages that annotations with the same scores have each for itself."""


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
    known, planned = measured(read_records(workplace.root)), _Plans(workplace)
    prospects = []
    for piece in workplace.pieces:
        record = workplace.record(piece)
        guess = None if record is not None else foreseen(piece, known, workplace)
        if guess == UNKNOWN and piece.kind == "annotation":
            guess = planned.estimate(piece)
        prospects.append(Prospect(piece, workplace.layout.arms_of(piece), record, guess))
    return Outlook(prospects, looked)


class _Plans:
    """What `ifcurate plan` says, asked once of all annotations that have the same scores."""

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace
        self._asked: dict[str, Plan | None] = {}

    def estimate(self, piece: Piece) -> Estimate:
        """Of the whole run for the first of those with the same scores, of selecting and writing for the others."""
        order = [each.key for each in self._workplace.layout.pieces]
        same = sorted([piece, *same_scores(piece, self._workplace)], key=lambda each: order.index(each.key))
        first = same[0]
        if first.key not in self._asked:
            self._asked[first.key] = self._plan(first)
        found = self._asked[first.key]
        stages = [each for each in found.stages if first.key == piece.key or each.name in AGAIN] if found else []
        if not stages:
            return UNKNOWN
        return Estimate(sum(stage.hours.value for stage in stages) * SECONDS_AN_HOUR, "ifcurate plan")

    def _plan(self, piece: Piece) -> Plan | None:
        """None where models or corpus are not here yet, and where `plan` refuses, as it does what it cannot plan."""
        config: RunConfig = self._workplace.settings(piece)
        if piece.needs or not Path(config.model).is_dir() or is_data_set_id(config.corpus):
            return None
        try:
            return plan(PlanConfig(**{name: getattr(config, name) for name in AnnotationSettings.model_fields}))
        except InputError:
            return None
