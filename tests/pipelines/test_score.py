"""How many processes score, and what a run keeps of the engine it found."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from runs import Workshop
from tiny_models import tiny_model

from ifcurate.config import read_provenance
from ifcurate.errors import InputError
from ifcurate.influence.batch_size import bytes_per_worker
from ifcurate.influence.precision import rounded
from ifcurate.machine import cores, memory
from ifcurate.model.layers import tracked_parameters
from ifcurate.pipelines.found_engine import keep_engine, kept_engine
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.score import workers_for
from ifcurate.selection.footers import sidecar_metadata


def config_with(**settings: object) -> RunConfig:
    return RunConfig(corpus="corpus", out="run", model="model", device="cpu", **settings)


def test_workers_are_no_more_than_cores_and_memory_allow(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ifcurate")
    assert workers_for(config_with(), 1) == cores()
    assert workers_for(config_with(threads=cores() + 1), 1) == 1
    assert not caplog.messages
    assert workers_for(config_with(workers=7), memory()) == 7
    if cores() > 1:
        assert workers_for(config_with(), memory()) == 1
        assert "1 workers, not" in caplog.text and "GiB" in caplog.text and "--workers" in caplog.text


def test_a_worker_holds_the_model_the_directions_and_what_is_moved() -> None:
    model = tiny_model("llama")
    tracked = 4 * sum(parameter.numel() for parameter in tracked_parameters(model).values())
    forward, one, two = (bytes_per_worker(model, *which) for which in (("jvp", 1), ("one-sided", 1), ("one-sided", 2)))
    assert one - forward == two - one == tracked
    assert forward > 4 * model.num_parameters() + tracked


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"engine": "guessing"}, "engine"),
        ({"steps": [{"relative": -1, "error": 0}]}, "steps.0.relative"),
        ({"steps": [{"relative": 1e-3, "error": 0}] * 2}, "2 steps for 1 behaviours"),
        ({"tokenizer_hash": "../../x"}, "tokenizer_hash"),
        ({"behaviours": ["../../../evil"]}, "behaviours.0"),
        ({"batch_tokens": None}, "batch_tokens"),
    ],
)
def test_a_damaged_engine_file_is_one_sentence(
    finished: Run, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    shutil.copytree(finished.root / "direction", tmp_path / "direction")
    run = Run(tmp_path)
    keep_engine(run, kept_engine(finished))
    assert kept_engine(run) == kept_engine(finished)
    run.engine.write_text(json.dumps({**json.loads(run.engine.read_text()), **change}))
    with pytest.raises(InputError, match=r"engine\.json: .*" + said + r".*; delete .*, and score again\.$"):
        kept_engine(run)
    run.engine.write_text("{")
    with pytest.raises(InputError, match=r"engine\.json: is damaged or of another version"):
        kept_engine(run)


def test_a_run_file_that_does_not_say_its_corpus_is_one_sentence(finished: Run, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("corpus: c\n")
    with pytest.raises(InputError, match=r"run\.yaml: lacks `ifcurate: corpus`"):
        read_provenance(tmp_path / "run.yaml", "corpus")
    assert read_provenance(finished.file, "corpus")["corpus"]


def test_a_run_is_not_scored_for_other_behaviours(finished: Run, tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.direction("loud").parent.mkdir()
    shutil.copy(finished.direction("toxic"), run.direction("loud"))
    found = kept_engine(finished)
    keep_engine(run, found)
    with pytest.raises(InputError, match="was scored for toxic, and now has directions for loud"):
        kept_engine(run)


def test_influence_is_stored_as_exactly_as_is_asked_for(workshop: Workshop, finished: Run, tmp_path: Path) -> None:
    run = workshop.annotate(out=tmp_path / "run", direction=finished.direction("toxic"), precision="float16")
    for exact in sorted(finished.scores.glob("*.parquet")):
        stored = run.scores / exact.name
        one, two = (pq.read_table(file)["toxic_influence"].combine_chunks() for file in (exact, stored))
        assert two.offsets.equals(one.offsets)
        assert np.array_equal(two.values.to_numpy(), rounded(one.values.to_numpy(), "float16"))
        assert sidecar_metadata(stored).model_extra["precision"] == "float16"
        assert sidecar_metadata(exact).model_extra["precision"] == "float32"
