"""A scored run as `ifcurate inspect` reads it: its documents, each with its scores and what was selected of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from ifcurate.annotation.columns import annotation_columns
from ifcurate.annotation.schema import mask_column, rank_column, score_column
from ifcurate.corpus.documents import ID, DocumentBatch, read_documents
from ifcurate.corpus.messages import from_text, transcript
from ifcurate.corpus.parquet import ParquetReader
from ifcurate.corpus.shards import Shard, list_shards
from ifcurate.corpus.text_hash import hash_texts
from ifcurate.errors import InputError
from ifcurate.influence.approximate import approximation
from ifcurate.pipelines.corpus_record import present_shards, recorded_shards, require_same_shards, unseen_shards
from ifcurate.pipelines.run import Run, open_run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.select import is_current, selection_origin
from ifcurate.report.lookup import Place, highest_of, highest_places, places_of_id
from ifcurate.report.scored_text import ScoredText
from ifcurate.selection.scores import ScoredTokens, selectable, sidecar_metadata
from ifcurate.selection.screened import weights_of
from ifcurate.selection.table import Selection, ShardRecords, records_path, summary_path

MOST_NAMED = 10
"""Places or shards that an error names."""


@dataclass(frozen=True)
class InspectedRun:
    """A run whose shards are all scored.

    Attributes:
        run: its folder.
        config: its settings.
        shards: name -> shard of the corpus, as it was last seen.
        behaviour: whose influence is read.
        selection: what was selected of the scores; None before `select`.
        corpus: where the corpus is, if not where it was.
    """

    run: Run
    config: RunConfig
    shards: Mapping[str, Shard]
    behaviour: str
    selection: Selection | None
    corpus: str | None

    @classmethod
    def open(cls, root: str, behaviour: str | None, corpus: str | None) -> InspectedRun:
        """The run in the folder `root`.

        Raises:
            InputError: it is no run, not scored to its end, has not the one behaviour that is asked for, or its
                selection is of other scores or settings.
        """
        run, config = open_run(root)
        shards = recorded_shards(run) if run.corpus.is_file() else []
        unscored = [shard.name for shard in shards if not shard.output(run.scores).is_file()]
        if unscored or not shards:
            raise InputError(
                f"{root}: shards not scored yet: {len(unscored) or 'all'}; run `ifcurate score {root}` first."
            )
        behaviour = _one_behaviour(run, shards, behaviour)
        selection = None
        if summary_path(run.selection, behaviour).is_file():
            settings = config.for_behaviour(behaviour)
            if not is_current(run, settings, selection_origin(run, settings, shards)):
                raise InputError(
                    f"{summary_path(run.selection, behaviour)}: was made of other scores or settings; "
                    f"run `ifcurate select {root}` first."
                )
            selection = Selection.load(run.selection, behaviour)
        return cls(run, config, {shard.name: shard for shard in shards}, behaviour, selection, corpus)

    def place_of_row(self, words: str) -> Place:
        """The place that `SHARD:N` names.

        Raises:
            InputError: it is written otherwise, or there is no such shard or row.
        """
        shard, _, number = words.rpartition(":")
        if not (number.isascii() and number.isdigit()) or not shard:
            raise InputError(
                f"option --row: {words!r} is not SHARD:N, such as {next(iter(self.shards))}:0; correct it."
            )
        if shard not in self.shards:
            raise InputError(
                f"option --row: {self.run.root} has no shard {shard!r}; give one of its {len(self.shards):,} shards: "
                f"{_some(self.shards)}."
            )
        rows = ParquetReader(str(self._sidecars[shard])).num_rows
        if int(number) >= rows:
            raise InputError(
                f"option --row: shard {shard!r} has {rows:,} rows, counted from 0, and no row {number}; give another."
            )
        return Place(shard, int(number))

    def place_of_id(self, wanted: str) -> Place:
        """Where the document with the id `wanted` is.

        Raises:
            InputError: there is none, or there are several; names their rows.
        """
        found = places_of_id(self._sidecars, wanted)
        if not found:
            raise InputError(
                f"option --document: {self.run.root} has no document with the id {wanted!r}; "
                "look for its text with --grep."
            )
        if len(found) > 1:
            rows = (f"{place.shard}:{place.row}" for place in found)
            raise InputError(
                f"option --document: {len(found):,} documents have the id {wanted!r}; give one as --row: {_some(rows)}."
            )
        return found[0]

    def highest(self, most: int) -> list[Place]:
        """The documents of highest rank.

        Raises:
            InputError: nothing was selected yet, so nothing is ranked.
        """
        if self.selection is None:
            raise InputError(
                f"{self.run.root}: its documents are not ranked yet; run `ifcurate select {self.run.root}`, or name "
                "them with --document, --row or --grep."
            )
        return highest_places(records_path(self.run.selection, self.behaviour), most)

    def containing(self, word: str, most: int) -> tuple[list[Place], int]:
        """The documents that contain `word`, upper or lower case: the highest ranked of them, and how many there are.

        Raises:
            InputError: there are none, or the corpus cannot be read.
        """
        table = None if self.selection is None else records_path(self.run.selection, self.behaviour)
        places, count = highest_of(self._containing(word.casefold()), table, most)
        if not count:
            raise InputError(f"option --grep: no document of {self.run.root} contains {word!r}; look for another word.")
        return places, count

    def read(self, place: Place) -> ScoredText:
        """A document, its scores, and what was selected of it.

        Raises:
            InputError: its text cannot be read or is another than was scored, or scores or selection are damaged.
        """
        path = self._sidecars[place.shard]
        sidecar = _row_of(ParquetReader(str(path)).batches(), place.row)
        scored = ScoredTokens.from_arrow(sidecar, self.behaviour, str(path))
        text = self._text(place)
        if int(scored.tokens.ends.max(initial=0)) > len(text):
            raise InputError(f"{path}, row {place.row}: is of a longer text; score its shard again.")
        label = (f"id {sidecar.column(ID)[0].as_py()}", f"{place.shard}, row {place.row}", *self._nearness)
        count = len(scored.influence)
        if not weights_of(sidecar).all():
            raise InputError(
                f"{place.shard}:{place.row}: has no score, the screen found it not worth one; look at another "
                "document, or annotate the corpus without --screen."
            )
        if self.selection is None:
            return ScoredText((*label, f"{count:,} tokens, nothing selected yet"), text, scored)
        records = ShardRecords.load(self.run.selection, self.behaviour, place.shard).of_rows(place.row, 1)
        columns = annotation_columns(sidecar, records, self.selection, str(path))
        rank, score = (columns[name(self.behaviour)][0].as_py() for name in (rank_column, score_column))
        mask = np.array(columns[mask_column(self.behaviour)][0].as_py(), dtype=bool)
        if (chosen := selectable(sidecar)) is not None:
            mask = mask[chosen]
        selected = f"{int(mask.sum()):,} of {count:,} tokens selected"
        return ScoredText((*label, f"rank {rank:.4f}", f"score {score:.4g}", selected), text, scored, mask)

    @cached_property
    def _sidecars(self) -> dict[str, Path]:
        return {name: shard.output(self.run.scores) for name, shard in self.shards.items()}

    @cached_property
    def _are_messages(self) -> bool:
        return sidecar_metadata(next(iter(self._sidecars.values()))).on is not None

    @cached_property
    def _nearness(self) -> list[str]:
        """What is said of a student's scores."""
        directions = sidecar_metadata(next(iter(self._sidecars.values()))).directions
        said = approximation(directions[self.behaviour].model_extra or {})
        return [said] if said else []

    @cached_property
    def _written(self) -> dict[str, Shard]:
        """The annotated shards that there are: their texts are those that were scored, as `write` checks."""
        written = {}
        for name, shard in self.shards.items():
            there = (file for file in sorted(shard.all_annotated(self.run.data)) if file.is_file())
            if (file := next(there, None)) is not None:
                written[name] = list_shards(str(file))[0]
        return written

    @cached_property
    def _corpus(self) -> dict[str, Shard]:
        """The shards as they are now."""
        present = present_shards(self.run, self.corpus)
        require_same_shards(self.run, present)
        return {shard.name: shard for shard in present}

    def _text_shard(self, name: str) -> Shard:
        """The shard `name` with the texts that were scored: annotated, or in the corpus before it is."""
        if name in self._written:
            return self._written[name]
        shard = self._corpus[name]
        if unseen_shards(self.run, [shard]):
            scored = sidecar_metadata(self._sidecars[name]).shard
            if scored is None or scored.texts != hash_texts(shard, self.config.text_column):
                raise InputError(
                    f"{shard.path}: has changed since it was scored; run `ifcurate score {self.run.root}` first."
                )
        return shard

    def _documents(self, name: str) -> Iterator[DocumentBatch]:
        """The documents of a shard, messages as their transcript."""
        shard = self._text_shard(name)
        for batch in read_documents(shard, self.config.text_column, self.config.id_column, bad_rows="skip"):
            yield (
                replace(batch, texts=[transcript(from_text(text)).text for text in batch.texts])
                if self._are_messages
                else batch
            )

    def _text(self, place: Place) -> str:
        for batch in self._documents(place.shard):
            if place.row < batch.first_row + len(batch):
                return batch.texts[place.row - batch.first_row]
        raise InputError(f"{self._text_shard(place.shard).path}: has no row {place.row}; score or write it again.")

    def _containing(self, word: str) -> Iterator[Place]:
        for name in self.shards:
            for batch in self._documents(name):
                for row, text in enumerate(batch.texts, batch.first_row):
                    if word in text.casefold():
                        yield Place(name, row)


def _one_behaviour(run: Run, shards: list[Shard], asked: str | None) -> str:
    there = sorted(sidecar_metadata(shards[0].output(run.scores)).directions)
    if asked is None and len(there) == 1:
        return there[0]
    if asked not in there:
        raise InputError(f"option --behaviour: {run.root} has scores of {', '.join(there)}; name one of them.")
    return str(asked)


def _row_of(batches: Iterator[pa.RecordBatch], row: int) -> pa.RecordBatch:
    first = 0
    for batch in batches:
        if row < first + batch.num_rows:
            return batch.slice(row - first, 1)
        first += batch.num_rows
    raise InputError(f"the scores have no row {row}; score the shard again.")


def _some(names: Iterable[str]) -> str:
    several = list(names)
    left = len(several) - MOST_NAMED
    return ", ".join(several[:MOST_NAMED]) + (f" and {left:,} more" if left > 0 else "")
