"""The studies that ship: each is whole, and says offline what it would make and what is not there."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Command

from ifcurate.studies.layout import lay_out
from ifcurate.studies.reading import read_study
from ifcurate.studies.sweeps import expanded

STUDIES = Path(__file__).parents[2] / "studies"
PLACE = {"demo": "demo", "lab": "lab", "smollm2": "smollm2"}
NAMES = sorted(file.stem for file in STUDIES.glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_a_study_says_what_it_would_make_without_the_network(name: str, tmp_path: Path, command: Command) -> None:
    place = [f"--set=places.{PLACE[name]}={tmp_path}/nothing"] if name in PLACE else []
    found = command("study", STUDIES / f"{name}.yaml", "--out", tmp_path / "study", "--dry-run", *place)
    assert found.code == 0, found.err
    assert " pieces, 0 are done; time left unknown" in found.out
    assert "missing: arms " in found.out
    assert not (tmp_path / "study").exists()
    if name.startswith("paper"):
        study = read_study(STUDIES / f"{name}.yaml")
        begins_with = f"config_name {study.config_name}" if study.model is None else f"model {study.model}"
        for unseen in (begins_with, "judge detoxify"):
            assert f"not looked at, as it is not on this machine: {unseen}" in found.out


def test_a_sibling_is_what_it_extends_with_its_own_keys_over_it() -> None:
    small, large = (read_study(STUDIES / f"paper-{name}.yaml") for name in ("pythia-160m", "llama-3.2-1b"))
    assert (large.config_name, large.tokenizer) == ("meta-llama/Llama-3.2-1B", "EleutherAI/pythia-160m")
    assert list(large.arms) == [*small.arms, "proxy", "if-guide-by-proxy"]
    assert large.trainings.items() > small.trainings.items()
    assert large.corpus == small.corpus == f"{STUDIES}/data/openwebtext"
    pieces = lay_out(expanded(large)).pieces
    (by_proxy,) = [piece for piece in pieces if piece.title == "annotation by-proxy"]
    assert by_proxy.needs["model"].settings["config_name"] == "EleutherAI/pythia-160m"
    (ours,) = [piece for piece in pieces if piece.title == "annotation paper"]
    assert ours.needs["model"].title == "training plain-seed1004"
