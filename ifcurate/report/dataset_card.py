"""The card of a published data set: metadata that the Hub and `datasets` read, and what a careful reader asks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
from datasets import DatasetInfo, Features, SplitDict, SplitInfo
from datasets.info import DatasetInfosDict
from huggingface_hub import DatasetCard, DatasetCardData

from ifcurate.annotation.numbered_files import SPLIT
from ifcurate.annotation.schema import ColumnsMetadata
from ifcurate.errors import InputError, first_line
from ifcurate.files import write_text
from ifcurate.influence.approximate import approximation
from ifcurate.report.templating import TEMPLATES
from ifcurate.selection.table import Selection

CARD = "README.md"
COUNTED = (
    ("documents", "documents"),
    ("documents with marked tokens", "documents_selected"),
    ("tokens", "tokens"),
    ("tokens above tau", "tokens_above_tau"),
    ("marked tokens", "tokens_selected"),
    ("tokens short of the budget", "shortfall"),
)
TAGS = ("ifcurate", "data-curation", "influence-functions")
_SIZES = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
"""From a thousand on, by powers of ten."""


@dataclass(frozen=True)
class Table:
    """One configuration: its name, its files below the data set, what it holds, its schema, rows and bytes (in memory
    and as stored)."""

    name: str
    folder: str
    holds: str
    schema: pa.Schema
    rows: int
    bytes: int
    stored: int


@dataclass(frozen=True)
class Part:
    """What was selected for one behaviour, and how its columns were made."""

    selection: Selection
    metadata: ColumnsMetadata

    @property
    def approximation(self) -> str:
        """How near its scores come; empty where they are exact."""
        return approximation(self.metadata.model_extra or {})


@dataclass(frozen=True)
class Figure:
    """An image below the data set, and what it shows."""

    file: str
    caption: str


@dataclass(frozen=True)
class CardFacts:
    """Everything that a card says.

    Attributes:
        repo: ORG/NAME.
        title: the heading.
        license, language, sources: for the metadata.
        tables: the configurations, the default one first.
        parts: one a behaviour.
        columns: name, type and meaning of ours.
        directions: file and SHA-256 of each.
        figures: in their order.
        model: what the scoring model is called.
        version: of ifcurate.
        settings: of the run.
        details: behaviour -> how its columns were made.
        curvature: whether the direction was corrected for it, as far as it says.
        refined: whether beyond EK-FAC.
        lists_everywhere: whether `annotations` has what every token is scored.
        skipped: rows without a text.
    """

    repo: str
    title: str
    license: str
    language: Sequence[str]
    sources: Sequence[str]
    tables: Sequence[Table]
    parts: Sequence[Part]
    columns: Sequence[tuple[str, str, str]]
    directions: Sequence[tuple[str, str]]
    figures: Sequence[Figure]
    model: str
    version: str
    settings: Mapping[str, Any]
    details: Mapping[str, Any]
    curvature: bool
    refined: bool
    lists_everywhere: bool
    skipped: int = 0

    @property
    def with_text(self) -> bool:
        """Whether the texts are part of the data set."""
        return len(self.tables) > 1


def features_of(schema: pa.Schema) -> Features:
    """The columns of a table as `datasets` reads them.

    Raises:
        InputError: a column is of a type that `datasets` does not know.
    """
    for column in schema:
        try:
            Features.from_arrow_schema(pa.schema([column]))
        except (ValueError, NotImplementedError, TypeError) as error:
            raise InputError(
                f"column {column.name!r} is {column.type}, which data sets on the Hub cannot have "
                f"({first_line(error)}); cast it, or give --no-text."
            ) from error
    return Features.from_arrow_schema(schema)


def write_dataset_card(facts: CardFacts, folder: Path) -> None:
    """Write `README.md` into `folder`.

    Raises:
        InputError: a column is of a type that `datasets` does not know.
    """
    content = TEMPLATES.get_template("dataset.md.j2").render(
        card=facts,
        head=card_data(facts).to_yaml() + "\n",
        counted=COUNTED,
        settings=yaml.safe_dump(dict(facts.settings), sort_keys=False, allow_unicode=True),
        details=json.dumps(dict(facts.details), indent=2, sort_keys=True),
    )
    DatasetCard(content)  # parses what the Hub will
    write_text(folder / CARD, content)


def card_data(facts: CardFacts) -> DatasetCardData:
    """The metadata: licence, language, tags, size, configurations, and the features of each."""
    data = DatasetCardData(
        license=facts.license,
        language=list(facts.language) or None,
        annotations_creators=["machine-generated"],
        source_datasets=list(facts.sources) or None,
        size_categories=[size_category(facts.tables[0].rows)],
        task_categories=["text-generation"],
        pretty_name=facts.title,
        tags=[*TAGS, *(part.selection.behaviour for part in facts.parts)],
    )
    infos = DatasetInfosDict({table.name: _info(table) for table in facts.tables})
    infos.to_dataset_card_data(data)
    data["configs"] = [
        {
            "config_name": table.name,
            "data_files": [{"split": SPLIT, "path": f"{table.folder}/{SPLIT}-*"}],
            **({"default": True} if number == 0 else {}),
        }
        for number, table in enumerate(facts.tables)
    ]
    return data


def size_category(rows: int) -> str:
    """The Hub's name of a number of rows, such as `10K<n<100K`."""
    bounds = ["n", *_SIZES]
    for power, (below, above) in enumerate(pairwise(bounds), start=3):
        if rows < 10**power:
            return f"{below}<{above}" if below == "n" else f"{below}<n<{above}"
    return f"n>{bounds[-1]}"


def _info(table: Table) -> DatasetInfo:
    splits = SplitDict({SPLIT: SplitInfo(SPLIT, num_bytes=table.bytes, num_examples=table.rows)})
    return DatasetInfo(
        features=features_of(table.schema), splits=splits, download_size=table.stored, dataset_size=table.bytes
    )
