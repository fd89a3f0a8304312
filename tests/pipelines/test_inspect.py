"""`ifcurate inspect`: what is shown is what the run's columns hold, and a text is scored as a corpus is."""

from __future__ import annotations

import io
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from commands import Command
from runs import RUDE, Workshop, write_shards

from ifcurate.config import build
from ifcurate.errors import InputError
from ifcurate.influence.direction import Direction, load_direction, save_direction
from ifcurate.pipelines.inspect import inspect
from ifcurate.pipelines.inspect_config import TOP, InspectConfig
from ifcurate.pipelines.run import Run
from ifcurate.report.scored_text import Inspection

Rows = list[dict[str, Any]]


def ask(run: Run | Path | None = None, **given: Any) -> Inspection:
    root = run.root if isinstance(run, Run) else run
    asked = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    return inspect(build(InspectConfig, {"run": None if root is None else str(root), **asked}))


def refusal(run: Run | Path | None = None, **given: Any) -> str:
    with pytest.raises(InputError) as refused:
        ask(run, **given)
    return str(refused.value)


def copy(run: Run, out: Path, *without: str) -> Path:
    """A run without some of its folders."""
    return Path(shutil.copytree(run.root, out, ignore=shutil.ignore_patterns(*without)))


@pytest.fixture(scope="module")
def rows(finished: Run) -> Rows:
    """Every annotated document with its shard and its row there."""
    return [
        {**row, "shard": file.stem, "row": number}
        for file in sorted(finished.data.glob("*.parquet"))
        for number, row in enumerate(pq.read_table(file).to_pylist())
    ]


def heading(row: dict[str, Any]) -> tuple[str, ...]:
    selected, tokens = sum(row["toxic_mask"]), len(row["toxic_mask"])
    return (
        f"id {row['id']}",
        f"{row['shard']}, row {row['row']}",
        f"rank {row['toxic_rank']:.4f}",
        f"score {row['toxic_score']:.4g}",
        f"{selected:,} of {tokens:,} tokens selected",
    )


def assert_shown(found: Inspection, rows: Sequence[dict[str, Any]]) -> None:
    assert [text.heading for text in found.texts] == [heading(row) for row in rows]
    for text, row in zip(found.texts, rows, strict=True):
        assert text.text == row["text"]
        assert text.scored.influence.tolist() == row["toxic_influence"]
        assert text.selected is not None and text.selected.tolist() == row["toxic_mask"]


def by_rank(rows: Rows) -> Rows:
    return sorted(rows, key=lambda row: -row["toxic_rank"])


def test_the_highest_documents_are_shown_where_nothing_is_asked(finished: Run, rows: Rows) -> None:
    found = ask(finished)
    assert_shown(found, by_rank(rows)[:TOP])
    assert any(text.selected is not None and text.selected.any() for text in found.texts)
    assert (found.behaviour, found.darkest, found.note) == ("toxic", found.tau, None)
    assert_shown(ask(finished, top=2), by_rank(rows)[:2])


def test_a_document_is_found_by_id_and_by_row(finished: Run, rows: Rows) -> None:
    assert_shown(ask(finished, document="d31"), [row for row in rows if row["id"] == "d31"])
    assert_shown(ask(finished, row="part-003:4"), [r for r in rows if (r["shard"], r["row"]) == ("part-003", 4)])


def test_grep_finds_documents_in_either_case_from_the_highest_rank_down(finished: Run, rows: Rows) -> None:
    holding = [row for row in by_rank(rows) if RUDE[0] in row["text"]]
    assert len(holding) > 1
    found = ask(finished, grep=RUDE[0].upper(), top=1)
    assert_shown(found, holding[:1])
    assert found.note == (
        f"documents that contain {RUDE[0].upper()!r}: {len(holding)}; shown: 1, from the highest rank down"
    )


def test_a_run_before_write_reads_the_corpus(workshop: Workshop, finished: Run, tmp_path: Path, rows: Rows) -> None:
    run = copy(finished, tmp_path / "run", "data")
    assert_shown(ask(run), by_rank(rows)[:TOP])
    moved = shutil.copytree(workshop.root / "corpus", tmp_path / "moved [1]")
    assert_shown(ask(run, corpus=moved, row="part-000:3"), [rows[3]])
    write_shards(moved, [["another text"] * 30, ["x"] * 20, [], ["y"] * 10])
    assert refusal(run, corpus=moved, row="part-000:3").endswith(
        f"part-000.parquet: has changed since it was scored; run `ifcurate score {run}` first."
    )


