"""Selections over small corpora, made in a temporary folder and read back."""

from __future__ import annotations

import itertools
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from score_files import Corpus

from ifcurate.selection import scores as sidecars
from ifcurate.selection.algorithm import select
from ifcurate.selection.highest import selected_mask
from ifcurate.selection.records import cut_records
from ifcurate.selection.settings import SelectionSettings
from ifcurate.selection.table import Selection, ShardRecords


def run(corpus: Corpus, settings: SelectionSettings) -> tuple[Selection, list[list[bool]], list[float]]:
    """The selection, its mask as lists, and the rank of every record."""
    with TemporaryDirectory() as folder:
        shards, out = corpus.write(Path(folder) / "scores"), Path(folder) / "selection"
        selection = select(shards[::-1], settings, out)
        assert Selection.load(out, settings.behaviour) == selection
        assert sorted(path.name for path in out.iterdir()) == ["toxic.json", "toxic.parquet"]
        masks, ranks = [], []
        for name, path in shards:
            records = ShardRecords.load(out, "toxic", name)
            first = 0
            for scored in sidecars.Sidecar(name, path, "toxic").batches():
                documents = scored.tokens.documents
                rows = records.of_rows(first, documents)
                taken, tau = rows["selected"].to_numpy(), np.float32(selection.tau)
                cut = cut_records(scored.tokens, settings.record_length)
                mask = selected_mask(scored, cut, settings, tau, taken)
                assert cut.count(mask).tolist() == taken.tolist()
                edges = scored.tokens.rows
                masks += [mask[begin:end].tolist() for begin, end in itertools.pairwise(edges)]
                ranks += rows["rank"].to_pylist()
                first += documents
        return selection, masks, ranks
