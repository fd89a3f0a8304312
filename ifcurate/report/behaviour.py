"""One behaviour's part of the page: what was selected, what other choices would select, and the documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from ifcurate.corpus.documents import ID, texts_of
from ifcurate.corpus.messages import from_text, is_messages, transcript
from ifcurate.corpus.parquet import ParquetReader
from ifcurate.corpus.shards import Shard, open_shard
from ifcurate.errors import InputError
from ifcurate.report.choices import Choices, GroupColumns, PlacedRecord, cuts_by_document, weigh_choices
from ifcurate.report.distributions import influence_bars, sparsity_against_score
from ifcurate.report.excerpt import ShownTokens, describe_tokens
from ifcurate.report.grid import Grid
from ifcurate.report.groups import shown_value
from ifcurate.report.labels import Labels
from ifcurate.report.lookup import Place
from ifcurate.report.measured import MeasuredRecords, measure_corpus, measured_selection
from ifcurate.report.ranked import RankedDocument, ranked_documents
from ifcurate.report.visible import visible_line
from ifcurate.report.visits import visit
from ifcurate.selection.partial import fitting_tokens
from ifcurate.selection.quantile import Histogram
from ifcurate.selection.repetition import repeated_shares
from ifcurate.selection.scores import (
    LOSS,
    LOSS_MASK,
    TOKEN_ENDS,
    TOKEN_IDS,
    TOKEN_STARTS,
    ScoredTokens,
    Sidecar,
    influence_column,
    selectable,
)
from ifcurate.selection.screened import WEIGHT
from ifcurate.selection.settings import SelectionSettings
from ifcurate.selection.table import Selection, records_path

REPEATED_FROM = 0.5
"""Share of n-grams that came before in the same document, from which on a document is named as one of repetitions."""


@dataclass(frozen=True)
class ScoredCorpus:
    """What a behaviour's part is made from.

    Attributes:
        shards: name -> annotated shard, in the order of the corpus.
        sidecars: name -> score file, in the same order.
        selection: folder of the selections.
        text_column: the column that holds the documents.
        labels: the columns that are shown, in the order of `groups`.
        groups: the groups of every document.
        grid: the choices.
    """

    shards: Mapping[str, Shard]
    sidecars: Mapping[str, Path]
    selection: Path
    text_column: str
    labels: Sequence[Labels]
    groups: GroupColumns
    grid: Grid

    def first_documents(self) -> dict[str, int]:
        """The number in the corpus of the first document of each shard."""
        first, found = 0, {}
        for name, path in self.sidecars.items():
            found[name] = first
            first += ParquetReader(str(path)).num_rows
        return found


def describe_behaviour(
    database: duckdb.DuckDBPyConnection, corpus: ScoredCorpus, settings: SelectionSettings, work: Path
) -> dict[str, Any]:
    """The part of `settings.behaviour`.

    Args:
        database: to count in.
        corpus: what it is made from.
        settings: of the selection that is there.
        work: folder for temporary files.

    Raises:
        InputError: a file is missing or damaged, or texts are others than were scored.
    """
    behaviour, grid = settings.behaviour, corpus.grid
    table = records_path(corpus.selection, behaviour)
    selection = Selection.load(corpus.selection, behaviour)
    shown, looked_at = ranked_documents(database, table, selection.screened is not None)
    scatter = sparsity_against_score(database)
    sidecars = [Sidecar(name, path, behaviour, settings.max_repetition) for name, path in corpus.sidecars.items()]
    out = work / f"{behaviour}.parquet"
    by_token = selection.rank_by == "token"
    measured = (
        measured_selection(table, selection, out)
        if by_token
        else measure_corpus(sidecars, settings, grid.quantiles, out)
    )
    first = corpus.first_documents()
    numbers = {document.place: first[document.place.shard] + document.place.row for document in shown}
    choices = weigh_choices(database, measured, grid.budget_tokens, corpus.groups, list(numbers.values()))
    visited = _Visited(corpus, settings, measured, choices, shown, list(numbers.values()))
    repeated = visited.read(looked_at, first)
    histogram = Histogram()
    for sidecar in sidecars:
        histogram.merge(sidecar.histogram())
    return {
        "name": behaviour,
        "selected": selection.tokens_selected,
        "shortfall": selection.shortfall_reason,
        "last_rank": selection.last_rank,
        "taus": [float(tau) for tau in measured.taus],
        "above": measured.above,
        "reach": measured.reach,
        "tokens": choices.tokens.tolist(),
        "documents": choices.documents.tolist(),
        "groups": [group.tolist() for group in choices.groups],
        "histogram": influence_bars(histogram),
        "scatter": scatter,
        "shown": [{**_facts(document), **visited.described[document.place]} for document in shown],
        "looked_at": len(looked_at),
        "repeated": repeated,
    }


class _Visited:
    """One visit of every document that is shown, looked at, or in which a budget ends."""

    def __init__(
        self,
        corpus: ScoredCorpus,
        settings: SelectionSettings,
        measured: MeasuredRecords,
        choices: Choices,
        shown: Sequence[RankedDocument],
        numbers: Sequence[int],
    ) -> None:
        self._corpus, self._settings, self._measured, self._choices = corpus, settings, measured, choices
        self._texts = dict(_texts(corpus, [document.place for document in shown]))
        self._values = dict(_values(corpus, numbers))
        self.described: dict[Place, dict[str, Any]] = {}

    def read(self, looked_at: Sequence[RankedDocument], first: Mapping[str, int]) -> list[dict[str, Any]]:
        """Describe what is shown, count the cuts, and return the documents of repeated tokens."""
        cuts = cuts_by_document(self._choices)
        places = {**{document.place: document for document in looked_at}}
        ends = [_place(document, first) for document in cuts]
        repeated = []
        for place, row in visit([*places, *self._texts, *ends], self._batches()):
            scored = ScoredTokens.from_arrow(row, self._settings.behaviour, str(self._corpus.sidecars[place.shard]))
            share = float(repeated_shares(row[TOKEN_IDS])[0])
            if (most := self._settings.max_repetition) is not None:
                scored = replace(scored, held_back=np.array([share > most]))
            document = first[place.shard] + place.row
            for cut in cuts.get(document, ()):
                tau = self._measured.taus[cut.threshold]
                self._choices.count_cut(cut, fitting_tokens(scored, cut.window, cut.room, self._settings, tau))
            if place in self._texts:
                self.described[place] = self._describe(place, document, row, scored) | {"repeated": round(share, 3)}
            if place in places and share >= REPEATED_FROM:
                repeated.append({**_facts(places[place]), "id": _id(row), "repeated": round(share, 3)})
        return sorted(repeated, key=lambda each: int(each["number"]))

    def _batches(self) -> dict[str, Any]:
        columns = [ID, TOKEN_IDS, TOKEN_STARTS, TOKEN_ENDS, influence_column(self._settings.behaviour)]

        def rows_of(path: Path) -> Iterator[pa.RecordBatch]:
            reader = ParquetReader(str(path))
            there = [name for name in (LOSS, LOSS_MASK, WEIGHT) if name in reader.schema.names]
            return reader.batches([*columns, *there])

        return {name: lambda path=path: rows_of(path) for name, path in self._corpus.sidecars.items()}

    def _describe(self, place: Place, document: int, row: pa.RecordBatch, scored: ScoredTokens) -> dict[str, Any]:
        text = self._texts[place]
        if int(scored.tokens.ends.max(initial=0)) > len(text):
            raise InputError(
                f"{self._corpus.sidecars[place.shard]}, row {place.row}: is of a longer text; score again."
            )
        losses = row[LOSS].flatten().to_numpy() if LOSS in row.schema.names else None
        if losses is not None and (chosen := selectable(row)) is not None:
            losses = losses[chosen]
        placed: list[dict[int, PlacedRecord]] = [
            {record.window: record for record in records if record.document == document}
            for records in self._choices.placed
        ]
        grid, taus = self._corpus.grid, self._measured.taus
        tokens = describe_tokens(ShownTokens(text, scored, losses), self._settings, taus, grid.own[0], placed)
        return {"id": _id(row), "labels": self._values[document], **tokens}


def _texts(corpus: ScoredCorpus, places: Sequence[Place]) -> Iterator[tuple[Place, str]]:
    def rows_of(shard: Shard) -> Iterator[pa.RecordBatch]:
        return open_shard(shard).batches([corpus.text_column])

    shards = {name: lambda shard=shard: rows_of(shard) for name, shard in corpus.shards.items()}
    for place, row in visit(places, shards):
        text = texts_of(row[corpus.text_column])[0] or ""
        yield place, transcript(from_text(text)).text if is_messages(row[corpus.text_column].type) else text


def _values(corpus: ScoredCorpus, documents: Sequence[int]) -> Iterator[tuple[int, list[str]]]:
    """The value of each document, by its number in the corpus, in every column that is shown."""
    reader, columns = ParquetReader(str(corpus.groups.path)), corpus.groups.columns
    places = [Place("", document) for document in documents]
    for place, row in visit(places, {"": lambda: reader.batches(columns)}) if columns else ():
        codes = [row[name][0].as_py() for name in columns]
        yield place.row, [shown_value(labels.values[code]) for labels, code in zip(corpus.labels, codes, strict=True)]
    yield from ((document, []) for document in documents if not columns)


def _place(document: int, first: Mapping[str, int]) -> Place:
    """Shard and row of the document of that number in the corpus; empty shards have none."""
    names, starts = list(first), np.array(list(first.values()))
    index = int(np.searchsorted(starts, document, side="right")) - 1
    return Place(names[index], document - int(starts[index]))


def _facts(document: RankedDocument) -> dict[str, Any]:
    return {
        "shard": document.place.shard,
        "row": document.place.row,
        "number": document.number,
        "rank": float(f"{document.rank:.6g}"),
        "score": float(f"{document.score:.6g}"),
        "sparsity": document.sparsity,
        "tokens": document.tokens,
    }


def _id(row: pa.RecordBatch) -> str:
    return visible_line(str(row[ID][0].as_py()))
