"""`dataset.map(scorer.columns, batched=True)`: the columns of annotated shards, in Python."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, List, Value
from datasets.fingerprint import Hasher
from runs import Workshop, rows_of

from ifcurate.errors import InputError
from ifcurate.influence.loading import LoadedScorer, load_scorer
from ifcurate.influence.settings import ScoreSettings
from ifcurate.pipelines.run import Run


@pytest.fixture
def scorer(workshop: Workshop, finished: Run) -> LoadedScorer:
    model, direction = workshop.root / "model", finished.direction("toxic")
    return load_scorer(ScoreSettings(model=str(model), directions=(str(direction),), engine="jvp"))


def test_map_adds_the_columns_that_annotated_shards_have(scorer: LoadedScorer, finished: Run) -> None:
    expected = rows_of(finished.data)
    data = Dataset.from_dict({"text": [row["text"] for row in expected]})
    scored = data.map(scorer.columns, batched=True, batch_size=7)
    assert scored.column_names == ["text", "token_ids", "toxic_influence"]
    assert scored.features["token_ids"] == List(Value("int32"))
    assert scored.features["toxic_influence"] == List(Value("float32"))
    for row, wanted in zip(scored, expected, strict=True):
        assert row["token_ids"] == wanted["token_ids"]
        assert np.allclose(row["toxic_influence"], wanted["toxic_influence"], rtol=2e-2, atol=2e-2)


def test_two_processes_give_the_columns_of_one(scorer: LoadedScorer, finished: Run) -> None:
    data = Dataset.from_dict({"text": [row["text"] for row in rows_of(finished.data)][:12]})
    alone, shared = (data.map(scorer.columns, batched=True, batch_size=3, num_proc=number) for number in (None, 2))
    assert shared.features == alone.features
    assert shared.to_list() == alone.to_list()


def test_other_processes_load_it_again_and_caches_know_it(scorer: LoadedScorer, finished: Run, tmp_path: Path) -> None:
    before = Hasher.hash(scorer.columns)
    scorer.columns({"text": ["The river was vile."]})
    assert Hasher.hash(scorer.columns) == before  # although the engine is built now
    again = pickle.loads(pickle.dumps(scorer))
    assert len(pickle.dumps(scorer)) < 4096
    texts = {"content": ["The river was vile.", ""]}
    one, other = (each.columns(texts, text_column="content") for each in (scorer, again))
    assert [values.tolist() for values in one["toxic_influence"]] == [v.tolist() for v in other["toxic_influence"]]
    assert len(one["token_ids"][1]) == 0
    load, (settings, _) = scorer.__reduce__()
    with pytest.raises(InputError, match="changed since the scorer was loaded"):
        load(settings, "0" * 64)


def test_what_is_no_batch_of_texts_is_refused(scorer: LoadedScorer) -> None:
    with pytest.raises(InputError, match="no column 'text'"):
        scorer.columns({"content": ["a"]})
    with pytest.raises(InputError, match="give batched=True"):
        scorer.columns({"text": "a"})
    with pytest.raises(InputError, match="row 1 of the batch: 'text' is no text but None"):
        scorer.columns({"text": ["a", None]})  # type: ignore[list-item]
