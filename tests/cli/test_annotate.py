"""The main recipe: what comes out, and that the same settings give the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from commands import Command, ifcurate_command
from corpora import typed_table, write_rows
from hub_server import environment_of, hub_server, repository_of
from runs import Workshop, contents, rows_of, texts, write_shards

from ifcurate.annotation.reader import AnnotatedCorpus
from ifcurate.annotation.schema import annotation_fields
from ifcurate.config import build
from ifcurate.corpus.parquet import metadata_of
from ifcurate.errors import InputError
from ifcurate.influence.direction import load_direction, save_direction
from ifcurate.model.checkpoints import load_tokenizer
from ifcurate.pipelines.annotate import annotate
from ifcurate.pipelines.corpus_record import present_shards
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.select import select
from ifcurate.pipelines.write import write
from ifcurate.selection.scores import TOKEN_IDS
from ifcurate.selection.table import Selection

ADDED = [TOKEN_IDS, *(field.name for field in annotation_fields("toxic"))]
LISTS = [TOKEN_IDS, "toxic_influence", "toxic_mask"]

LONG = "7" * 100_000
"""No pair of digits is in the tokenizer's vocabulary: as many tokens as characters."""


def names(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def test_every_column_comes_out_as_it_went_in_and_ours_are_beside_it(workshop: Workshop, finished: Run) -> None:
    assert names(finished.data) == names(workshop.root / "corpus") == [f"part-{n:03d}.parquet" for n in range(4)]
    for name in names(finished.data):
        given, written = pq.read_table(workshop.root / "corpus" / name), pq.read_table(finished.data / name)
        assert written.select(given.column_names).equals(given)
        assert written.column_names == given.column_names + ADDED
        assert written.schema.metadata[b"origin"] == b"generated"
        assert [written.schema.field(field.name).type for field in annotation_fields("toxic")] == [
            field.type for field in annotation_fields("toxic")
        ]


def test_every_token_has_one_finite_score(workshop: Workshop, finished: Run) -> None:
    tokenizer = load_tokenizer(str(workshop.root / "model"))
    rows = rows_of(finished.data)
    assert sum(not row["text"] for row in rows) > 3
    for row in rows:
        assert row[TOKEN_IDS] == tokenizer(row["text"], add_special_tokens=False)["input_ids"]
        assert {len(row[name]) for name in LISTS} == {len(row[TOKEN_IDS])}
        assert np.isfinite(row["toxic_influence"]).all()
    selection = Selection.load(finished.selection, "toxic")
    assert selection.documents == len(rows)
    assert selection.tokens == sum(len(row[TOKEN_IDS]) for row in rows)
    assert selection.tokens_selected == sum(sum(row["toxic_mask"]) for row in rows) == selection.tokens // 20


def test_the_schema_says_how_the_columns_were_made(workshop: Workshop, finished: Run) -> None:
    told = metadata_of(pq.read_schema(finished.data / "part-002.parquet"))["toxic"]
    assert told["model"] == str(workshop.root / "model")
    assert told["alignment"] == "label"
    assert (told["engine"], told["dtype"]) == ("finite-difference", "float32")
    assert told["context"] == 64
    assert told["quantile"] == 0.9
    assert told["budget"] == "5%"
    assert len(told["direction_hash"]) == len(told["tokenizer_hash"]) == 64


@pytest.mark.slow
def test_a_run_file_replays_the_run_byte_for_byte(finished: Run, tmp_path: Path) -> None:
    replayed = annotate(build(RunConfig, {"out": str(tmp_path / "again")}, finished.file)).run
    assert contents(replayed) == contents(finished)


@pytest.mark.slow
def test_the_number_of_workers_leaves_no_trace(workshop: Workshop, finished: Run, tmp_path: Path) -> None:
    assert contents(workshop.annotate(out=tmp_path / "run", workers=3)) == contents(finished)


def test_a_finished_run_is_left_alone(workshop: Workshop, finished: Run) -> None:
    before = {name: (finished.root / name).stat().st_mtime_ns for name in contents(finished)}
    workshop.annotate(workers=2)
    assert {name: (finished.root / name).stat().st_mtime_ns for name in contents(finished)} == before


def test_scores_hardly_depend_on_how_the_corpus_is_cut(workshop: Workshop, finished: Run, tmp_path: Path) -> None:
    documents = [row["text"] for row in rows_of(finished.data)]
    corpus = write_shards(tmp_path / "corpus", [documents[:5], documents[5:6], documents[6:]])
    published = finished.direction("toxic")
    cut = workshop.annotate(corpus=corpus, direction=published, out=tmp_path / "run")
    for row, same in zip(rows_of(cut.data), rows_of(finished.data), strict=True):
        assert [row[name] for name in ("id", TOKEN_IDS)] == [same[name] for name in ("id", TOKEN_IDS)]
        ours, theirs = np.array(row["toxic_influence"]), np.array(same["toxic_influence"])
        assert np.linalg.norm(ours - theirs) <= 2e-3 * np.linalg.norm(theirs)


def test_whatever_text_there_is_gets_through(workshop: Workshop, finished: Run, tmp_path: Path) -> None:
    odd = ["", "x", "\x00\x1b\x7f\r\n\u2028\ufeff", "👩‍👩‍👧‍👦 ñ e\u0301 \U0001f600", LONG, " ", "é"]
    rows = [{"text": text, "meta": {"deep": [{"n": number}]}} for number, text in enumerate(odd)]
    corpus = tmp_path / "corpus"
    write_rows(corpus / "sub" / "a.jsonl.gz", rows)
    write_rows(corpus / "sub" / "b.jsonl.zst", rows[:1])
    write_rows(corpus / "sub.jsonl", [{"id": 7, **row} for row in rows[:1]])
    write_rows(corpus / "empty.jsonl", [])
    pq.write_table(typed_table(), corpus / "typed.parquet")
    run = workshop.annotate(
        corpus=f"file://{corpus}",
        direction=finished.direction("toxic"),
        out=tmp_path / "run",
        budget="100",
        output_format="parquet",
    )
    assert names(run.data) == ["empty.parquet", "sub.parquet", "sub/a.parquet", "sub/b.parquet", "typed.parquet"]
    annotated = pq.read_table(run.data / "sub/a.parquet").to_pylist()
    assert [row["text"] for row in annotated] == odd
    assert [row["meta"] for row in annotated] == [row["meta"] for row in rows]
    assert len(annotated[odd.index(LONG)]["toxic_influence"]) == 100_000
    assert all({len(row[name]) for name in LISTS} == {len(row[TOKEN_IDS])} for row in annotated)
    assert [annotated[0][name] for name in LISTS] == [[], [], []]
    typed = pq.read_table(run.data / "typed.parquet")
    assert typed.select(typed_table().column_names).equals(typed_table())
    ids = {row["id"] for row in rows_of(run.scores)}
    assert ids == {"7", *(f"sub/a:{row}" for row in range(7)), "sub/b:0", *(f"typed:{row}" for row in range(3))}


def test_json_lines_stay_lines(workshop: Workshop, finished: Run, tmp_path: Path) -> None:
    """The same annotations as in Parquet; train and export read either; another selection writes them anew."""
    corpus, parquet = tmp_path / "corpus", tmp_path / "parquet"
    rows = [{"text": text, "odd": [1, "x"]} for text in texts(30, seed=3)]
    write_rows(corpus / "a.jsonl", rows)
    write_rows(corpus / "sub" / "b.jsonl.gz", rows[:10])
    write_rows(parquet / "a.parquet", [{"text": row["text"]} for row in rows])
    options = {"direction": finished.direction("toxic"), "budget": "50"}
    run = workshop.annotate(corpus=corpus, out=tmp_path / "run", **options)
    assert names(run.data) == ["_ifcurate.json", "a.jsonl", "sub/b.jsonl.gz"]
    lines = (run.data / "a.jsonl").read_text().splitlines()
    for before, after in zip((corpus / "a.jsonl").read_text().splitlines(), lines, strict=True):
        assert after.startswith(before[:-1] + ", ")
    as_parquet = workshop.annotate(corpus=parquet, out=tmp_path / "run2", **options)
    table = pq.read_table(as_parquet.data / "a.parquet")
    influence = [np.float32(json.loads(line)["toxic_influence"]).tolist() for line in lines]
    assert influence == table["toxic_influence"].to_pylist()
    tokenizer = load_tokenizer(str(workshop.root / "model"))
    read = AnnotatedCorpus(str(run.root), ["toxic"], tokenizer)
    assert sum(int(document.marks.sum()) for document in read.documents()) == 50
    assert read.counts["toxic"].annotated_marked == 50
    before = (run.data / "a.jsonl").read_bytes()
    again = workshop.config(corpus=corpus, out=tmp_path / "run", **options)
    write(run, again, present_shards(run))
    assert (run.data / "a.jsonl").read_bytes() == before
    other = again.model_copy(update={"budget": "20"})
    select(run, other, present_shards(run))
    write(run, other, present_shards(run))
    assert (run.data / "a.jsonl").read_bytes() != before
    assert AnnotatedCorpus(str(run.root), ["toxic"], tokenizer).source == str(run.root)
    with pytest.raises(InputError, match=r"a.jsonl, line 1: column 'odd\[\]' holds a string where"):
        workshop.annotate(corpus=corpus, out=tmp_path / "run3", output_format="parquet", **options)


@pytest.mark.parametrize("output_format", ["same", "parquet"])
def test_a_second_behaviour_over_lines_keeps_what_is_said_of_the_first(
    output_format: str, workshop: Workshop, finished: Run, tmp_path: Path
) -> None:
    write_rows(tmp_path / "corpus/a.jsonl", [{"text": text} for text in texts(20, seed=3)])
    given = {"direction": finished.direction("toxic"), "budget": "50", "with_loss": True}
    first = workshop.annotate(corpus=tmp_path / "corpus", out=tmp_path / "first", **given)
    said = json.loads((first.data / "_ifcurate.json").read_text())
    rude = load_direction(finished.direction("toxic"))
    renamed = replace(rude, provenance={**rude.provenance, "behaviour": "rude"})
    save_direction(renamed, tmp_path / "rude.safetensors")
    given |= {"direction": tmp_path / "rude.safetensors", "behaviour": "rude", "output_format": output_format}
    second = workshop.annotate(corpus=first.data, out=tmp_path / "second", **given)
    if output_format == "parquet":
        both = metadata_of(pq.read_schema(second.data / "a.parquet"), second.data / "a.parquet")
    else:
        both = json.loads((second.data / "_ifcurate.json").read_text())
        (second.data / "_ifcurate.json").write_text("{")  # a damaged one is written anew
        workshop.annotate(corpus=first.data, out=tmp_path / "second", **given)
        assert json.loads((second.data / "_ifcurate.json").read_text()) == both
    assert set(both) == {"toxic", "rude"}
    assert both["toxic"] == said["toxic"]
    tokenizer = load_tokenizer(str(workshop.root / "model"))
    read = AnnotatedCorpus(str(second.root), ["toxic", "rude"], tokenizer)
    marks = np.concatenate([document.marks for document in read.documents()])
    assert [int((marks >> bit & 1).sum()) for bit in (0, 1)] == [50, 50]


def test_shards_of_one_token_documents(workshop: Workshop, finished: Run, tmp_path: Path) -> None:
    corpus = write_shards(tmp_path / "corpus", [["a", "b", "", "c"]])
    run = workshop.annotate(corpus=corpus, direction=finished.direction("toxic"), out=tmp_path / "run", budget="1")
    assert [len(row["toxic_influence"]) for row in rows_of(run.data)] == [1, 1, 0, 1]


def test_a_shard_that_lost_rows_is_noticed_in_the_end(workshop: Workshop, finished: Run, tmp_path: Path) -> None:
    run = workshop.annotate(direction=finished.direction("toxic"), out=tmp_path / "run")
    file = run.data / "part-001.parquet"
    pq.write_table(pq.read_table(file).slice(1), file)
    with pytest.raises(InputError, match="holds 59 documents where 60 were selected from"):
        workshop.annotate(direction=finished.direction("toxic"), out=tmp_path / "run")


def test_options_and_a_file_of_them_are_the_same(
    workshop: Workshop, finished: Run, tmp_path: Path, command: Command
) -> None:
    settings = workshop.settings(out=tmp_path / "run", direction=finished.direction("toxic"))
    file = tmp_path / "settings.yaml"
    file.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in settings.items()))
    done = command("annotate", "--config", file)
    assert done.code == 0, done.err
    selection = Selection.load(finished.selection, "toxic")
    assert f"{selection.documents} documents, {selection.tokens:,} tokens; tau = " in done.out
    assert f"selected {selection.tokens_selected} tokens" in done.out
    for stage in ("direct", "score", "select", "write"):
        assert f"\n{stage} " in done.out
    assert str(tmp_path / "run" / "data") in done.out
    assert (
        contents(tmp_path / "run", ["scores", "selection"]).keys() == contents(finished, ["scores", "selection"]).keys()
    )


