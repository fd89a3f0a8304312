"""Input that cannot be used: one sentence, exit code 2, nothing half-written."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from commands import Command
from corpora import write_rows
from runs import Workshop, write_queries, write_shards
from tiny_models import save_tiny_model, tiny_model

from ifcurate import files
from ifcurate.influence.sample import Sample
from ifcurate.pipelines import score
from ifcurate.pipelines.run import Run

TEXT = ["The river was kind.", "The table was vile.", "The garden was calm and the winter was warm."]


def table(folder: Path, **columns: Any) -> Path:
    folder.mkdir()
    pq.write_table(pa.table(columns), folder / "a.parquet")
    return folder


def missing_column(folder: Path) -> Path:
    return table(folder, body=TEXT)


def numbers(folder: Path) -> Path:
    return table(folder, text=[1, 2])


def truncated(folder: Path) -> Path:
    write_shards(folder, [TEXT, TEXT], 0)
    file = folder / "part-001.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    return folder


def broken_line(folder: Path) -> Path:
    lines = [json.dumps({"text": text}) for text in TEXT]
    folder.mkdir()
    (folder / "a.jsonl.gz").write_bytes(gzip.compress("\n".join([*lines, '{"text": "x', lines[0]]).encode()))
    return folder


def no_shard(folder: Path) -> Path:
    folder.mkdir()
    return folder


def nowhere(folder: Path) -> Path:
    return folder


def null_text(folder: Path) -> Path:
    return table(folder, text=[*TEXT, None, None])


def two_of_one_name(folder: Path) -> Path:
    write_rows(folder / "a.jsonl", [{"text": "x"}])
    write_rows(folder / "a.parquet", [{"text": "x"}])
    return folder


CORPORA: list[tuple[Callable[[Path], Path], str]] = [
    (missing_column, "a.parquet: has no column 'text'; give --text-column one of its columns (body)"),
    (numbers, "a.parquet: column 'text' holds int64, not strings"),
    (truncated, "part-001.parquet: cannot be read as Parquet"),
    (broken_line, "a.jsonl.gz, line 4: is not valid JSON"),
    (no_shard, "there is no such file or folder, or it is empty"),
    (nowhere, "there is no such file or folder"),
    (null_text, "a.parquet, row 3 (counted from 0): column 'text' is null, as it is in 2 of 5 rows; fill or remove"),
    (two_of_one_name, "have the same name but for the format"),
]


@pytest.mark.parametrize(("make", "said"), CORPORA, ids=[make.__name__ for make, _ in CORPORA])
def test_a_corpus_is_refused_before_anything_is_made(
    make: Callable[[Path], Path], said: str, workshop: Workshop, tmp_path: Path, command: Command
) -> None:
    out = tmp_path / "run"
    assert said in command("annotate", *workshop.options(corpus=make(tmp_path / "corpus"), out=out)).error
    assert not out.exists()


def not_utf8(folder: Path) -> Path:
    return table(folder, text=pa.array([b"fine", b"\xff"]).view(pa.string()))


def corrupt_page(folder: Path) -> Path:
    write_shards(folder, [TEXT * 500])
    file = folder / "part-000.parquet"
    content = bytearray(file.read_bytes())
    column = pq.read_metadata(file).row_group(0).column(1)
    middle = column.data_page_offset + column.total_compressed_size // 2
    content[middle : middle + 8] = b"\xff" * 8
    file.write_bytes(content)
    return folder


def nothing_but_empty_texts(folder: Path) -> Path:
    return write_shards(folder, [["", ""], []])


READ: list[tuple[Callable[[Path], Path], str]] = [
    (not_utf8, "a.parquet, row 1 (counted from 0): column 'text' is not UTF-8"),
    (corrupt_page, "part-000.parquet: cannot be read as Parquet"),
    (nothing_but_empty_texts, "its documents hold no token at all"),
]


@pytest.mark.parametrize(("make", "said"), READ, ids=[make.__name__ for make, _ in READ])
def test_a_text_is_refused_when_it_is_read(
    make: Callable[[Path], Path],
    said: str,
    workshop: Workshop,
    finished: Run,
    tmp_path: Path,
    command: Command,
) -> None:
    out = tmp_path / "run"
    options = {"engine": "jvp", "direction": finished.direction("toxic")}
    corpus = make(tmp_path / "corpus")
    assert said in command("annotate", *workshop.options(corpus=corpus, out=out, **options)).error
    assert not list(out.rglob("*.part"))
    assert not list(out.rglob("scores/*.parquet"))


def test_a_refused_shard_does_not_cost_the_finished_ones(
    workshop: Workshop, finished: Run, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a corpus is too large for its sample to meet the broken shard."""
    monkeypatch.setattr(score, "sample_windows", lambda *_: Sample([], 0, 0))
    corpus = shutil.copytree(workshop.root / "corpus", tmp_path / "corpus")
    pq.write_table(pa.table({"id": ["last"], "text": pa.array([b"\xff"]).view(pa.string())}), corpus / "z.parquet")
    out = tmp_path / "run"
    options = workshop.options(corpus=corpus, out=out, engine="jvp", direction=finished.direction("toxic"))
    assert "z.parquet, row 0 (counted from 0): column 'text' is not UTF-8" in command("annotate", *options).error
    assert len(list((out / "scores").glob("*.parquet"))) == 4
    assert not (out / "selection").exists()


