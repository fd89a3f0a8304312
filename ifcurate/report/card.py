"""`README.md`, the dataset card of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from ifcurate.annotation.schema import ColumnsMetadata
from ifcurate.files import write_text
from ifcurate.influence.approximate import approximation
from ifcurate.report.source import ReportSource
from ifcurate.report.templating import TEMPLATES
from ifcurate.selection.table import Selection


@dataclass(frozen=True)
class AnnotatedBehaviour:
    """One behaviour's part of the card."""

    selection: Selection
    metadata: ColumnsMetadata

    @property
    def approximation(self) -> str:
        """How near its scores come; empty where they are exact."""
        return approximation(self.metadata.model_extra or {})


def write_card(source: ReportSource, selections: Sequence[Selection], out: Path) -> None:
    """Write the dataset card `README.md` into `out`; it depends on settings and data alone.

    Args:
        source: the annotated shards.
        selections: one a behaviour.
        out: the run folder.
    """
    behaviours = [selection.behaviour for selection in selections]
    metadata = source.columns_metadata(behaviours)
    card = {
        "tags": ["ifcurate", "data-curation"],
        "configs": [{"config_name": "default", "data_files": "data/**/[!_]*"}],
    }
    details = {behaviour: made.model_dump() for behaviour, made in metadata.items()}
    text = TEMPLATES.get_template("card.md.j2").render(
        annotated=[AnnotatedBehaviour(selection, metadata[selection.behaviour]) for selection in selections],
        behaviours=", ".join(behaviours),
        source=source,
        columns=source.described_columns(),
        head=yaml.safe_dump(card, sort_keys=False),
        details=json.dumps(details, indent=2, sort_keys=True),
    )
    write_text(out / "README.md", text)
