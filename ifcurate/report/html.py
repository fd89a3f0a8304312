"""What a person looks at: `report.html` with the highest documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ifcurate.annotation import schema
from ifcurate.files import write_text
from ifcurate.report.documents import ShownDocument, highest_documents
from ifcurate.report.source import ReportSource
from ifcurate.report.templating import TEMPLATES
from ifcurate.selection.table import Selection, records_path


@dataclass(frozen=True)
class AnnotatedBehaviour:
    """One behaviour's part of the report."""

    selection: Selection
    metadata: schema.ColumnsMetadata
    documents: list[ShownDocument]


def write_report(source: ReportSource, selections: Sequence[Selection], out: Path) -> None:
    """Write `report.html` into `out`; it depends on settings and data alone.

    Args:
        source: the annotated shards.
        selections: one a behaviour.
        out: the run folder.
    """
    behaviours = [selection.behaviour for selection in selections]
    metadata = source.columns_metadata(behaviours)
    facts: dict[str, Any] = {
        "annotated": [_annotated(source, selection, metadata[selection.behaviour]) for selection in selections],
        "behaviours": ", ".join(behaviours),
        "source": source,
        "columns": source.described_columns(),
        "shards": len(source.data),
    }
    write_text(out / "report.html", TEMPLATES.get_template("report.html.j2").render(**facts))


def _annotated(source: ReportSource, selection: Selection, metadata: schema.ColumnsMetadata) -> AnnotatedBehaviour:
    table = records_path(source.selection, selection.behaviour)
    documents = highest_documents(table, source.data, source.text_column, selection.behaviour)
    return AnnotatedBehaviour(selection, metadata, list(documents))