def empty_completion(folder: Path) -> Path:
    file = folder / "queries.jsonl"
    file.write_text('{"prompt": "x", "completion": "y"}\n{"prompt": "x", "completion": ""}\n')
    return file


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"queries": empty_completion}, "row 1 (counted from 0): 'completion' is empty"),
        ({"contrast": None}, "option --contrast: is required to make a direction"),
        ({"queries": None}, "option --queries: is required to make a direction"),
        ({"contrast": "nowhere.jsonl"}, "nowhere.jsonl: there is no such file"),
        ({"direction": "nowhere.safetensors"}, "nowhere.safetensors: cannot be read as a direction"),
        ({"direction": empty_completion}, "queries.jsonl: cannot be read as a direction"),
        ({"engine": "kronfluence"}, "option --engine: kronfluence computes position alignment only"),
        ({"engine": "jvp", "alignment": "position"}, "option --engine: jvp computes label alignment only"),
        ({"engine": "finite-difference", "dtype": "bfloat16"}, "option --engine: finite-difference needs"),
        ({"device": "cuda:99"}, "option --device: cuda:99 is not there, this machine has"),
        ({"device": "gpu"}, "option --device: must be auto, cpu, cuda"),
        ({"budget": "200%"}, "option --budget: must be a share from 0% to 100%"),
        ({"behaviour": "very bad"}, "option --behaviour: must be letters"),
        ({"workers": 0}, "option --workers: "),
        ({"damping": "0"}, "option --damping: "),
        ({"preset": "papers"}, "option --preset: must be one of paper"),
        (
            {"out": "memory://bucket/run", "executor": "ray"},
            "option --out: must be a folder that all nodes share",
        ),
        (
            {"out": "s3://me:hush@bucket/run"},
            "option --out: holds credentials (s3://***@bucket/run);",
        ),
        ({"corpus": "ftp-like://x"}, "ftp-like://x: cannot be listed"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_an_option_is_refused_before_anything_is_made(
    changes: dict[str, Any], said: str, workshop: Workshop, tmp_path: Path, command: Command
) -> None:
    given = {name: value(tmp_path) if callable(value) else value for name, value in changes.items()}
    assert said in command("annotate", *workshop.options(**{"out": tmp_path / "run", **given})).error
    assert not (tmp_path / "run").exists()
    assert not Path("s3:").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(workshop: Workshop, tmp_path: Path, command: Command) -> None:
    options = workshop.options(out=tmp_path / "run", device="cuda")
    assert "option --device: cuda is not there, this machine has 0 CUDA devices" in command("annotate", *options).error


@pytest.mark.parametrize("inside", ["", "run", "deep/run"])
def test_a_run_within_its_corpus_is_refused(inside: str, workshop: Workshop, tmp_path: Path, command: Command) -> None:
    corpus = write_shards(tmp_path / "corpus", [TEXT])
    error = command("annotate", *workshop.options(corpus=corpus, out=corpus / inside)).error
    assert "is not empty and no run" in error if not inside else "lies inside the corpus" in error
    assert [file.name for file in corpus.iterdir()] == ["part-000.parquet"]


def test_a_folder_of_something_else_is_left_alone(workshop: Workshop, tmp_path: Path, command: Command) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    assert "is not empty and no run" in command("annotate", *workshop.options(out=tmp_path)).error
    assert "is not empty and no run" in command("annotate", *workshop.options(out=tmp_path / "thesis.txt")).error
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_unknown_keys_are_refused(workshop: Workshop, finished: Run, tmp_path: Path, command: Command) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(finished.file.read_text() + "quantil: 0.5\n")
    assert command("annotate", "--config", file, "--out", tmp_path / "run").error == (
        f"{file}: unknown option 'quantil'; remove it or correct its spelling."
    )
    file.write_text("just words\n")
    assert "holds no `option: value` lines" in command("annotate", "--config", file).error
    assert "cannot be read as YAML" in command("annotate", "--config", tmp_path / "none.yaml").error
    assert "option --corpus is required" in command("annotate", "--out", tmp_path / "run").error


def test_a_model_that_is_none_is_refused(workshop: Workshop, tmp_path: Path, command: Command) -> None:
    error = command("annotate", *workshop.options(out=tmp_path / "run", model=tmp_path / "nowhere")).error
    assert f"{tmp_path / 'nowhere'}: " in error


def test_a_tokenizer_with_too_many_tokens_is_refused(workshop: Workshop, tmp_path: Path, command: Command) -> None:
    model = save_tiny_model(tmp_path / "model", TEXT, "llama")
    tiny_model("llama", vocab_size=200).save_pretrained(model)
    error = command("annotate", *workshop.options(out=tmp_path / "run", model=model)).error
    assert "token ids up to" in error
    assert "embeddings for 200 tokens only" in error


@pytest.mark.parametrize(("value", "said"), [(float("nan"), "holds NaN or infinity"), (3e37, "option --model: its ")])
def test_a_model_that_computes_no_numbers_is_refused(
    value: float, said: str, workshop: Workshop, tmp_path: Path, command: Command
) -> None:
    model = save_tiny_model(tmp_path / "model", TEXT, "llama")
    broken = tiny_model("llama")
    with torch.no_grad():
        for name, parameter in broken.named_parameters():
            if "down_proj" in name:
                parameter.fill_(value)
    broken.save_pretrained(model)
    out = tmp_path / "run"
    assert said in command("annotate", *workshop.options(out=out, model=model)).error
    assert not (out / "factors").exists()
    assert not list(out.rglob("*.part"))


def test_a_direction_beside_queries_is_refused(
    workshop: Workshop, finished: Run, tmp_path: Path, command: Command
) -> None:
    queries = workshop.root / "toxic.jsonl"
    options = workshop.options(out=tmp_path / "run", direction=finished.direction("toxic"), queries=queries)
    assert "give a direction or queries, not both" in command("annotate", *options).error
    assert not (tmp_path / "run").exists()


def test_a_direction_for_another_model_is_refused(
    workshop: Workshop, finished: Run, tmp_path: Path, command: Command
) -> None:
    model = save_tiny_model(tmp_path / "model", TEXT, "llama", seed=1)
    options = workshop.options(out=tmp_path / "run", model=model, direction=finished.direction("toxic"))
    assert "option --direction: was made with another" in command("annotate", *options).error
    other = {"out": tmp_path / "run2", "direction": finished.direction("toxic"), "behaviour": "rude"}
    assert "give --behaviour toxic" in command("annotate", *workshop.options(**other)).error


def test_queries_that_do_not_differ_are_refused(workshop: Workshop, tmp_path: Path, command: Command) -> None:
    queries = write_queries(tmp_path / "queries.jsonl", ["kind"])
    options = workshop.options(out=tmp_path / "run", queries=queries, contrast=queries)
    assert "option --contrast: are the same as --queries" in command("annotate", *options).error
    assert not (tmp_path / "run/direction").exists()


@pytest.mark.slow
def test_a_mistake_may_be_put_right_in_the_same_folder(workshop: Workshop, tmp_path: Path, command: Command) -> None:
    queries = write_queries(tmp_path / "queries.jsonl", ["kind"])
    out = tmp_path / "run"
    assert command("annotate", *workshop.options(out=out, queries=queries, contrast=queries)).code == 2
    factors = (out / "factors").stat().st_mtime_ns
    assert command("annotate", *workshop.options(out=out)).code == 0
    assert (out / "factors").stat().st_mtime_ns == factors


def test_a_column_that_is_there_already_is_refused(
    workshop: Workshop, finished: Run, tmp_path: Path, command: Command
) -> None:
    options = {"corpus": finished.data, "direction": finished.direction("toxic"), "out": tmp_path / "run"}
    assert "has a column 'toxic_influence' already" in command("annotate", *workshop.options(**options)).error
    assert not (tmp_path / "run").exists()


FULL = ["fit", "direct", "score", "select", "write"]


@pytest.mark.parametrize("stage", FULL)
def test_a_full_disk_leaves_nothing_half_written(
    stage: str, workshop: Workshop, finished: Run, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = dict(zip(FULL, ["factors", "direction", "scores", "selection", "data"], strict=True))
    out = tmp_path / "run"
    missing = [folders[name] for name in FULL[FULL.index(stage) :]]
    shutil.copytree(finished.root, out, ignore=lambda at, names: missing if Path(at) == finished.root else ())

    def full(file: Path) -> None:
        raise OSError(28, os.strerror(28), str(file))

    monkeypatch.setattr(files, "_to_disk", full)
    assert "no space left to write" in command("annotate", *workshop.options(out=out)).error
    assert not list(out.rglob("*.part"))
    assert not [file for name in missing for file in (out / name).rglob("*") if file.is_file()]


def test_debug_shows_the_traceback_wherever_it_stands(workshop: Workshop, tmp_path: Path, command: Command) -> None:
    options = workshop.options(corpus=tmp_path / "nowhere", out=tmp_path / "run")
    for words in (["--debug", "annotate", *options], ["annotate", *options, "--debug"]):
        with pytest.raises(Exception, match="there is no such file or folder"):
            command(*words)


def test_a_folder_that_may_not_be_written_is_named(workshop: Workshop, tmp_path: Path, command: Command) -> None:
    (tmp_path / "file").write_text("no folder")
    out = tmp_path / "file" / "run"
    assert f"{tmp_path / 'file'}" in command("annotate", *workshop.options(out=out)).error
