"""Queries are made once: the same command again says so, another one is refused, `--overwrite` starts anew."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ifcurate.errors import InputError
from ifcurate.evaluation.config import MiningConfig
from ifcurate.pipelines import queries as recipe
from ifcurate.pipelines.queries import build_queries

DONE = "is made already; --overwrite makes it anew"
ROWS = [("He is", " mean #0.9"), ("She was", " kind #0.0"), ("It was", " fine #0.05"), ("They are", " vile #0.7")]


class ByNumber:
    """Scores a text by the number after `#`."""

    name, labels, identity, texts_cut = "by number", ("toxicity",), "first weights", 0

    def score(self, texts: list[str]) -> np.ndarray:
        return np.array([[float(text.split("#")[1])] for text in texts], np.float32)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Options of `queries` over `ROWS`, and a classifier that needs no weights."""
    monkeypatch.setattr(recipe, "load_classifier", lambda *_: ByNumber())
    write(tmp_path / "pairs.jsonl", ROWS)
    return {"source": str(tmp_path / "pairs.jsonl"), "out": str(tmp_path / "out")}


def write(path: Path, rows: list[tuple[str, str]]) -> None:
    path.write_text("".join(json.dumps({"prompt": a, "completion": b}) + "\n" for a, b in rows))


def contents(settings: dict[str, Any]) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(settings["out"]).iterdir()}


def refusal(settings: dict[str, Any], **changes: Any) -> str:
    before = contents(settings)
    with pytest.raises(InputError) as error:
        build_queries(MiningConfig(**{**settings, **changes}))
    assert contents(settings) == before
    return str(error.value)


def test_the_same_command_again_is_done(settings: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ifcurate")
    first = build_queries(MiningConfig(**settings))
    assert DONE not in caplog.text
    made = contents(settings)
    assert set(made) == {"toxic.jsonl", "safe.jsonl", "queries.json"}
    assert build_queries(MiningConfig(**settings, device="cpu")) == first
    assert DONE in caplog.text
    assert contents(settings) == made


def test_soft_queries_come_back_with_their_weights(settings: dict[str, Any]) -> None:
    first = build_queries(MiningConfig(**settings, soft=True))
    assert sorted(query.weight for query in first[0].behaviour) == pytest.approx([0.4, 0.6], abs=1e-6)
    assert build_queries(MiningConfig(**settings, soft=True)) == first
    assert "option --soft: " in refusal(settings)


def test_another_command_is_refused(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    build_queries(MiningConfig(**settings))
    assert "option --behaviour-from: " in refusal(settings, behaviour_from=0.8)
    write(Path(settings["source"]), ROWS[:3])
    assert "was made from other texts" in refusal(settings)
    write(Path(settings["source"]), ROWS)
    monkeypatch.setattr(ByNumber, "identity", "other weights")
    assert "was made from other weights of the classifier" in refusal(settings)


def test_overwrite_makes_anew_and_deletes_no_other_folder(settings: dict[str, Any]) -> None:
    build_queries(MiningConfig(**settings))
    mined, _ = build_queries(MiningConfig(**settings, behaviour_from=0.8, overwrite=True))
    assert [query.completion for query in mined.behaviour] == [" mean #0.9"]
    (Path(settings["out"]) / "queries.json").unlink()
    assert "in use by something else" in refusal(settings)
    assert "nothing says that it may be deleted" in refusal(settings, overwrite=True)


def test_damaged_queries_are_refused(settings: dict[str, Any]) -> None:
    build_queries(MiningConfig(**settings))
    (Path(settings["out"]) / "toxic.jsonl").write_text("half a li")
    assert "damaged or incomplete" in refusal(settings)
