"""Study files: what they may say, what stands for what, and what is said of one that does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ifcurate.errors import InputError
from ifcurate.studies.reading import read_study

SMALLEST: dict[str, Any] = {
    "model": "m",
    "corpus": "c",
    "prompts": "p.jsonl",
    "judges": ["profanity-check"],
    "arms": {"base": None},
}


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(**changes: Any) -> Path:
        file = tmp_path / "study.yaml"
        content = {name: value for name, value in {**SMALLEST, **changes}.items() if value is not ...}
        file.write_text(yaml.safe_dump(content))
        return file

    return write


def test_a_part_without_settings_has_none_and_a_list_names_its_judges(write: Any) -> None:
    study = read_study(write(trainings={"plain": None}, judges=["profanity-check", "hf:a/b"]))
    assert study.trainings == {"plain": {}}
    assert study.arms["base"].training is None
    assert {name: judge.classifier for name, judge in study.judges.items()} == {
        "profanity-check": "profanity-check",
        "hf-a-b": "hf:a/b",
    }


def test_paths_that_begin_with_a_dot_are_beside_the_file_and_all_others_are_left_alone(
    write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    file = write(
        corpus="./corpus/*.parquet",
        prompts=["rtp=../rtp.jsonl", "bold"],
        judges={"own": {"classifier": "hf:./judge", "label": "toxic"}},
    )
    study = read_study(file, ["held_out=./text.parquet", "model=EleutherAI/pythia-160m"])
    assert study.corpus == str(tmp_path / "corpus/*.parquet")
    assert study.prompts == {"rtp": {"source": f"{tmp_path}/../rtp.jsonl"}, "bold": {"source": "bold"}}
    assert study.judges["own"].classifier == f"hf:{tmp_path}/judge"
    assert study.model == "EleutherAI/pythia-160m"
    assert study.held_out == "/text.parquet", "what is set is where the command runs"


def test_places_stand_for_folders(write: Any) -> None:
    file = write(places={"data": None}, corpus="{data}/corpus", annotations={"words": {"words": "{data}/w.txt"}})
    study = read_study(file, ["places.data=/d"])
    assert (study.corpus, study.annotations["words"]["words"]) == ("/d/corpus", "/d/w.txt")
    with pytest.raises(InputError, match=r"study.yaml: places.data is not given; add --set places.data=FOLDER"):
        read_study(file)
    with pytest.raises(InputError, match=r"\{data\} stands for nothing"):
        read_study(write(corpus="{data}/corpus"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"corpse": "c"}, "study.yaml: corpse: there is no such key in a study"),
        ({"corpus": ...}, "study.yaml: corpus: is required"),
        ({"arms": {"a": {"trainin": "x"}}}, "study.yaml: arms.a.trainin: there is no such key"),
        ({"arms": {"a": {"training": "x"}}}, "arms.a.training: there is no 'x' among the trainings"),
        ({"arms": {"a/b": {}}}, "study.yaml: arms.a/b: String should match pattern"),
        ({"config_name": "c"}, "give either model .* or config_name"),
        ({"seeds": [1, 1]}, "a seed stands twice"),
        ({"tables": {"t": {"columns": ["tp", "mood"]}}}, "tables.t.columns.1: must be one of tp, difference"),
        ({"tables": {"t": {"arms": ["x"]}}}, "tables.t.arms: there is no 'x' among the arms or sweeps"),
        ({"queries_chosen_by": ["x"]}, "queries_chosen_by: there is no 'x' among the judges"),
        ({"judges": {"j": {"label": "toxic"}}}, "judges.j: give either a classifier or a reward_model"),
    ],
)
def test_what_does_not_fit_is_named_with_file_and_key(write: Any, changes: Any, said: str) -> None:
    with pytest.raises(InputError, match=said) as refusal:
        read_study(write(**changes))
    assert str(refusal.value).endswith(".")


@pytest.mark.parametrize(
    ("override", "said"), [("seeds", "is not KEY=VALUE"), ("model.x=1", "leads into 'model'"), ("x=[", "is not YAML")]
)
def test_what_cannot_be_set_is_refused(write: Any, override: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_study(write(), [override])
