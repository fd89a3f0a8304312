"""The stages as commands of their own: the same bytes as `annotate`, each refusing to run before its turn."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from commands import Command
from runs import Workshop, contents, rows_of, write_shards

from ifcurate.corpus.parquet import metadata_of_file
from ifcurate.corpus.shards import list_shards
from ifcurate.errors import InputError
from ifcurate.lock import Holder
from ifcurate.pipelines.run import Run, continue_run, create_run, open_run
from ifcurate.pipelines.run_config import RunConfig, first_stage
from ifcurate.selection.scores import TOKEN_IDS

OTHER = {"budget": "20%", "quantile": 0.8, "neighbours": 0}
SELECTED = ("selection", "data")


@contextmanager
def absent(path: Path) -> Iterator[None]:
    """`path` is gone while the block runs."""
    hidden = path.with_name(f"{path.name}.hidden")
    path.rename(hidden)
    try:
        yield
    finally:
        hidden.rename(path)


def copied(run: Run, folder: Path, without: tuple[str, ...] = ()) -> Path:
    shutil.copytree(run.root, folder, ignore=lambda at, names: without if Path(at) == run.root else ())
    return folder


@pytest.mark.slow
def test_the_stages_one_by_one_equal_annotate(
    workshop: Workshop, finished: Run, tmp_path: Path, command: Command
) -> None:
    folder = tmp_path / "run"
    selection = {"quantile": None, "budget": None}
    queries = {"queries": None, "contrast": None}
    steps = [
        ("fit", *workshop.options(out=folder, workers=None, **queries, **selection)),
        ("direct", folder, f"--queries={workshop.root / 'toxic.jsonl'}", f"--contrast={workshop.root / 'safe.jsonl'}"),
        ("score", folder, "--workers", "1"),
        ("select", folder, "--quantile", "0.9", "--budget", "5%"),
        ("write", folder),
    ]
    for step in steps:
        done = command(*step)
        assert done.code == 0, done.err
        assert str(folder) in done.out
    assert contents(folder) == contents(finished)


def test_another_selection_needs_no_model(workshop: Workshop, finished: Run, tmp_path: Path, command: Command) -> None:
    folder = copied(finished, tmp_path / "copy")
    kept = contents(folder, ["factors", "direction", "scores"])
    with absent(workshop.root / "model"):
        selected = command("select", folder, "--budget", "20%", "--quantile", "0.8", "--neighbours", "0")
        assert selected.code == 0, selected.err
        assert contents(folder, ["data"]) == contents(finished, ["data"])
        written = command("write", folder)
        assert written.code == 0, written.err
    assert contents(folder, ["factors", "direction", "scores"]) == kept
    at_once = workshop.annotate(out=tmp_path / "at-once", direction=finished.direction("toxic"), **OTHER)
    assert rows_of(folder / "data") == rows_of(at_once.data)
    assert rows_of(folder / "data") != rows_of(finished.data)
    assert (folder / "selection/toxic.json").read_bytes() == (at_once.selection / "toxic.json").read_bytes()


def test_the_annotated_corpus_is_written_anew_without_token_ids(
    finished: Run, tmp_path: Path, command: Command
) -> None:
    folder = copied(finished, tmp_path / "copy")
    assert command("write", folder, "--no-token-ids").code == 0
    without = [pq.read_schema(file).names for file in sorted((folder / "data").glob("*.parquet"))]
    assert len(without) == 4
    assert not any(TOKEN_IDS in columns for columns in without)
    assert command("write", folder, "--token-ids").code == 0
    assert contents(folder, SELECTED) == contents(finished, SELECTED)


def test_a_stage_before_its_turn_is_refused(
    workshop: Workshop, finished: Run, tmp_path: Path, command: Command
) -> None:
    bare = copied(finished, tmp_path / "bare", ("factors", "direction", "scores", "selection", "data"))
    assert "run `ifcurate fit` with this --out first" in command("direct", bare).error
    assert f"run `ifcurate direct {bare}` first" in command("score", bare).error
    assert f"run `ifcurate score {bare}` first" in command("select", bare).error
    assert "run `ifcurate select`" in command("write", bare).error
    assert not any((bare / folder).exists() for folder in ("factors", "direction", "selection", "data"))


def test_a_lost_score_file_is_named(finished: Run, tmp_path: Path, command: Command) -> None:
    folder = copied(finished, tmp_path / "copy", ("data",))
    lost = folder / "scores/part-000.parquet"
    lost.unlink()
    assert f"{lost}: this score file is missing" in command("select", folder, "--budget", "1%").error
    lost.write_bytes((finished.scores / lost.name).read_bytes()[:-9])
    assert f"{lost}: cannot be read as" in command("select", folder, "--budget", "1%").error


def test_scoring_goes_on_with_the_engine_and_dtype_it_began_with(
    finished: Run, tmp_path: Path, command: Command
) -> None:
    """As where a run was begun on a GPU, in bfloat16, and goes on on a CPU, where `auto` would be float32."""
    folder = copied(finished, tmp_path / "copy", ("data", "selection"))
    run = open_run(str(folder))[0]
    begun = json.loads(run.engine.read_text())
    assert begun["dtype"] == "float32"
    run.engine.write_text(json.dumps({**begun, "engine": "jvp", "steps": [], "dtype": "bfloat16"}))
    rest = run.scores / "part-000.parquet"
    rest.unlink()
    done = command("score", folder)
    assert done.code == 0, done.err
    metadata = metadata_of_file(pq.read_metadata(rest))
    assert (metadata["engine"], metadata["dtype"]) == ("jvp", "bfloat16")
    found, exact = (
        np.concatenate(pq.read_table(file)["toxic_influence"].to_pylist())
        for file in (rest, finished.scores / rest.name)
    )
    assert 1e-3 < np.linalg.norm(found - exact) / np.linalg.norm(exact) < 0.2  # rounded to bfloat16


@pytest.mark.parametrize("stage", ["direct", "score", "select", "write"])
def test_a_folder_that_is_no_run_is_refused(stage: str, tmp_path: Path, command: Command) -> None:
    assert f"{tmp_path}: is not a run, it has no run.yaml" in command(stage, tmp_path).error
    assert "is not a run" in command(stage, tmp_path / "nowhere").error
    assert not list(tmp_path.iterdir())


def test_what_a_stage_has_made_binds_its_settings(finished: Run, tmp_path: Path, command: Command) -> None:
    folder = copied(finished, tmp_path / "copy")
    before = (folder / "run.yaml").read_bytes()
    assert "option --damping: " in command("direct", folder, "--damping", "0.1").error
    assert "option --engine: " in command("score", folder, "--engine", "jvp").error
    assert (folder / "run.yaml").read_bytes() == before


CHANGES = [
    ("model", "model2", "fit"),
    ("seed", 1, "fit"),
    ("context", 32, "fit"),
    ("overlap", 8, "fit"),
    ("max_queries", 5, "direct"),
    ("damping", 0.5, "direct"),
    ("dtype", "float64", "score"),
    ("alignment", "position", "score"),
    ("budget", "7%", "select"),
    ("rank_by", "window", "select"),
    ("token_ids", False, "write"),
]


@pytest.mark.parametrize(("name", "value", "stage"), CHANGES)
def test_a_changed_setting_is_refused_once_it_would_mix_results(
    workshop: Workshop, finished: Run, tmp_path: Path, name: str, value: object, stage: str
) -> None:
    assert first_stage(name) == stage
    folders = {"fit": "factors", "direct": "direction", "score": "scores", "select": "selection", "write": "data"}
    later = list(folders)[list(folders).index(stage) :]
    shards = list_shards(str(workshop.root / "corpus"))
    before = copied(finished, tmp_path / "before", tuple(folders[stage] for stage in later))
    changed = workshop.config(out=before, **{name: value})
    create_run(changed, shards)
    assert open_run(str(before))[1] == changed
    for number, reached in enumerate(later):
        others = tuple(folders[stage] for stage in folders if stage != reached)
        after = copied(finished, tmp_path / f"after-{number}", others)
        with pytest.raises(InputError, match=rf"option --{name.replace('_', '-')}: .* was made with .*, not .*; give"):
            create_run(workshop.config(out=after, **{name: value}), shards)


@pytest.mark.parametrize("content", ["{", "[1]", '{"engine": "jvp"}'])
def test_a_damaged_engine_file_is_refused(finished: Run, tmp_path: Path, command: Command, content: str) -> None:
    run = Run(copied(finished, tmp_path / "copy"))
    run.engine.write_text(content)
    next(run.scores.glob("*.parquet")).unlink()
    before = sorted(run.scores.rglob("*"))
    assert f"{run.engine}: is damaged or of another version" in command("score", run.root).error
    assert sorted(run.scores.rglob("*")) == before


def test_settings_without_effect_may_change(workshop: Workshop, finished: Run, tmp_path: Path) -> None:
    folder = copied(finished, tmp_path / "moved")
    shards = list_shards(str(workshop.root / "corpus"))
    create_run(workshop.config(out=folder, workers=7), shards)
    run, config = continue_run(str(folder), "score", {"workers": 3})
    assert (run.root, config.workers) == (folder, 3)


def test_every_setting_belongs_to_a_stage() -> None:
    assert {first_stage(name) for name in RunConfig.model_fields} == {"fit", "direct", "score", "select", "write"}


def test_another_corpus_is_refused(workshop: Workshop, finished: Run, tmp_path: Path) -> None:
    folder = copied(finished, tmp_path / "copy")
    other = write_shards(tmp_path / "corpus", [["One.", "Two."]] * 4)
    for corpus in (other, other / "part-000.parquet"):
        with pytest.raises(InputError, match=r"copy was made from 4 shards of .*corpus, and .* has none of them"):
            create_run(workshop.config(out=folder, corpus=corpus), list_shards(str(corpus)))
    assert contents(folder) == contents(finished)


@pytest.mark.parametrize("words", [("select",), ("write", "--no-token-ids"), ("score",), ("direct",)])
def test_a_stage_of_a_run_that_another_command_writes_is_refused(
    words: tuple[str, ...], finished: Run, tmp_path: Path, command: Command
) -> None:
    folder = copied(finished, tmp_path / "copy")
    first = Holder("elsewhere", 7, "", "ifcurate annotate", "yesterday", "")
    lock = tmp_path / ".copy.ifcurate.lock"
    lock.write_text(json.dumps(vars(first)))
    before = contents(folder)
    assert "written by `ifcurate annotate`, process 7 on elsewhere" in command(words[0], folder, *words[1:]).error
    assert contents(folder) == before
    lock.unlink()


def test_tau_is_said_by_a_quantile_or_by_itself(finished: Run, tmp_path: Path, command: Command) -> None:
    folder = copied(finished, tmp_path / "copy")
    for option, value, said in (("quantile", 0.9, (0.9, None)), ("threshold", 0.25, (0.99, 0.25))):
        assert command("select", folder, f"--{option}", str(value)).code == 0
        config = open_run(str(folder))[1]
        assert (config.quantile, config.threshold) == said
    assert "leave one of them out" in command("select", folder, "--threshold", "1", "--quantile", "0.9").error
    assert command("select", folder, "--quantile", "0.8").code == 0
    assert open_run(str(folder))[1].threshold is None
