"""A corpus on `s3://`, on moto's server, whose answers fail on the way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from corpora import ROWS, write_rows
from object_store import BUCKET, Faults, failing, serving, using

from ifcurate.corpus.shards import list_corpus, list_shards, open_shard
from ifcurate.corpus.tables import read_rows
from ifcurate.errors import InputError

SUFFIXES = (".parquet", ".jsonl.gz", ".jsonl.zst", ".arrow")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("corpus")
    with serving() as address:
        with using(address) as filesystem:
            for number, suffix in enumerate(SUFFIXES):
                file = write_rows(folder / f"{number}{suffix}", ROWS)
                filesystem.pipe(f"{BUCKET}/corpus/sub/{file.name}", file.read_bytes())
            filesystem.pipe(f"{BUCKET}/corpus/_SUCCESS", b"")
            filesystem.call_s3("put_object", Bucket=BUCKET, Key="corpus/sub/", Body=b"")  # as consoles make folders
        yield address


def test_a_corpus_on_s3_is_listed_and_read(store: str) -> None:
    with using(store):
        listing = list_corpus(f"s3://{BUCKET}/corpus")
        assert [shard.name for shard in listing.shards] == ["sub/0", "sub/1", "sub/2", "sub/3"]
        assert (listing.hidden, listing.other_formats) == (1, 0)
        assert all(shard.stamp for shard in listing.shards)
        for shard in listing.shards:
            assert [row for batch in open_shard(shard).batches() for row in batch.to_pylist()] == ROWS
        assert [shard.name for shard in list_shards(f"s3://{BUCKET}/corpus/*/*.parquet")] == ["sub/0"]
        assert read_rows(f"s3://{BUCKET}/corpus/sub/1.jsonl.gz") == ROWS
        with pytest.raises(InputError, match="there is no such file or folder"):
            list_shards(f"s3://{BUCKET}/nothing")


@pytest.mark.parametrize("fault", ["busy", "lost", "truncated", "short"])
def test_answers_that_fail_are_asked_for_again(store: str, fault: str) -> None:
    faults = Faults(matching="/corpus/sub/0", coming=[fault])
    with failing(store, faults) as address, using(address):
        [shard] = list_shards(f"s3://{BUCKET}/corpus/sub/0.parquet")
        assert [row for batch in open_shard(shard).batches() for row in batch.to_pylist()] == ROWS
    assert faults.happened == [fault]


def test_a_file_that_never_comes_whole_is_refused(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ifcurate.storage.filesystems.ATTEMPTS", 1)
    faults = Faults(matching="/corpus/sub/0", coming=["truncated"] * 1000)
    with failing(store, faults) as address, using(address):
        [shard] = list_shards(f"s3://{BUCKET}/corpus/sub/0.parquet")
        with pytest.raises(InputError, match=r"0\.parquet: cannot be read as Parquet \(Response payload"):
            open_shard(shard)
