from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pyarrow.parquet as pq
import pytest
from corpora import ROWS, write_rows
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given
from hypothesis import strategies as st

from ifcurate.corpus.shards import list_shards, open_shard
from ifcurate.errors import InputError
from ifcurate.storage import filesystems
from ifcurate.storage.filesystems import ATTEMPTS, persistently
from ifcurate.storage.remote_file import RemoteFile

CONTENT = bytes(range(256)) * 8


class FaultyFileSystem(MemoryFileSystem):
    """Files in memory whose reads fail as `faults` say: an error is raised, a number is the most bytes of an answer."""

    protocol = "faulty"
    store: ClassVar[dict[str, Any]] = {}
    faults: Iterator[Exception | int | None] = iter(())

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.removeprefix("faulty://")))

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        opened = super()._open(path, mode, **options)
        return opened if mode != "rb" else FaultyStream(opened.getvalue())


class FaultyStream(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        fault = next(FaultyFileSystem.faults, None)
        if isinstance(fault, Exception):
            raise fault
        return super().read(size if fault is None else min(fault, size or 0))


@pytest.fixture(autouse=True)
def faulty(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyFileSystem]:
    fsspec.register_implementation("faulty", FaultyFileSystem, clobber=True)
    monkeypatch.setattr(filesystems, "SECONDS_BEFORE_SECOND", 0.0)
    filesystem = FaultyFileSystem()
    filesystem.pipe("/a.bin", CONTENT)
    yield filesystem
    filesystem.store.clear()
    FaultyFileSystem.faults = iter(())


@given(st.lists(st.tuples(st.integers(0, len(CONTENT) + 10), st.integers(0, 700)), max_size=8), st.data())
def test_reads_anywhere_are_whole_however_short_the_answers(places: list[tuple[int, int]], data: st.DataObject) -> None:
    short = data.draw(st.lists(st.one_of(st.none(), st.integers(1, 99)), max_size=40))
    FaultyFileSystem.faults = iter(short)
    with RemoteFile(FaultyFileSystem(), "/a.bin") as file:
        for start, length in places:
            file.seek(start)
            assert file.read(length) == CONTENT[start : start + length]
            assert file.tell() == start + len(CONTENT[start : start + length])
        assert file.seek(-3, io.SEEK_END) == len(CONTENT) - 3
        assert file.read() == CONTENT[-3:]


@pytest.mark.parametrize("fault", [OSError("reset"), TimeoutError("late"), 0], ids=["error", "timeout", "nothing"])
def test_a_read_that_fails_is_tried_again_and_then_reported(fault: Exception | int) -> None:
    FaultyFileSystem.faults = iter([fault] * (ATTEMPTS - 1))
    with RemoteFile(FaultyFileSystem(), "/a.bin") as file:
        assert file.read(500) == CONTENT[:500]
        FaultyFileSystem.faults = itertools.repeat(fault)
        with pytest.raises(OSError, match=r"reset|late|0 bytes at 500, where 1 were asked for"):
            file.read(1)


def test_a_file_that_shrank_is_no_shorter_shard(faulty: FaultyFileSystem, tmp_path: Path) -> None:
    lines = b'{"text": "a"}\n' * 50
    faulty.pipe("/corpus/a.jsonl", lines)
    [shard] = list_shards("faulty://corpus")
    reader = open_shard(shard)
    FaultyFileSystem.faults = itertools.chain([100], itertools.repeat(0))
    with pytest.raises(InputError, match=r"^faulty:///corpus/a\.jsonl: cannot be read as JSON Lines \(0 bytes at 100"):
        list(reader.batches())
    faulty.pipe("/corpus/b.parquet", write_rows(tmp_path / "b.parquet", ROWS).read_bytes())
    FaultyFileSystem.faults = itertools.cycle([7, OSError("reset"), None, None])
    shard = list_shards("faulty://corpus")[1]
    assert [row for batch in open_shard(shard).batches() for row in batch.to_pylist()] == ROWS
    assert pq.read_schema(tmp_path / "b.parquet").names == open_shard(shard).schema.names


def test_what_will_not_pass_is_reported_at_once() -> None:
    calls = []

    def absent() -> None:
        calls.append(1)
        raise FileNotFoundError("gone")

    with pytest.raises(FileNotFoundError):
        persistently("x", absent)
    assert calls == [1]


def test_waits_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(filesystems, "SECONDS_BEFORE_SECOND", 0.5)
    monkeypatch.setattr(filesystems.time, "sleep", waits.append)

    def busy() -> None:
        raise OSError("503")

    with pytest.raises(OSError, match="503"):
        persistently("x", busy)
    assert [0.25 <= waits[0] <= 0.5, 1 <= waits[1] <= 2, 4 <= waits[2] <= 8] == [True] * (ATTEMPTS - 1)


def test_a_listing_that_fails_is_tried_again(faulty: FaultyFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    faulty.pipe("/corpus/a.jsonl", b"{}\n")
    faults = iter([OSError("503"), OSError("503")])
    find = FaultyFileSystem.find

    def failing(self: FaultyFileSystem, *arguments: Any, **options: Any) -> Any:
        for fault in faults:
            raise fault
        return find(self, *arguments, **options)

    monkeypatch.setattr(FaultyFileSystem, "find", failing)
    assert [shard.name for shard in list_shards("faulty://corpus")] == ["a"]


def test_without_the_package_of_a_url_the_refusal_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(place: str) -> Any:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(filesystems, "url_to_fs", unavailable)
    with pytest.raises(InputError, match=r"\(Install s3fs to access S3\); run `pip install 'ifcurate\[s3\]'`\."):
        list_shards("s3://bucket/corpus")
