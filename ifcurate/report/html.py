"""What a person looks at: `report.html` with the highest documents, and `README.md`, the dataset card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import yaml

from ifcurate.annotation import schema
from ifcurate.artifacts import read_artifact
from ifcurate.files import write_text
from ifcurate.report.documents import ShownDocument, highest_documents
from ifcurate.selection.table import Selection, records_path

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("ifcurate.report", "templates"),
    autoescape=jinja2.select_autoescape(["html.j2"]),
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)
_TEMPLATES.filters["format_number"] = "{:,}".format


@dataclass(frozen=True)
class ReportSource:
    """Where the results are that a report tells of, and what they were made from.

    Attributes:
        data: name of a shard -> where it is with our columns, in the order of the corpus.
        metadata: behaviour -> how its columns were made.
        selection: folder of the selections.
        corpus: as the user named it.
        model: as the user named it.
        text_column: the column that holds the documents.
        token_ids: whether the shards carry `token_ids`.
        with_loss: whether the shards carry `loss`.
    """

    data: Mapping[str, Path]
    metadata: Mapping[str, Any]
    selection: Path
    corpus: str
    model: str
    text_column: str
    token_ids: bool
    with_loss: bool


@dataclass(frozen=True)
class AnnotatedBehaviour:
    """One behaviour's part of the report."""

    selection: Selection
    metadata: schema.ColumnsMetadata
    documents: list[ShownDocument]


def write_report(source: ReportSource, selections: Sequence[Selection], out: Path) -> None:
    """Write `report.html` and the dataset card `README.md` into `out`; both depend on settings and data alone.

    Args:
        source: the annotated shards.
        selections: one a behaviour.
        out: the run folder.
    """
    behaviours = [selection.behaviour for selection in selections]
    metadata = _metadata(source, behaviours)
    facts: dict[str, Any] = {
        "annotated": [_annotated(source, selection, metadata[selection.behaviour]) for selection in selections],
        "behaviours": ", ".join(behaviours),
        "source": source,
        "columns": schema.described_columns(behaviours, source.token_ids, source.with_loss),
        "shards": len(source.data),
    }
    write_text(out / "report.html", _TEMPLATES.get_template("report.html.j2").render(**facts))
    card = {
        "tags": ["ifcurate", "data-curation"],
        "configs": [{"config_name": "default", "data_files": "data/**/[!_]*"}],
    }
    details = {behaviour: made.model_dump() for behaviour, made in metadata.items()}
    write_text(
        out / "README.md",
        _TEMPLATES.get_template("card.md.j2").render(
            **facts,
            head=yaml.safe_dump(card, sort_keys=False),
            details=json.dumps(details, indent=2, sort_keys=True),
        ),
    )


def _metadata(source: ReportSource, behaviours: Sequence[str]) -> dict[str, schema.ColumnsMetadata]:
    first = next(iter(source.data.values()))
    stored = json.loads(json.dumps(dict(source.metadata)))
    remedy = "delete it and run `ifcurate write` again"
    return {name: read_artifact(schema.ColumnsMetadata, stored.get(name, {}), first, remedy) for name in behaviours}


def _annotated(source: ReportSource, selection: Selection, metadata: schema.ColumnsMetadata) -> AnnotatedBehaviour:
    table = records_path(source.selection, selection.behaviour)
    documents = highest_documents(table, source.data, source.text_column, selection.behaviour)
    return AnnotatedBehaviour(selection, metadata, list(documents))
