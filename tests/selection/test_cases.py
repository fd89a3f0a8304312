"""Stored cases of Algorithm 1: small ones of our own, which the slow one made, and those of the published code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from score_files import Corpus, one_character_each
from selection_cases import STORED, make_cases
from selection_runs import run
from slow_selection import algorithm_1

from ifcurate.selection import algorithm
from ifcurate.selection.settings import SelectionSettings

OURS = json.loads(STORED.read_text(encoding="utf-8"))
PUBLISHED = [
    "all_equal",
    "budget_binds",
    "budget_loose",
    "budget_zero",
    "negative_scores",
    "quantile_median",
    "single_document",
    "two_documents_only",
    "window_wide",
    "window_zero",
]


def masks(case: dict[str, Any]) -> list[list[bool]]:
    return [[taken == "1" for taken in document] for document in case["mask"]]


@pytest.mark.parametrize("case", OURS["cases"], ids=lambda case: f"{case['corpus']}-{case['settings']['neighbours']}")
def test_equals_the_stored_case(case: dict[str, Any]) -> None:
    selection, mask, ranks = run(Corpus(**OURS["corpora"][case["corpus"]]), SelectionSettings(**case["settings"]))
    assert mask == masks(case)
    assert selection.tau == case["tau"]
    assert ranks == pytest.approx(case["ranks"], abs=1e-12)
    assert selection.tokens_selected == sum(map(sum, mask))


@pytest.mark.parametrize("case", OURS["cases"][::9], ids=lambda case: case["corpus"])
def test_records_may_come_in_batches_of_any_size(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The budget ends in a later batch than the first."""
    corpus, settings = Corpus(**OURS["corpora"][case["corpus"]]), SelectionSettings(**case["settings"])
    at_once = run(corpus, settings)
    monkeypatch.setattr(algorithm, "RECORDS_PER_BATCH", 2)
    assert run(corpus, settings) == at_once


def test_the_stored_cases_are_those_of_the_slow_algorithm() -> None:
    """After a change of either: `python tests/helpers/selection_cases.py` writes them anew."""
    made = make_cases()
    assert made["corpora"] == OURS["corpora"]
    assert [{**case, "ranks": None} for case in made["cases"]] == [{**case, "ranks": None} for case in OURS["cases"]]
    for now, stored in zip(made["cases"], OURS["cases"], strict=True):
        assert now["ranks"] == pytest.approx(stored["ranks"], abs=1e-12)


def test_the_stored_cases_tell_mistakes_apart() -> None:
    """Budgets end in the middle of neighbourhoods, and of documents; ties, lengths and windows decide."""
    split, exact, part = 0, 0, 0
    for token, neighbourhood in zip(OURS["cases"][::2], OURS["cases"][1::2], strict=True):
        split += token["mask"] != neighbourhood["mask"]
        selected = sum(document.count("1") for document in token["mask"])
        exact += selected == token["settings"]["budget"] and selected > 0
        part += any("1" in document and "0" in document for document in token["mask"])
    assert split >= 8 and exact >= 8 and part >= 20
    settings = [case["settings"] for case in OURS["cases"]]
    assert {chosen["neighbours"] for chosen in settings} == {0, 1, 2, 4}
    assert {chosen["rank_by"] for chosen in settings} == {"document", "window"}
    assert {chosen["length_exponent"] for chosen in settings} == {0, 0.5, 1}
    lengths = [len(document) for corpus in OURS["corpora"].values() for document in corpus["influence"]]
    assert lengths.count(0) >= 3 and lengths.count(1) >= 3


def published(shared: Path, case: str) -> tuple[dict[str, Any], Corpus, SelectionSettings]:
    """A case of the published code, its corpus and settings: equal windows, so that lengths do not matter."""
    stored = dict(np.load(shared / "reference" / "selection" / f"{case}.npz"))
    numbers = {"neighbours": int(stored["window"]), "budget": int(stored["budget"])}
    chosen = SelectionSettings(quantile=float(stored["quantile"]), length_exponent=0, **numbers)
    influence = stored["scores"].tolist()
    return stored, Corpus(influence, one_character_each(influence), (len(influence) // 3,)), chosen


@pytest.mark.parametrize("case", PUBLISHED)
def test_reference_case(shared: Path, case: str) -> None:
    stored, corpus, chosen = published(shared, case)
    selection, mask, ranks = run(corpus, chosen)
    assert np.float32(selection.tau) == stored["threshold"]
    assert np.array_equal(mask, stored["mask_algorithm1"])
    assert np.allclose(ranks, stored["rank"], rtol=0, atol=2e-5)
    assert np.argsort(-np.array(ranks), kind="stable").tolist() == stored["order"].tolist()
    as_windows = chosen.model_copy(update={"rank_by": "window", "context": stored["scores"].shape[1]})
    assert run(Corpus(corpus.influence, corpus.offsets), as_windows)[1:] == (mask, ranks)


@pytest.mark.parametrize("case", PUBLISHED)
def test_the_published_code_stops_before_a_neighbourhood_that_does_not_fit(shared: Path, case: str) -> None:
    stored, corpus, chosen = published(shared, case)
    _, mask, _ = run(corpus, chosen.model_copy(update={"budget_ends": "neighbourhood"}))
    assert np.array_equal(mask, stored["mask_reference"])


@pytest.mark.parametrize("case", PUBLISHED)
def test_the_slow_algorithm_meets_the_reference_case(shared: Path, case: str) -> None:
    stored, corpus, chosen = published(shared, case)
    for ends, expected in [("token", "mask_algorithm1"), ("neighbourhood", "mask_reference")]:
        settings = chosen.model_copy(update={"budget_ends": ends})
        selected = algorithm_1(corpus, settings, int(stored["budget"]))
        assert np.array_equal(selected.mask, stored[expected])
        assert np.float32(selected.tau) == stored["threshold"]
        assert np.allclose(selected.ranks, stored["rank"], rtol=0, atol=2e-5)
