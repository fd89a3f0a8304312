"""Both kinds of screens on a corpus whose rude words are what is selected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scored_runs import KIND, RUDE, DrawnCorpus
from tiny_models import save_tiny_model

from ifcurate.errors import InputError
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.screen import screen
from ifcurate.pipelines.screen_config import ScreenConfig
from ifcurate.screening.curve import recall_at
from ifcurate.screening.kinds import SCREEN_FILE
from ifcurate.screening.learning import FOLDS, fold_of
from ifcurate.screening.ridge import Moments
from ifcurate.screening.screen import Screen, load_screen

FRIENDLY, HOSTILE = "the calm river and a kind garden", "the vile river and a stupid, rotten table"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return DrawnCorpus.draw(400).write(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="module")
def learnt(drawn: Run) -> Screen:
    return screen(config(drawn))


@pytest.fixture(scope="module")
def probe(drawn: Run) -> Screen:
    model = save_tiny_model(drawn.root.parent / "model", [" ".join([*KIND, *RUDE])] * 20, "llama")
    return screen(config(drawn, "probe", model=str(model)))


def config(run: Run, kind: str = "ngrams", **changes: object) -> ScreenConfig:
    given = {"run": str(run.root), "out": str(run.root.parent / kind), "kind": kind} | changes
    return ScreenConfig.model_validate(given)


def test_rude_words_are_learnt(learnt: Screen) -> None:
    friendly, hostile, empty = learnt.of([FRIENDLY, HOSTILE, ""])
    assert hostile > friendly + 0.1
    assert np.isfinite(empty)


def test_a_probe_learns_them_too(probe: Screen) -> None:
    friendly, hostile, empty = probe.of([FRIENDLY, HOSTILE, ""])
    assert hostile > friendly
    assert np.isfinite(empty)


def test_what_was_held_out_is_found_early(learnt: Screen, probe: Screen) -> None:
    assert recall_at(learnt.curve, 0.3) > 0.7
    assert recall_at(probe.curve, 0.3) > 0.5
    assert learnt.curve[-1] == (1.0, 1.0)


def test_a_screen_says_what_it_was_learnt_from(learnt: Screen, drawn: Run) -> None:
    said = learnt.provenance
    assert said["behaviour"] == "toxic" and said["kind"] == "ngrams"
    assert said["learnt_from"]["documents"] == 400
    assert said["made_from"]["shards"] == ["part-000", "part-001", "part-002"]


def test_a_file_gives_back_the_same_screen_to_the_bit(learnt: Screen, drawn: Run) -> None:
    file = drawn.root.parent / "ngrams" / SCREEN_FILE
    texts = [FRIENDLY, HOSTILE, "", "日本 👍"]
    assert np.array_equal(load_screen(file).of(texts), learnt.of(texts))
    before = file.read_bytes()
    screen(config(drawn, overwrite=True))
    assert file.read_bytes() == before


def test_a_probe_knows_its_model_by_hash(probe: Screen, drawn: Run) -> None:
    save_tiny_model(drawn.root.parent / "model", [" ".join([*KIND, *RUDE])] * 20, "llama", seed=1)
    with pytest.raises(InputError, match=r"was learnt with another model than the one of .* make the screen anew"):
        load_screen(drawn.root.parent / "probe" / SCREEN_FILE).of([HOSTILE])


def test_the_same_command_finds_it_made_and_another_is_refused(learnt: Screen, drawn: Run) -> None:
    assert screen(config(drawn)).provenance == learnt.provenance
    with pytest.raises(InputError, match="was learnt from other scores or with other settings"):
        screen(config(drawn, seed=1))


@pytest.mark.parametrize("within", (b"400", None), ids=("in what it says", "in its weights"))
def test_damage_is_told(learnt: Screen, drawn: Run, tmp_path: Path, within: bytes | None) -> None:
    content = bytearray((drawn.root.parent / "ngrams" / SCREEN_FILE).read_bytes())
    content[len(content) * 9 // 10 if within is None else content.index(within)] ^= 1
    (tmp_path / SCREEN_FILE).write_bytes(bytes(content))
    with pytest.raises(InputError, match="damaged since"):
        load_screen(tmp_path / SCREEN_FILE)


def test_refusals(drawn: Run, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(InputError, match="is not empty and no screen"):
        screen(config(drawn, out=str(tmp_path / "full")))
    with pytest.raises(InputError, match=r"--behaviour: .* has toxic, not 'rude'"):
        screen(config(drawn, out=str(tmp_path / "new"), behaviour="rude"))
    (tmp_path / "none").write_bytes(b"text")
    with pytest.raises(InputError, match="cannot be read as a screen"):
        load_screen(tmp_path / "none")
    assert not (tmp_path / "new").exists()


def test_copies_of_a_text_are_in_one_fold_and_folds_are_even() -> None:
    folds = np.bincount([fold_of(f"text {number}") for number in range(2000)], minlength=FOLDS)
    assert len(folds) == FOLDS and folds.min() > 320
    assert fold_of("a") == fold_of("a")


def test_ridge_from_sums_is_ridge_from_all_rows() -> None:
    generator = np.random.default_rng(0)
    features = (generator.normal(size=(200, 5)) * [1, 2, 3, 0, 10]).astype(np.float32)
    targets = features[:, 0] - 2 * features[:, 2] + 3.0
    moments = Moments()
    for part in np.array_split(np.arange(200), 7):
        moments.add(features[part], targets[part])
    found = moments.solve()
    wide = features.astype(np.float64)
    scale = np.where(wide.std(0) > 0, wide.std(0), 1)
    centred = (wide - wide.mean(0)) / scale
    penalty = 200 * 1e-3 * np.eye(5)
    expected = np.linalg.solve(centred.T @ centred + penalty, centred.T @ (targets - targets.mean())) / scale
    assert found.weights == pytest.approx(expected, abs=1e-5)
    assert found.of(features) == pytest.approx(targets, abs=0.05)
