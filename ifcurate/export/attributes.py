"""Attributes as Dolma's toolkit and Marin keep them beside documents: spans `[start, end, score]` by a document's id.

One gzipped file of JSON Lines a shard, with the rows of the shard in their order, as Dolma's mixer wants them; Marin
joins them by id. An attribute is named `<experiment>__<tagger>__<type>`, as Dolma's taggers name theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import orjson

from ifcurate.annotation.texts import MarkedSpans, MarkedText
from ifcurate.corpus.compressed import writing_bytes
from ifcurate.export.readback.marked import ReadText

EXPERIMENT = "ifcurate"
SUFFIX = ".jsonl.gz"


class AttributesExporter:
    """`attributes/ifcurate/<shard>.jsonl.gz`; see `texts.TextExporter`."""

    needs_ids = True
    needs_scores = True
    carries: str = "spans [start, end, score] by id, and no weights; a score is the highest influence in its span"

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "attributes" / EXPERIMENT

    def write(self, name: str, documents: Iterable[MarkedText]) -> None:
        """See `TextExporter.write`."""
        path = self._folder / f"{name}{SUFFIX}"
        path.parent.mkdir(parents=True, exist_ok=True)
        with writing_bytes(path, SUFFIX) as out:
            for document in documents:
                attributes = {attribute(behaviour): _triples(spans) for behaviour, spans in document.spans.items()}
                row = {"id": document.id, "attributes": attributes}
                out.write(orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")

    @staticmethod
    def read_back(document: MarkedText) -> ReadText:
        """See `TextExporter.read_back`."""
        several = document.spans.values()
        return ReadText(
            document.id,
            [span for spans in several for span in zip(spans.starts.tolist(), spans.ends.tolist(), strict=True)],
        )


def attribute(behaviour: str) -> str:
    """The name of a behaviour's spans."""
    return f"{EXPERIMENT}__influence__{behaviour}"


def _triples(spans: MarkedSpans) -> list[tuple[int, int, object]]:
    assert spans.scores is not None
    return list(zip(spans.starts.tolist(), spans.ends.tolist(), spans.scores, strict=True))
