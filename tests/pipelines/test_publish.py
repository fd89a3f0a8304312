"""A run as a data set for the Hub: the folder that is uploaded, read as its readers read it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pandas
import polars
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from commands import Command
from datasets import Features, load_dataset
from hub_server import hub_server, make_known
from huggingface_hub import DatasetCard, DatasetCardData
from runs import Workshop, rows_of
from transformers import AutoModelForCausalLM, AutoTokenizer

from ifcurate.annotation.published import TEXT_HASH
from ifcurate.corpus.parquet import metadata_of
from ifcurate.corpus.text_hash import hash_text
from ifcurate.errors import InputError
from ifcurate.files import sha256_of
from ifcurate.influence.direction import Direction, load_direction
from ifcurate.pipelines.publish import MADE_FILE, write_dataset
from ifcurate.pipelines.publish_config import PublishConfig
from ifcurate.pipelines.run import Run

KEPT = {"id", "text", "meta", *(f"toxic_{name}" for name in ("mask", "spans", "sparsity", "score", "rank"))}
"""Columns of a corpus that annotations were attached to."""
OURS = {f"toxic_{name}" for name in ("influence", "mask", "spans", "sparsity", "score", "rank")}


def published(run: Run, out: Path, **settings: Any) -> Path:
    """The folder that `run` is published from."""
    given = {"repo": "org/name", "license": "odc-by", "language": ["en"], **settings}
    return write_dataset(PublishConfig(run=str(run.root), out=str(out), **given)).folder


@pytest.fixture(scope="module")
def folder(finished: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run with texts and figures; nobody changes it."""
    return published(finished, tmp_path_factory.mktemp("publish") / "out")


