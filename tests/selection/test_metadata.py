"""What sidecars and selections say of themselves is checked when it is read: anybody may have written them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from score_files import write_scores

from ifcurate.corpus.parquet import metadata_of
from ifcurate.errors import InputError
from ifcurate.selection.scores import Sidecar
from ifcurate.selection.table import Selection, summary_path

SELECTION = Selection(
    behaviour="toxic", tau=0.5, quantile=0.99, neighbours=1, budget="2%", budget_tokens=2, budget_ends="token",
    rank_by="document", record_length=None, length_exponent=1, last_rank=None, documents=1, records=1, tokens=100,
    tokens_above_tau=1, tokens_selected=2, documents_selected=1, shortfall=0, shortfall_reason=None,
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"behaviour": "../../../evil"}, "behaviour"),
        ({"tau": "high"}, "tau"),
        ({"tokens": 1.5}, "tokens"),
        ({"documents": None}, "documents"),
    ],
)
def test_a_damaged_selection_is_one_sentence(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    path = summary_path(tmp_path, "toxic")
    path.write_text(json.dumps(dataclasses.asdict(SELECTION)))
    assert Selection.load(tmp_path, "toxic") == SELECTION
    path.write_text(json.dumps({**dataclasses.asdict(SELECTION), **change}))
    with pytest.raises(InputError, match=rf"toxic\.json: is damaged .*\({field}: .*\); run `ifcurate select`\.$"):
        Selection.load(tmp_path, "toxic")
    path.write_text("{")
    with pytest.raises(InputError, match=r"toxic\.json: is damaged"):
        Selection.load(tmp_path, "toxic")


@pytest.mark.parametrize(
    "metadata",
    [{"histograms": 7}, {"histograms": {"../evil": ""}}, {"histograms": {"toxic": 7}}, {"directions": {"toxic": {}}}],
)
def test_a_damaged_sidecar_is_one_sentence(tmp_path: Path, metadata: dict[str, Any]) -> None:
    path = tmp_path / "a.parquet"
    write_scores(path, [[1.0, 2.0]])
    table = pq.read_table(path)
    for content in (json.dumps(metadata), "{", "7"):
        pq.write_table(table.replace_schema_metadata({"ifcurate": content}), path)
        with pytest.raises(InputError, match=r"a\.parquet: (is damaged|has schema metadata)"):
            Sidecar("a", path, "toxic").histogram()
        if not content.startswith('{"'):
            with pytest.raises(InputError, match="not ours"):
                metadata_of(pq.read_schema(path), path)