def test_a_split_of_a_data_set_on_the_hub_is_annotated(workshop: Workshop, finished: Run, tmp_path: Path) -> None:
    """The command as a user types it: an id, a configuration and a split."""
    rows = texts(12)
    for split, part in {"train": rows[:4], "test": rows[4:]}.items():
        write_rows(tmp_path / "set" / "data" / f"{split}-0.parquet", [{"text": text, "n": 1} for text in part])
    card = "---\nconfigs:\n- config_name: plain\n  data_files:\n"
    card += "".join(f"  - split: {split}\n    path: data/{split}-*\n" for split in ("train", "test"))
    (tmp_path / "set" / "README.md").write_text(card + "---\n")
    direction, model = finished.direction("toxic"), workshop.root / "model"
    words = ["annotate", "acme/corpus", "--subset", "plain", "--split", "test", "--limit", "5", "--model", model]
    with hub_server() as hub:
        hub.repositories["datasets/acme/corpus"] = repository_of(tmp_path / "set")
        told = {**os.environ, **environment_of(hub, tmp_path / "home"), "OMP_NUM_THREADS": "1"}
        command = ifcurate_command(*words, "--direction", direction, "--out", tmp_path / "run")
        done = subprocess.run(command, env=told, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "run" / "data").rglob("*.parquet")
    assert pq.read_table(file, columns=["text"])["text"].to_pylist() == rows[4:9]
    assert pq.read_schema(file).names == ["text", "n", *ADDED]
