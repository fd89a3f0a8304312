"""`ifcurate distil`, and what `annotate --student` makes of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from commands import Command
from runs import Workshop, contents, rows_of, texts
from tiny_models import save_tiny_model
from transformers import AutoModelForCausalLM

from ifcurate.distilling import learning
from ifcurate.errors import InputError
from ifcurate.export.config import ExportConfig
from ifcurate.influence.student import STUDENT_FILE, Student
from ifcurate.pipelines.distil import SETTINGS_FILE, UNFINISHED, distil
from ifcurate.pipelines.distil_config import DistilConfig
from ifcurate.pipelines.export import export
from ifcurate.pipelines.finished_run import FinishedRun
from ifcurate.pipelines.publish import write_dataset
from ifcurate.pipelines.publish_config import PublishConfig, PublishDirectionConfig
from ifcurate.pipelines.publish_direction import publish_direction
from ifcurate.pipelines.run import Run
from ifcurate.screening.threshold import draw_of

ALONE: dict[str, object] = {"model": None, "queries": None, "contrast": None}
"""A student needs none of these."""
QUICK = {"epochs": 6, "learning_rate": 5e-3, "tokens_per_step": 512, "held_out": "20%", "device": "cpu"}


def config(run: Run, workshop: Workshop, out: Path, **changes: object) -> DistilConfig:
    given = {"run": str(run.root), "student": str(workshop.root / "model"), "out": str(out), **QUICK, **changes}
    return DistilConfig.model_validate(given)


@pytest.fixture(scope="module")
def folder(finished: Run, workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("distilled") / "student"


@pytest.fixture(scope="module")
def student(finished: Run, workshop: Workshop, folder: Path) -> Student:
    return distil(config(finished, workshop, folder))


@pytest.fixture(scope="module")
def annotated(workshop: Workshop, student: Student, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("annotated") / "run"
    return workshop.annotate(out=out, student=folder, **ALONE)


def test_a_student_learns_influence_and_says_how_near_it_comes(student: Student, finished: Run, folder: Path) -> None:
    said = student.provenance
    assert said["behaviour"] == "toxic" and said["correlation"] > 0.3
    assert said["overlap"] > 0.1 and said["share"] == 0.02, said
    assert said["held_out"]["documents"] + said["learnt_from"]["documents"] == 60
    assert said["made_from"]["shards"] == [f"part-{number:03}" for number in range(4)]
    assert AutoModelForCausalLM.from_pretrained(folder).config.model_type == "llama"
    assert not (folder / UNFINISHED).exists()


def test_a_student_writes_the_same_columns_in_the_unit_of_influence(finished: Run, annotated: Run) -> None:
    exact, found = rows_of(finished.data), rows_of(annotated.data)
    assert [list(row) for row in found] == [list(row) for row in exact]
    assert [row["token_ids"] for row in found] == [row["token_ids"] for row in exact]
    first, second = (np.concatenate([row["toxic_influence"] for row in rows]) for rows in (exact, found))
    assert np.corrcoef(first, second)[0, 1] > 0.3
    held = np.concatenate([np.full(len(row["token_ids"]), draw_of(row["text"], 0) < 0.2) for row in exact])
    quantiles = [np.quantile(each[held], [0.1, 0.5, 0.9]) for each in (first, second)]
    assert quantiles[1] == pytest.approx(quantiles[0], rel=0.2, abs=0.05)
    assert sum(map(sum, (row["toxic_mask"] for row in found))) == sum(map(sum, (row["toxic_mask"] for row in exact)))


def test_metadata_report_card_and_inspect_say_that_it_is_approximate(
    annotated: Run, student: Student, workshop: Workshop, command: Command
) -> None:
    said = json.loads(pq.read_schema(next(annotated.data.glob("*.parquet"))).metadata[b"ifcurate"])["toxic"]
    assert (said["engine"], said["approximate"]) == ("student", True)
    assert (said["correlation"], said["overlap"]) == (student.provenance["correlation"], student.provenance["overlap"])
    assert said["model"] == str(workshop.root / "model") and "approximately" in said["unit"]
    assert said["direction_hash"] == student.provenance["direction_hash"]
    sentence = f"rank correlation {said['correlation']:.3f} with exact influence"
    assert sentence in (annotated.root / "report.html").read_text()
    assert sentence in (annotated.root / "README.md").read_text()
    assert sentence in " ".join(command("inspect", annotated.root).out.split())
    FinishedRun.open(str(annotated.root))


def test_exports_and_publications_know_it(annotated: Run, tmp_path: Path) -> None:
    export(ExportConfig(data=str(annotated.root), out=str(tmp_path / "hf"), format="hf"))
    out = tmp_path / "published"
    write_dataset(PublishConfig(run=str(annotated.root), repo="org/name", license="other", out=str(out), figures=False))
    card = (out / "README.md").read_text()
    assert "The scores are approximate, by a student" in card and str(annotated.root.parents[1]) not in card
    assert not (out / "directions").exists()
    with pytest.raises(InputError, match="has directions of nothing"):
        publish_direction(PublishDirectionConfig(direction=str(annotated.root), repo="org/name", license="other"))


def test_a_run_goes_on_with_the_same_student_alone(
    workshop: Workshop, annotated: Run, folder: Path, tmp_path: Path
) -> None:
    before = contents(annotated, ("student", "scores", "selection", "data"))
    given = {"out": annotated.root, **ALONE}
    next(annotated.scores.glob("*.parquet")).unlink()
    workshop.annotate(**given, student=folder)
    assert contents(annotated, ("student", "scores", "selection", "data")) == before
    shutil.copytree(folder, tmp_path / "copy")
    save_tiny_model(tmp_path / "copy", texts(60), "llama", seed=3)
    with pytest.raises(InputError, match="the student's model is not the one that was learnt"):
        workshop.annotate(**given | {"out": tmp_path / "run"}, student=tmp_path / "copy")
    assert not (tmp_path / "run").exists()


def test_stopped_at_a_step_it_goes_on_to_the_same_bytes(
    finished: Run, workshop: Workshop, student: Student, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(finished, workshop, tmp_path / "again", save_steps=3)
    steps = iter(range(8))
    step = learning._step
    with monkeypatch.context() as patched, pytest.raises(StopIteration):
        patched.setattr(learning, "_step", lambda *given: (next(steps), step(*given)))
        distil(settings)
    assert (tmp_path / "again" / UNFINISHED).is_file() and not (tmp_path / "again" / STUDENT_FILE).exists()
    distil(settings)
    for name in (STUDENT_FILE, "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_what_is_made_is_found_and_another_is_refused(
    finished: Run, workshop: Workshop, student: Student, folder: Path
) -> None:
    assert distil(config(finished, workshop, folder)).provenance == student.provenance
    with pytest.raises(InputError, match="holds a student of other scores or settings"):
        distil(config(finished, workshop, folder, seed=1))


def test_another_tokenizer_and_other_folders_are_refused(finished: Run, workshop: Workshop, tmp_path: Path) -> None:
    other = save_tiny_model(tmp_path / "other", ["something else entirely"] * 30)
    with pytest.raises(InputError, match="has another tokenizer than the scores are of"):
        distil(config(finished, workshop, tmp_path / "new", student=str(other)))
    assert not (tmp_path / "new").exists()
    with pytest.raises(InputError, match="is not empty and no student"):
        distil(config(finished, workshop, tmp_path))
    assert not (tmp_path / SETTINGS_FILE).exists()


def test_scores_of_a_student_or_of_a_screen_are_not_learnt_from(
    annotated: Run, workshop: Workshop, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="was scored by a student itself"):
        distil(config(annotated, workshop, tmp_path / "new"))


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"student": "S"}, "a student stands in the place of --model"),
        ({"student": "S", "model": None}, "a student stands in the place of --queries"),
        ({**ALONE, "student": "S", "engine": "jvp"}, "a student is no engine jvp"),
        ({"engine": "student"}, "--engine student needs a --student"),
        ({**ALONE, "student": "S", "with_loss": True}, "in the place of --with-loss"),
    ],
)
def test_settings_that_do_not_fit_are_refused(workshop: Workshop, given: dict[str, object], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        workshop.config(**given)


def test_a_folder_without_a_head_is_no_student(workshop: Workshop, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no student, it has no student\.safetensors"):
        workshop.annotate(out=tmp_path / "run", student=workshop.root / "model", **ALONE)
    assert not (tmp_path / "run").exists()
