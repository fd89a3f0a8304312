"""`--overlap`: what a run with it computes, says of itself and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from commands import Command
from oracles import influence_by_autograd
from runs import Workshop, contents, rows_of

from ifcurate.corpus.parquet import metadata_of_file
from ifcurate.errors import InputError
from ifcurate.influence.direction import load_direction
from ifcurate.model.checkpoints import load_causal_lm
from ifcurate.model.windows import Encoding, collate, split_into_windows
from ifcurate.pipelines.inspect import inspect
from ifcurate.pipelines.inspect_config import InspectConfig
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.stage_times import read_stages

CONTEXT, OVERLAP = 16, 6


@pytest.fixture(scope="module")
def overlapping(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return workshop.annotate(out=tmp_path_factory.mktemp("overlap") / "run", context=CONTEXT, overlap=OVERLAP)


def encoding_of(token_ids: list[int]) -> Encoding:
    return Encoding(np.array(token_ids, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int32))


def test_scores_are_those_of_windows_that_read_the_tokens_before_them(workshop: Workshop, overlapping: Run) -> None:
    model = load_causal_lm(str(workshop.root / "model")).double()
    direction = load_direction(overlapping.direction("toxic"))
    row = max(rows_of(overlapping.scores), key=lambda row: len(row["token_ids"]))
    assert len(row["token_ids"]) > 3 * CONTEXT
    expected = np.zeros(len(row["token_ids"]))
    for window in split_into_windows([encoding_of(row["token_ids"])], CONTEXT, OVERLAP)[:4]:
        expected[window.places] = influence_by_autograd(model, direction, collate([window], 0)).numpy()
    seen = 4 * CONTEXT - 3 * OVERLAP
    found = np.array(row["toxic_influence"][:seen])
    assert np.linalg.norm(found - expected[:seen]) < 2e-3 * np.linalg.norm(expected[:seen])


def test_files_say_the_overlap_and_the_stage_what_it_cost(overlapping: Run, finished: Run) -> None:
    said = metadata_of_file(pq.read_metadata(next(overlapping.scores.glob("*.parquet"))))
    assert (said["context"], said["overlap"]) == (CONTEXT, OVERLAP)
    assert load_direction(overlapping.direction("toxic")).provenance["overlap"] == OVERLAP
    sample = json.loads(overlapping.sample.read_text())
    windows = [encoding_of(row["token_ids"]) for row in rows_of(overlapping.scores)]
    read = sum(len(window) for window in split_into_windows(windows, CONTEXT, OVERLAP))
    counts = {stage.name: stage.counts for stage in read_stages(overlapping.logs)}["score"]
    assert counts["tokens"] == sum(map(len, windows))
    assert counts["tokens"] + counts["context"] == read <= counts["positions"]
    assert sample["hash"] != json.loads(finished.sample.read_text())["hash"]


def test_the_same_command_continues_and_another_overlap_is_refused(workshop: Workshop, overlapping: Run) -> None:
    before = contents(overlapping)
    (overlapping.scores / "part-001.parquet").unlink()
    workshop.annotate(out=overlapping.root, context=CONTEXT, overlap=OVERLAP)
    assert contents(overlapping) == before
    with pytest.raises(InputError, match=r"option --overlap: .* was made with 6, not 5; give another --out"):
        workshop.annotate(out=overlapping.root, context=CONTEXT, overlap=5)


def test_an_overlap_that_leaves_no_room_is_refused(workshop: Workshop, tmp_path: Path, command: Command) -> None:
    words = workshop.options(out=tmp_path / "run", context=CONTEXT, overlap=CONTEXT)
    assert (
        "option --overlap: 16 tokens leave no room for new ones in windows of 16" in command("annotate", *words).error
    )


def test_a_text_is_inspected_with_the_overlap(overlapping: Run) -> None:
    row = max(rows_of(overlapping.scores), key=lambda row: len(row["token_ids"]))
    text = next(document["text"] for document in rows_of(overlapping.data) if document["id"] == row["id"])
    direction = str(overlapping.direction("toxic"))
    asked = InspectConfig(direction=direction, text=text, device="cpu", context=CONTEXT, overlap=OVERLAP)
    (shown,) = inspect(asked).texts
    found, expected = shown.scored.influence, np.array(row["toxic_influence"])
    assert np.linalg.norm(found - expected) < 1e-2 * np.linalg.norm(expected)
