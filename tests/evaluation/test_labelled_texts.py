from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ifcurate.errors import InputError
from ifcurate.evaluation.labelled_texts import LabelledTexts, hold_out_texts, read_labelled


def table(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize(
    ("labels", "positive"),
    [([1, 0, 1], None), ([True, False, True], None), ([1.0, 0.0, 1.0], None), (["bad", "good", "bad"], "bad")],
)
def test_labels_are_0_and_1_booleans_or_named(tmp_path: Path, labels: list[Any], positive: str | None) -> None:
    rows = [{"meta": {"body": f"text {number}", "label": label}} for number, label in enumerate(labels)]
    found = read_labelled(table(tmp_path / "t.jsonl", rows), "train", "meta.body", "meta.label", positive)
    assert found.texts == ["text 0", "text 1", "text 2"]
    assert found.positive.tolist() == [True, False, True]


def test_rows_with_neither_label_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [{"text": f"text {label}", "label": label} for label in ("bad", "wiki", "good", "book")]
    found = read_labelled(table(tmp_path / "t.jsonl", rows), "train", "text", "label", "bad", "good")
    assert (found.texts, found.positive.tolist(), found.left_out) == (["text bad", "text good"], [True, False], 2)
    everything = read_labelled(table(tmp_path / "t.jsonl", rows), "train", "text", "label", "bad")
    assert (everything.positive.tolist(), everything.left_out) == ([True, False, False, False], 0)


def test_refuses_what_is_no_labelled_text(tmp_path: Path) -> None:
    def refused(rows: list[dict[str, Any]], positive: str | None = None) -> str:
        with pytest.raises(InputError) as error:
            read_labelled(table(tmp_path / "t.jsonl", rows), "train", "text", "label", positive)
        return str(error.value)

    kind = {"text": "good", "label": 0}
    assert "row 1 (counted from 0): 'text' is empty" in refused([kind, {"text": " ", "label": 1}])
    assert "row 1 (counted from 0): 'text' is null" in refused([kind, {"text": None, "label": 1}])
    assert "row 1 (counted from 0): 'label' is null" in refused([kind, {"text": "a", "label": None}])
    assert "'label' is 2, neither 0 nor 1; name the label" in refused([kind, {"text": "a", "label": 2}])
    assert "has no column 'label'" in refused([{"text": "a", "toxic": 1}])
    assert "has 0 positive and 2 negative rows (labels: 0)" in refused([kind, kind])
    named = [{"text": "a", "label": "rude"}, {"text": "b", "label": "kind"}]
    assert "has 0 positive and 2 negative rows (labels: kind, rude)" in refused(named, "toxic")


def test_equal_texts_stand_on_one_side_wherever_they_are() -> None:
    texts = [f"text {number % 300}" for number in range(900)]
    positive = np.arange(900) % 2 == 0
    labelled = LabelledTexts(texts, positive)
    trained, held_out = hold_out_texts(labelled, 0.2, 0)
    assert len(trained) + len(held_out) == 900
    assert 0.1 < len(held_out) / 900 < 0.3
    assert not set(trained.texts) & set(held_out.texts)
    longer = LabelledTexts(["another", *texts], np.append(True, positive))
    assert set(hold_out_texts(longer, 0.2, 0)[1].texts) - {"another"} == set(held_out.texts)
    assert set(hold_out_texts(labelled, 0.2, 1)[1].texts) != set(held_out.texts)
    with pytest.raises(InputError, match="give another share"):
        hold_out_texts(labelled, 1e-9, 0)
