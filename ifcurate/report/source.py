"""Where the results of a run are that its report and its dataset card tell of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ifcurate.annotation import schema
from ifcurate.artifacts import read_artifact
from ifcurate.influence.column_names import METHOD


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
        id_column: the column that holds their ids; None where nobody named one.
        token_ids: whether the shards carry `token_ids`.
        with_loss: whether the shards carry `loss`.
        messages: whether documents are messages.
    """

    data: Mapping[str, Path]
    metadata: Mapping[str, Any]
    selection: Path
    corpus: str
    model: str
    text_column: str
    id_column: str | None
    token_ids: bool
    with_loss: bool
    messages: bool = False

    def described_columns(self) -> list[tuple[str, str, str]]:
        """Name, type and meaning of every column that was added."""
        methods = {name: said[METHOD] for name, said in self.metadata.items() if METHOD in said}
        return schema.described_columns(list(self.metadata), self.token_ids, self.with_loss, self.messages, methods)

    def columns_metadata(self, behaviours: Sequence[str]) -> dict[str, schema.ColumnsMetadata]:
        """How the columns of each behaviour were made.

        Raises:
            InputError: what is said of one is damaged.
        """
        first = next(iter(self.data.values()))
        stored = json.loads(json.dumps(dict(self.metadata)))
        remedy = "delete it and run `ifcurate write` again"
        return {name: read_artifact(schema.ColumnsMetadata, stored.get(name, {}), first, remedy) for name in behaviours}