def plain(value: Any) -> Any:
    """Rows of any reader as plain lists and dicts."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return [plain(each) for each in value] if isinstance(value, list) else value


READERS: dict[str, Callable[[str], list[dict[str, Any]]]] = {
    "polars": lambda files: polars.read_parquet(files).to_dicts(),
    "pandas": lambda files: pandas.read_parquet(Path(files).parent).to_dict("records"),
    "duckdb": lambda files: duckdb.sql(f"SELECT * FROM '{files}'").to_arrow_table().to_pylist(),
}


def test_datasets_gives_the_declared_features_and_every_row(folder: Path, finished: Run, tmp_path: Path) -> None:
    declared = {info["config_name"]: info for info in yaml.safe_load(front_matter(folder))["dataset_info"]}
    rows = rows_of(finished.data)
    for name, info in declared.items():
        read = load_dataset(str(folder), name, split="train", cache_dir=str(tmp_path))
        assert read.features == Features._from_yaml_list(info["features"])
        assert read.num_rows == info["splits"][0]["num_examples"] == len(rows)
        wanted = rows if name == "annotated" else [{k: row[k] for k in read.features if k in row} for row in rows]
        without = {TEXT_HASH} if name == "annotations" else set()
        assert [{k: v for k, v in row.items() if k not in without} for row in read] == wanted
    assert [row[TEXT_HASH] for row in read] == [hash_text(row["text"]) for row in rows]


@pytest.mark.parametrize("reader", READERS)
def test_other_readers_read_it_too(folder: Path, finished: Run, reader: str) -> None:
    assert plain(READERS[reader](f"{folder}/data/*.parquet")) == rows_of(finished.data)
    (annotations,) = (folder / "annotations").glob("*.parquet")
    assert plain(READERS[reader](f"{folder}/annotations/*.parquet")) == pq.read_table(annotations).to_pylist()


def front_matter(folder: Path) -> str:
    return (folder / "README.md").read_text().split("---\n")[1]


def test_the_card_says_what_it_is(folder: Path, finished: Run) -> None:
    card = DatasetCard.load(folder / "README.md")
    said = card.data.to_dict()
    assert said == yaml.safe_load(front_matter(folder)) == DatasetCardData(**said).to_dict()
    assert (said["license"], said["language"], said["size_categories"]) == ("odc-by", ["en"], ["n<1K"])
    assert said["annotations_creators"] == ["machine-generated"]
    assert [config["config_name"] for config in said["configs"]] == ["annotated", "annotations"]
    for heading in ("How it was made", "Columns", "Counts", "Figures", "Training with it", "Known limits"):
        assert f"\n## {heading}\n" in card.text
    for part in ("Every parameter", "Citation"):
        assert f"\n## {part}\n" in card.text
    for file in Path(folder / "figures").iterdir():
        assert f"(figures/{file.name})" in card.text
        assert file.read_bytes().startswith(b"\x89PNG")
    (direction,) = (folder / "directions").iterdir()
    assert sha256_of(direction) in card.text
    for said in metadata_of(pq.read_schema(next((folder / "data").iterdir()))).values():
        assert json.dumps(said["tau"]) in card.text
        assert said["tokenizer_hash"] in card.text


def test_nothing_names_a_folder_of_this_machine(folder: Path, workshop: Workshop) -> None:
    for file in folder.rglob("*"):
        if file.is_file() and file.name != MADE_FILE:
            assert str(workshop.root.parent).encode() not in file.read_bytes(), file
    (data,) = (folder / "data").iterdir()
    assert metadata_of(pq.read_schema(data))["toxic"]["model"] == "model"


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from strings(each)


def test_it_is_uploaded_and_attached_to_the_corpus_by_name(
    folder: Path, finished: Run, workshop: Workshop, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--repo", "org/name", "--license", "odc-by", "--language", "en", "--out", folder)
    with hub_server() as hub:
        make_known(hub, tmp_path / "home", monkeypatch)
        done = command("publish", finished.root, *words)
        assert done.code == 0, done.err
        assert done.out.splitlines()[-1] == f"data set: {hub.address}/datasets/org/name"
        repository = hub.repositories["datasets/org/name"]
        assert repository.private
        files = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        assert repository.files == {name: content for name, content in files.items() if name != MADE_FILE}
        done = command("attach", "org/name@main", "--to", workshop.root / "corpus", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert done.out.startswith("60 documents have their annotation (by id and text), 0 have none, 0 annotations")
    whole = rows_of(finished.data)
    assert rows_of(tmp_path / "out") == [{name: row[name] for name in row if name in KEPT} for row in whole]


@pytest.mark.parametrize("token_scores", [False, True])
def test_annotations_alone_hold_no_text(finished: Run, tmp_path: Path, token_scores: bool) -> None:
    out = published(finished, tmp_path / "out", text=False, figures=False, token_scores=token_scores, language=[])
    assert not (out / "data").exists()
    (file,) = (out / "annotations").iterdir()
    rows, whole = pq.read_table(file).to_pylist(), rows_of(finished.data)
    assert set(rows[0]) == {"id", TEXT_HASH, *(OURS if token_scores else OURS - {"toxic_influence"})}
    for row, annotated in zip(rows, whole, strict=True):
        assert set(strings(row)) == {annotated["id"], hash_text(annotated["text"])}
        assert {name: row[name] for name in row if name in OURS} == {n: annotated[n] for n in row if n in OURS}
    card = (out / "README.md").read_text()
    assert "ifcurate attach org/name" in card
    beginnings = {row["text"][:20] for row in whole if row["text"]}
    assert beginnings
    assert not [beginning for beginning in beginnings if beginning in card]
    assert metadata_of(pq.read_schema(file))["toxic"]["token_ids"] is False
    assert len(load_dataset(str(out), "annotations", split="train", cache_dir=str(tmp_path / "cache"))) == len(rows)


def test_a_licence_is_required(finished: Run, tmp_path: Path, command: Command) -> None:
    refused = command("publish", finished.root, "--repo", "org/name", "--dry-run", "--out", tmp_path / "out")
    assert refused.error.startswith("option --license is required")
    for option, value in (("--license", "Free for all"), ("--repo", "name"), ("--language", "English")):
        given = {"--repo": "org/name", "--license": "odc-by", option: value}
        words = [word for pair in given.items() for word in pair]
        refused = command("publish", finished.root, "--dry-run", "--out", tmp_path / "out", *words)
        assert refused.error.startswith(f"option {option}: must be")
    assert not (tmp_path / "out").exists()


def test_the_same_again_is_done_and_other_settings_are_refused(
    finished: Run, tmp_path: Path, messages: Callable[[], list[str]]
) -> None:
    out = published(finished, tmp_path / "out", figures=False)
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    assert published(finished, out, figures=False, public=True) == out
    assert messages()[-1].endswith("is written already; --overwrite writes it anew")
    with pytest.raises(InputError, match=r"option --license: .* was made with 'odc-by', not 'mit'"):
        published(finished, out, figures=False, license="mit")
    shutil.rmtree(out / "data")
    published(finished, out, figures=False, overwrite=True)
    assert {file: file.read_bytes() for file in out.rglob("*") if file.is_file()} == before


def test_a_run_that_is_not_finished_is_refused(finished: Run, tmp_path: Path) -> None:
    root = tmp_path / "run"
    shutil.copytree(finished.root, root)
    run, selection = Run(root), tmp_path / "run" / "data" / "part-000.parquet"
    selection.unlink()
    with pytest.raises(InputError, match=r"holds 3 of 4 shards, not 'part-000'; run `ifcurate write"):
        published(run, tmp_path / "out")
    shutil.copy(finished.data / "part-000.parquet", selection)
    settings = yaml.safe_load(run.file.read_text())
    run.file.write_text(yaml.safe_dump({**settings, "budget": "6%"}))
    with pytest.raises(InputError, match="is not of the present selection of 'toxic'; run `ifcurate write"):
        published(run, tmp_path / "out")
    shutil.rmtree(run.data)
    with pytest.raises(InputError, match="has no annotated corpus yet"):
        published(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_model_is_called_by_its_id(finished: Run, tmp_path: Path) -> None:
    out = published(finished, tmp_path / "out", figures=False, text=False, model_id="org/model")
    direction = load_direction(out / "directions" / "toxic.safetensors")
    assert direction.provenance["model"] == direction.provenance["tokenizer"] == "org/model"
    assert direction.provenance["rewritten_from"] == sha256_of(finished.direction("toxic"))
    original = load_direction(finished.direction("toxic"))
    assert all(direction.tensors[name].equal(tensor) for name, tensor in original.tensors.items())
    assert "with `org/model`" in (out / "README.md").read_text()


def rebuilt(model: torch.nn.Module, direction: Direction, start: int, influence: Sequence[float]) -> list[int]:
    """The tokens of a text that have this influence, one after the other."""
    tokens, weights = [start], dict(model.named_parameters())
    moved = {name: direction.tensors.get(name, torch.zeros_like(weight)) for name, weight in weights.items()}
    for value in influence:
        ids = torch.tensor([tokens])

        def next_losses(weights: dict[str, torch.Tensor], ids: torch.Tensor = ids) -> torch.Tensor:
            return -torch.func.functional_call(model, weights, (ids,)).logits[0, -1].log_softmax(-1)

        _, derivatives = torch.func.jvp(next_losses, (weights,), (moved,))
        tokens.append(int((derivatives - value).abs().argmin()))
    return tokens[1:]


def test_influence_gives_the_text_away(finished: Run, workshop: Workshop) -> None:
    """Why it is no part of `annotations` unless asked for: with model and direction, it is the text."""
    model = AutoModelForCausalLM.from_pretrained(workshop.root / "model", attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(workshop.root / "model")
    row = next(row for row in rows_of(finished.data) if 15 < len(row["token_ids"]) < 30)
    direction = load_direction(finished.direction("toxic"))
    tokens = rebuilt(model, direction, tokenizer.bos_token_id, row["toxic_influence"])
    assert tokenizer.decode(tokens) == row["text"]
