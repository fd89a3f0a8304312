"""What a plan says of a corpus, a model and this machine, and that it leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Command
from runs import Workshop, rows_of

from ifcurate.config import build
from ifcurate.errors import InputError
from ifcurate.pipelines import planned_memory
from ifcurate.pipelines.plan import plan
from ifcurate.pipelines.plan_config import PlanConfig
from ifcurate.pipelines.run import Run
from ifcurate.planning import matrices, timing
from ifcurate.planning.result import Plan


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rehearsals that take no time."""
    monkeypatch.setattr(timing, "SECONDS_A_PART", 0.05)
    monkeypatch.setattr(matrices, "STORED_BYTES", 1 << 20)


def planned(workshop: Workshop, **changes: object) -> Plan:
    given = workshop.settings(**changes)
    return plan(build(PlanConfig, {name: value for name, value in given.items() if name != "out"}))


def everything_in(folder: Path) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in sorted(folder.rglob("*"))}


def test_a_plan_says_what_a_run_leaves(workshop: Workshop, finished: Run, quick: None) -> None:
    before = everything_in(workshop.root)
    found = planned(workshop, price=2.0)
    assert everything_in(workshop.root) == before
    rows = rows_of(finished.scores)
    assert found.corpus.tokens.value == sum(len(row["token_ids"]) for row in rows)
    assert (found.corpus.documents.value, found.corpus.shards) == (len(rows), 4)
    assert [stage.name for stage in found.stages] == ["fit", "direct", "score", "select", "write"]
    assert all(0 < stage.hours.value < 0.1 and stage.device_hours.value > 0 for stage in found.stages)
    assert {stage.basis for stage in found.stages} == {"measured here", "measured elsewhere"}
    assert found.cost == pytest.approx(2 * found.hours)
    sample = json.loads(finished.sample.read_text())
    assert found.stages[0].tokens == sample["tokens"]
    assert (found.model.engine, found.model.context) == ("finite-difference", 64)
    assert all(stage.fits for stage in found.memory)
    sizes = {files.what: files.bytes.value for files in found.disk}
    stored = sum(file.stat().st_size for file in finished.factors.rglob("*.safetensors"))
    assert sizes["factors"] == pytest.approx(stored, abs=10_000)
    assert found.notes[0].startswith("the annotated corpus is taken to compress")


def test_published_directions_need_no_fit(workshop: Workshop, finished: Run, quick: None) -> None:
    found = planned(workshop, direction=finished.direction("toxic"))
    assert [stage.name for stage in found.stages] == ["score", "select", "write"]
    assert [stage.stage for stage in found.memory] == ["score"]
    assert "factors" not in {files.what for files in found.disk}


def test_without_queries_some_are_assumed(workshop: Workshop, quick: None) -> None:
    found = planned(workshop, queries=None, contrast=None)
    assert found.notes[0].startswith("no --queries: 1,000 of ")
    assert found.stages[1].tokens > 1000


def test_what_does_not_fit_has_no_hours(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planned_memory, "memory", lambda: 500 << 20)
    found = planned(workshop)
    assert found.stages == []
    assert not any(stage.fits for stage in found.memory)
    assert {stage.positions for stage in found.memory if stage.stage != "score"} == {64}  # one window
    assert found.notes[0] == "no time is planned: a stage does not fit into the memory of this machine"


@pytest.mark.parametrize(
    ("option", "given"), [("--refine", {"refine": "cg"}), ("--fit-with", {"fit_with": "kronfluence"})]
)
def test_what_is_not_planned_is_refused(option: str, given: dict[str, str], workshop: Workshop) -> None:
    with pytest.raises(InputError, match=f"option {option}: is not planned; leave it out, and plan what is left."):
        planned(workshop, **given)


def test_a_model_without_a_configuration_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no tokenizer that can be loaded"):
        planned(workshop, model=tmp_path)


def test_the_command_prints_tables_or_json(workshop: Workshop, command: Command, quick: None) -> None:
    words = [word for word in workshop.options() if word != str(workshop.root / "run")]
    words.remove("--out")
    shown = command("plan", *words)
    assert shown.code == 0, shown.err
    for part in ("Corpus and model", "Time on this machine", "Memory, of ", "Disk", "core-hours", "measured here"):
        assert part in shown.out
    found = json.loads(command("plan", *words, "--json", "--price", "3").out)
    assert found["total"]["cost"] == pytest.approx(3 * found["total"]["hours"])
    assert found["corpus"]["tokens"]["low"] <= found["corpus"]["tokens"]["value"]
