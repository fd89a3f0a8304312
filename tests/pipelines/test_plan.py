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
from ifcurate.pipelines.run_config import STAGES
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


def words_of(workshop: Workshop) -> list[str]:
    """The options of a quick run but for where it is written."""
    words = workshop.options()
    place = words.index("--out")
    return words[:place] + words[place + 2 :]


def everything_in(folder: Path) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in sorted(folder.rglob("*"))}


def test_a_plan_says_what_a_run_leaves(workshop: Workshop, finished: Run, quick: None) -> None:
    before = everything_in(workshop.root)
    found = planned(workshop, price=2.0)
    assert everything_in(workshop.root) == before
    rows = rows_of(finished.scores)
    assert found.corpus.tokens.value == sum(len(row["token_ids"]) for row in rows)
    assert (found.corpus.documents.value, found.corpus.shards) == (len(rows), 4)
    assert [stage.name for stage in found.stages] == list(STAGES)
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
    words = words_of(workshop)
    shown = command("plan", *words)
    assert shown.code == 0, shown.err
    for part in ("Corpus and model", "Time on this machine", "Memory, of ", "Disk", "core-hours", "measured here"):
        assert part in shown.out
    found = json.loads(command("plan", *words, "--json", "--price", "3").out)
    assert found["total"]["cost"] == pytest.approx(3 * found["total"]["hours"])
    assert found["corpus"]["tokens"]["low"] <= found["corpus"]["tokens"]["value"]


def test_a_gpu_by_name_is_assumed_and_says_so(workshop: Workshop, command: Command) -> None:
    words = [*words_of(workshop), "--gpu", "h100", "--price", "2"]
    found = json.loads(command("plan", *words, "--json").out)
    assert (found["machine"]["name"], found["machine"]["unit"]) == ("NVIDIA H100 SXM 80 GB", "GPU")
    assert (found["model"]["engine"], found["model"]["dtype"]) == ("compiled-jvp", "bfloat16")
    assert {stage["basis"] for stage in found["stages"][:3]} == {"assumed, not measured"}
    assert found["total"]["basis"] == "assumed, not measured"
    assert {each["basis"] for each in found["alternatives"]} == {"assumed, not measured"}
    assert found["notes"][0].startswith("hours are assumed, not measured: no NVIDIA H100 SXM 80 GB was timed")
    assert found["total"]["cost"] == pytest.approx(2 * found["total"]["device_hours"])
    shown = command("plan", *words).out
    assert shown.count("assumed, not measured") == 3 + 1 + len(found["alternatives"]) + 1
    again = json.loads(command("plan", *words, "--json", "--rate", "score=500", "--rate", "fit=20").out)
    assert [stage["basis"] for stage in again["stages"][:3]] == ["given", "assumed, not measured", "given"]


def test_rates_come_from_files_too(workshop: Workshop, tmp_path: Path, quick: None) -> None:
    file = tmp_path / "rates.yaml"
    file.write_text("score: 100\nwrite: 1000\n")
    found = planned(workshop, rate=[str(file), "score=50"])
    score, write = found.stages[2], found.stages[4]
    assert (score.basis, write.basis) == ("given", "given")
    assert score.hours.value * 3600 > score.tokens / 50
    assert write.hours.value * 3600 == pytest.approx(write.tokens / 1000, abs=1)


@pytest.mark.parametrize(
    ("rate", "sentence"),
    [
        ("scoring=5", "'scoring' is no stage; give STAGE=N with one of fit, direct, score, select, write"),
        ("score=fast", "score=fast is no rate; give tokens a second, such as score=3000"),
        ("missing.yaml", "missing.yaml: cannot be read as YAML"),
    ],
)
def test_rates_that_are_none_are_refused(rate: str, sentence: str, workshop: Workshop, command: Command) -> None:
    assert sentence in command("plan", *words_of(workshop), "--rate", rate).error


def test_alternatives_change_what_they_say(workshop: Workshop, quick: None) -> None:
    found = planned(workshop, fit_tokens=16_384, proxy=workshop.root / "model", engine="jvp", price=1.0)
    others = {each.what: each for each in found.alternatives}
    assert [name for name in others if name.startswith("--fit-tokens")] == [
        f"--fit-tokens {tokens}" for tokens in (8_192, 32_768, 65_536)
    ]
    assert others["--fit-tokens 8192"].hours < others["--fit-tokens 65536"].hours
    assert others["--engine finite-difference"].hours < found.hours
    assert others["--engine finite-difference"].cost == pytest.approx(others["--engine finite-difference"].hours)
    same = others[f"--model {workshop.root / 'model'}, a proxy"]
    assert (same.hours, same.bytes) == pytest.approx((found.hours, found.stored))
    assert others["--precision bfloat16"].bytes < others["--precision float16"].bytes < found.stored
    assert others["--screen, --share 10%"].hours < found.hours


def test_a_dry_run_prints_the_plan_and_writes_nothing(workshop: Workshop, command: Command, quick: None) -> None:
    out = workshop.root / "never"
    before = everything_in(workshop.root)
    shown = command("annotate", *workshop.options(out=out), "--dry-run")
    assert shown.code == 0, shown.err
    assert not out.exists()
    assert everything_in(workshop.root) == before
    same = [line.split() for line in shown.out.splitlines()]
    for line in command("plan", *words_of(workshop)).out.splitlines():
        if line.split()[:1] in (["tokens"], ["documents"], ["shards"], ["model"], ["factors"], ["stays"]):
            assert line.split() in same
