from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from corpora import write_rows
from hub_server import environment_of, hub_server, repository_of

from ifcurate.corpus.data_sets import is_data_set_id
from ifcurate.corpus.places import Part, list_place
from ifcurate.corpus.shards import open_shard
from ifcurate.errors import InputError

CARD = """---
configs:
- config_name: plain
  data_files:
  - split: train
    path: data/train-*
  - split: test
    path: data/test-*
- config_name: lines
  data_files: more/*.jsonl
---
"""


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    """A folder with a card: two subsets, of which the first has two splits."""
    folder = tmp_path / "set"
    for split in ("train", "test"):
        for number in range(2):
            write_rows(folder / f"data/{split}-{number}.parquet", [{"text": f"{split} {number}"}])
    write_rows(folder / "more/a.jsonl", [{"text": "line"}])
    (folder / "README.md").write_text(CARD)
    return folder


def texts(source: str, part: Part) -> list[str]:
    shards = list_place(source, part).shards
    return [row["text"] for shard in shards for batch in open_shard(shard).batches() for row in batch.to_pylist()]


def test_a_folder_with_a_card_has_subsets_and_splits(data_set: Path, tmp_path: Path) -> None:
    listing = list_place(str(data_set), Part(subset="plain"))
    assert [shard.name for shard in listing.shards] == ["data/train-0", "data/train-1"]
    assert listing.sentence().endswith(f"split train of {data_set} (not test)")
    assert texts(str(data_set), Part(subset="plain", split="test")) == ["test 0", "test 1"]
    assert texts(str(data_set), Part(subset="lines")) == ["line"]
    assert texts(str(data_set), Part(subset="plain", limit=1)) == ["train 0"]
    assert len(list_place(str(data_set)).shards) == 5


def test_what_a_data_set_has_not_is_refused_with_what_it_has(data_set: Path, tmp_path: Path) -> None:
    for part, problem in {
        Part(split="test"): r"Config name is missing.*\['plain', 'lines'\].*name a subset with --subset",
        Part(subset="other"): r"'other' not found.*correct --subset",
        Part(subset="plain", split="dev"): "option --split: .* has the splits train, test; name one of them",
    }.items():
        with pytest.raises(InputError, match=problem):
            list_place(str(data_set), part)
    with pytest.raises(InputError, match="is no data set with parts"):
        list_place("s3://bucket/corpus", Part(split="train"))
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/a.txt").write_text("a\n")
    with pytest.raises(InputError, match=r"its file a\.txt is of another format than .*@~parquet"):
        list_place(str(tmp_path / "texts"), Part(split="train"))


def test_an_id_is_what_nothing_here_has_the_name_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner/here").mkdir(parents=True)
    assert is_data_set_id("owner/name")
    assert is_data_set_id("owner/name@v1.0")
    for source in ("owner/here", "name", "/owner/name", "./owner/name", "a/b/c", "owner/a.jsonl", "hf://datasets/a/b"):
        assert not is_data_set_id(source)


READ = """
import sys
from ifcurate.corpus.places import Part, list_place
from ifcurate.corpus.shards import open_shard
listing = list_place("acme/corpus@main", Part(subset="plain"))
print(listing.sentence())
for shard in listing.shards:
    print(shard.path, shard.stamp != "", [batch.to_pylist() for batch in open_shard(shard).batches()])
try:
    list_place("acme/nothing")
except Exception as error:
    print(type(error).__name__, error)
"""


def test_an_id_is_read_from_the_hub_at_one_commit(data_set: Path, tmp_path: Path) -> None:
    with hub_server() as hub:
        hub.repositories["datasets/acme/corpus"] = repository = repository_of(data_set)
        told = environment_of(hub, tmp_path / "home")
        done = subprocess.run(
            [sys.executable, "-c", READ], env={**os.environ, **told}, cwd=tmp_path, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stderr
    first, *shards, refused = done.stdout.splitlines()
    assert "2 shards" in first
    assert first.endswith("split train of acme/corpus@main (not test)")
    assert shards == [
        f"hf://datasets/acme/corpus@{repository.sha}/data/train-{number}.parquet True [[{{'text': 'train {number}'}}]]"
        for number in range(2)
    ]
    assert refused.startswith(
        "InputError acme/nothing: there is no such file or folder here, and no data set of this id"
    )
