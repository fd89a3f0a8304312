"""What a report says of other choices is what `select` selects with them, in the end of every budget too."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from score_files import Corpus
from selection_cases import STORED

from ifcurate.report.choices import Choices, GroupColumns, cuts_by_document, weigh_choices
from ifcurate.report.database import counting
from ifcurate.report.excerpt import MAY_END, NOT_IN_REACH, ShownTokens, describe_tokens
from ifcurate.report.measured import MeasuredRecords, measure_corpus
from ifcurate.selection.algorithm import select
from ifcurate.selection.partial import fitting_tokens
from ifcurate.selection.scores import ScoredTokens, Sidecar
from ifcurate.selection.settings import SelectionSettings
from ifcurate.selection.table import records_path

QUANTILES = [0.0, 0.5, 0.9]
BUDGETS = [0, 1, 4, 11, 40, 1000]
RANKINGS: list[dict[str, Any]] = [
    {"rank_by": "document", "length_exponent": 0.5, "budget_ends": "token"},
    {"rank_by": "window", "context": 5, "length_exponent": 0, "budget_ends": "neighbourhood"},
]
CORPORA = json.loads(STORED.read_text(encoding="utf-8"))["corpora"]
PARTS = 3
"""Groups that documents are in by turns."""


class World:
    """A corpus with scores on disk, and all choices weighed."""

    def __init__(self, name: str, settings: SelectionSettings, folder: Path) -> None:
        stored = CORPORA[name]
        self.corpus = Corpus(stored["influence"], stored["offsets"], tuple(stored["shard_ends"]))
        self.settings = settings
        self.shards = self.corpus.write(folder / "scores")
        self.folder = folder
        self.sidecars = [Sidecar(shard, path, "toxic") for shard, path in self.shards]
        self.measured: MeasuredRecords = measure_corpus(self.sidecars, settings, QUANTILES, folder / "measured.parquet")
        self.scored: list[ScoredTokens] = [
            batch.document(row)
            for sidecar in self.sidecars
            for batch in sidecar.batches()
            for row in range(batch.tokens.documents)
        ]
        documents = len(self.scored)
        labels = pa.table({"label_0": pa.array(np.arange(documents) % PARTS, pa.int32())})
        pq.write_table(labels, folder / "labels.parquet")
        groups = GroupColumns(folder / "labels.parquet", ["label_0"], [np.arange(PARTS)], [PARTS])
        with counting(folder) as database:
            self.choices: Choices = weigh_choices(database, self.measured, BUDGETS, groups, range(documents))
        for document, cuts in cuts_by_document(self.choices).items():
            for cut in cuts:
                tau = self.measured.taus[cut.threshold]
                self.choices.count_cut(cut, fitting_tokens(self.scored[document], cut.window, cut.room, settings, tau))

    def selected(self, quantile: float, budget: int) -> tuple[int, int, list[int]]:
        """Tokens, documents and tokens in each part, by `select`."""
        settings = self.settings.model_copy(update={"quantile": quantile, "budget": budget})
        found = select(self.shards, settings, self.folder / "selection")
        table = pq.read_table(records_path(self.folder / "selection", "toxic"))
        document = np.cumsum(table["window"].to_numpy() == 0) - 1
        parts = np.bincount(document % PARTS, table["selected"].to_numpy(), minlength=PARTS)
        return found.tokens_selected, found.documents_selected, parts.astype(int).tolist()


@pytest.mark.parametrize("ranking", RANKINGS, ids=["documents", "windows"])
@pytest.mark.parametrize("name", CORPORA)
def test_choices_are_what_select_gives(name: str, ranking: dict[str, Any], tmp_path: Path) -> None:
    world = World(name, SelectionSettings(neighbours=1, **ranking), tmp_path)
    for threshold, quantile in enumerate(QUANTILES):
        for number, budget in enumerate(BUDGETS):
            tokens, documents, parts = world.selected(quantile, budget)
            assert world.choices.tokens[threshold, number] == tokens, (quantile, budget)
            assert world.choices.documents[threshold, number] == documents
            assert world.choices.groups[0][threshold, number].tolist() == parts


@pytest.mark.parametrize("ranking", RANKINGS, ids=["documents", "windows"])
@pytest.mark.parametrize("name", ["shared characters", "empty and single"])
def test_what_is_shown_of_a_document_ends_where_selections_end(
    name: str, ranking: dict[str, Any], tmp_path: Path
) -> None:
    """Reading letters as the page does gives as many tokens of every record as `select` takes, for any room."""
    settings = SelectionSettings(neighbours=1, **ranking)
    world = World(name, settings, tmp_path)
    for number, scored in enumerate(world.scored):
        placed = [{one.window: one for one in ones if one.document == number} for ones in world.choices.placed]
        text = "".join(chr(ord("a") + place % 26) for place in range(int(scored.tokens.ends.max(initial=0))))
        said = describe_tokens(ShownTokens(text, scored, None), settings, world.measured.taus, 1, placed)
        assert "".join(one if isinstance(one, str) else one[0] + one[1] for one in said["pieces"]) == text
        for threshold, tau in enumerate(world.measured.taus):
            windows = list(placed[threshold])
            assert len(windows) == sum(bool(record["at"][threshold]) for record in said["records"])
            for record in said["records"]:
                if not record["at"][threshold]:
                    continue
                start, reach, before = record["at"][threshold]
                [window] = [w for w, one in placed[threshold].items() if one.start == start]
                letters = said["takes"][threshold][record["from"] : record["to"]]
                assert before == 0 and reach == len(letters) - letters.count(NOT_IN_REACH)
                for room in range(reach + 1):
                    assert page_takes(letters, room) == fitting_tokens(scored, window, room, settings, tau)


def page_takes(letters: str, room: int) -> int:
    passed = fits = 0
    for letter in letters:
        passed += letter != NOT_IN_REACH
        if letter == MAY_END and passed <= room:
            fits = passed
    return fits


def test_records_begin_where_those_before_them_end(tmp_path: Path) -> None:
    world = World("spread", SelectionSettings(**RANKINGS[0]), tmp_path)
    for threshold, placed in enumerate(world.choices.placed):
        for one, after in pairwise(placed):
            assert one.start + one.reach == after.start
        assert placed[0].start == 0 and placed[-1].start + placed[-1].reach == world.measured.reach[threshold]