def test_a_run_before_select_shows_what_is_named(finished: Run, tmp_path: Path, rows: Rows) -> None:
    run = copy(finished, tmp_path / "run", "data", "selection")
    [text] = ask(run, row="part-000:3").texts
    tokens = len(rows[3]["toxic_influence"])
    assert text.heading == ("id d3", "part-000, row 3", f"{tokens} tokens, nothing selected yet")
    assert (text.text, text.selected) == (rows[3]["text"], None)
    found = ask(run, grep=RUDE[0])
    holding = [f"id {row['id']}" for row in rows if RUDE[0] in row["text"]]
    assert [text.heading[0] for text in found.texts] == holding[:TOP]
    assert str(found.note).endswith("in the order of the corpus")
    assert refusal(run) == (
        f"{run}: its documents are not ranked yet; run `ifcurate select {run}`, or name them with --document, --row "
        "or --grep."
    )


def test_what_a_run_lacks_is_said(finished: Run, tmp_path: Path) -> None:
    run = copy(finished, tmp_path / "run", "part-001.parquet")
    assert refusal(run) == f"{run}: shards not scored yet: 1; run `ifcurate score {run}` first."
    assert "is not a run" in refusal(tmp_path)


def test_a_selection_of_other_settings_is_refused(finished: Run, tmp_path: Path) -> None:
    run = copy(finished, tmp_path / "run")
    text = (run / "run.yaml").read_text(encoding="utf-8")
    (run / "run.yaml").write_text(text.replace("quantile: 0.9\n", "quantile: 0.8\n"), encoding="utf-8")
    assert refusal(run).endswith(f"was made of other scores or settings; run `ifcurate select {run}` first.")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"document": "d99"}, "has no document with the id 'd99'; look for its text with --grep."),
        ({"row": "part-000"}, "option --row: 'part-000' is not SHARD:N, such as part-000:0; correct it."),
        ({"row": "part-000:30"}, "shard 'part-000' has 30 rows, counted from 0, and no row 30; give another."),
        ({"row": "part-002:0"}, "shard 'part-002' has 0 rows, counted from 0, and no row 0; give another."),
        ({"row": "x:0"}, "give one of its 4 shards: part-000, part-001, part-002, part-003."),
        ({"grep": "zebra"}, "contains 'zebra'; look for another word."),
        ({"behaviour": "rude"}, "has scores of toxic; name one of them."),
        ({"document": "d1", "grep": "a"}, "options --document, --grep: ask for different documents; give one."),
        ({"row": "part-000:0", "top": 3}, "options --row, --top: ask for different documents; give one."),
        ({"text": "a"}, "option --text: goes with --direction; leave it out, or give --direction."),
    ],
)
def test_what_is_not_there_is_refused(finished: Run, given: dict[str, Any], sentence: str) -> None:
    assert refusal(finished, **given).endswith(sentence)


def test_an_id_that_several_documents_have_names_their_rows(
    workshop: Workshop, finished: Run, tmp_path: Path, command: Command
) -> None:
    """And texts of escape sequences and markup reach the terminal as what they are."""
    corpus = write_shards(tmp_path / "corpus", [["\x1b[2J[red]vile"], ["calm and warm :smile:"]])
    for file in corpus.glob("*.parquet"):
        table = pq.read_table(file)
        pq.write_table(table.set_column(0, "id", [["same\x1b[0m"]]), file)
    direction = finished.direction("toxic")
    run = workshop.annotate(corpus=corpus, direction=direction, out=tmp_path / "run", quantile=0.5, budget="100%").root
    assert refusal(run, document="same\x1b[0m").endswith(
        "2 documents have the id 'same\\x1b[0m'; give one as --row: part-000:0, part-001:0."
    )
    shown = command("inspect", run).out
    assert r"id same\x1b[0m · part-000, row 0 · rank " in shown
    assert "\x1b" not in shown and ":smile:" in shown.replace("**", "")
    assert r"\x1b[2J[red]vile" in shown.replace("**", "")
    assert "**" in shown


def test_several_behaviours_are_told_apart(workshop: Workshop, finished: Run, tmp_path: Path) -> None:
    toxic = load_direction(finished.direction("toxic"))
    opposite = {name: -tensor for name, tensor in toxic.tensors.items()}
    calm = Direction(opposite, {**toxic.provenance, "behaviour": "calm"})
    save_direction(calm, tmp_path / "calm.safetensors")
    directions = [str(finished.direction("toxic")), str(tmp_path / "calm.safetensors")]
    run = workshop.annotate(direction=directions, out=tmp_path / "run")
    assert refusal(run) == f"option --behaviour: {run.root} has scores of calm, toxic; name one of them."
    for behaviour in ("calm", "toxic"):
        found = ask(run, behaviour=behaviour, row="part-000:3")
        row = pq.read_table(run.data / "part-000.parquet").to_pylist()[3]
        assert found.behaviour == behaviour
        assert found.texts[0].scored.influence.tolist() == row[f"{behaviour}_influence"]
        assert found.texts[0].heading[2] == f"rank {row[f'{behaviour}_rank']:.4f}"


def test_a_model_that_has_moved_is_named(workshop: Workshop, finished: Run, tmp_path: Path) -> None:
    direction = load_direction(finished.direction("toxic"))
    gone, file = str(tmp_path / "gone"), tmp_path / "toxic.safetensors"
    save_direction(Direction(direction.tensors, {**direction.provenance, "model": gone}), file)
    sentence = refusal(direction=file, text="vile")
    assert gone in sentence and sentence.endswith(f"{file} names this model, --model says where it is now.")
    assert len(ask(direction=file, text="vile", model=workshop.root / "model").texts) == 1
    save_direction(Direction(direction.tensors, {n: v for n, v in direction.provenance.items() if n != "model"}), file)
    assert refusal(direction=file, text="vile") == f"{file}: does not say where its model is; give --model."


def test_a_text_is_scored_as_its_document_was(finished: Run, rows: Rows, tmp_path: Path) -> None:
    row = max(rows, key=lambda row: len(row["text"]))
    found = ask(direction=finished.direction("toxic"), text=row["text"])
    [text] = found.texts
    scale = np.abs(row["toxic_influence"]).max()
    np.testing.assert_allclose(text.scored.influence, row["toxic_influence"], atol=0.01 * scale)
    assert (found.behaviour, found.tau, text.selected, text.text) == ("toxic", None, None, row["text"])
    assert text.heading[:2] == ("toxic influence", f"{len(row['toxic_influence'])} tokens")
    (tmp_path / "text.txt").write_text(row["text"], encoding="utf-8")
    [from_file] = ask(direction=finished.direction("toxic"), file=tmp_path / "text.txt").texts
    assert from_file.scored.influence.tolist() == text.scored.influence.tolist()


def test_standard_input_is_scored_a_line_a_token(
    finished: Run, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = "The river was vile\n\x1b[1m日本"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
    head, *lines = command("inspect", "--direction", finished.direction("toxic"), "--file", "-").out.splitlines()
    assert re.fullmatch(r"toxic influence · \d+ tokens · from \S+ to \S+ · mean \S+", head)
    assert all(re.fullmatch(r"[+-]\S+\t[^\x1b]*|", line) for line in lines)
    assert r"\x1b" in "".join(line.partition("\t")[2] for line in lines)


def test_a_terminal_gets_colours_unless_plain_is_asked(
    finished: Run, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[1;4;" in command("inspect", finished.root).out
    assert "\x1b" not in command("inspect", finished.root, "--plain").out
    monkeypatch.setenv("TERM", "dumb")
    assert "**" in command("inspect", finished.root).out


def test_what_a_text_lacks_is_said(finished: Run, tmp_path: Path) -> None:
    direction = finished.direction("toxic")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    assert refusal() == "give a RUN whose documents are shown, or --direction with --text or --file, one of the two."
    assert refusal(finished, direction=direction, text="a") == refusal()
    assert "needs a text to score" in refusal(direction=direction)
    assert "needs a text to score" in refusal(direction=direction, text="a", file="-")
    assert refusal(direction=direction, text="a", grep="b").startswith("option --grep: goes with a RUN;")
    assert refusal(direction=direction, text="") == "the text to score holds no token; give one that is not empty."
    assert "latin.txt: is not UTF-8 (" in refusal(direction=direction, file=tmp_path / "latin.txt")
    assert "none.txt: cannot be read (" in refusal(direction=direction, file=tmp_path / "none.txt")
    assert "cannot be read as a direction" in refusal(direction=tmp_path / "latin.txt", text="a")
