from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpora import FORMATS, ROWS, typed_table, write_rows, write_shard

from ifcurate.corpus.shards import Shard, list_corpus, list_shards, open_shard
from ifcurate.errors import InputError


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.store.clear()


def names(source: Path | str) -> list[str]:
    return [shard.name for shard in list_shards(str(source))]


def test_a_folder_is_searched_for_every_format_and_sorted_by_name(tmp_path: Path) -> None:
    for index, suffix in enumerate(FORMATS):
        write_rows(tmp_path / f"sub/{9 - index}.x{suffix}", ROWS)
    write_rows(tmp_path / "top.parquet", ROWS)
    write_rows(tmp_path / ".cache/hidden.parquet", ROWS)
    (tmp_path / "README.md").write_text("no shard")
    (tmp_path / "top2.parquet.part").write_text("half a shard")
    shards = list_shards(str(tmp_path))
    assert [shard.name for shard in shards] == ["sub/5.x", "sub/6.x", "sub/7.x", "sub/8.x", "sub/9.x", "top"]
    assert [shard.format for shard in shards[:5]] == [".jsonl.zst", ".jsonl.gz", ".jsonl", ".arrow", ".parquet"]
    assert all(shard.size == Path(shard.path).stat().st_size for shard in shards)
    assert shards[0].output(Path("out")) == Path("out/sub/5.x.parquet")
    assert pickle.loads(pickle.dumps(shards)) == shards


def test_a_linked_folder_is_part_of_the_corpus(tmp_path: Path) -> None:
    write_rows(tmp_path / "elsewhere/deep/b.parquet", ROWS)
    write_rows(tmp_path / "corpus/a.parquet", ROWS)
    (tmp_path / "corpus/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "corpus/c.parquet").symlink_to(tmp_path / "elsewhere/deep/b.parquet")
    assert names(tmp_path / "corpus") == ["a", "c", "linked/deep/b"]
    assert names(tmp_path / "corpus/*") == ["a", "c", "linked/deep/b"]
    assert all(shard.size > 100 for shard in list_shards(str(tmp_path / "corpus")))


def test_a_link_to_a_folder_above_is_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "corpus/a.parquet", ROWS)
    (tmp_path / "corpus/sub").mkdir()
    (tmp_path / "corpus/sub/again").symlink_to(tmp_path / "corpus")
    with pytest.raises(InputError, match=r"cannot be listed \(.*sub/again links to a folder that it lies in\)"):
        list_shards(str(tmp_path / "corpus"))


def test_what_engines_leave_beside_the_data_is_no_data_and_is_counted(tmp_path: Path) -> None:
    for name in ("_temporary/0/a", "_delta_log/00.checkpoint", "_x=1/a", "year=2024/_b", "b", ".crc/b"):
        write_rows(tmp_path / f"{name}.parquet", ROWS)
    for name in ("_SUCCESS", "README.md", "b.tsv"):
        (tmp_path / name).write_text("")
    listing = list_corpus(str(tmp_path))
    assert [shard.name for shard in listing.shards] == ["_x=1/a", "b"]
    assert (listing.hidden, listing.other_formats) == (5, 2)
    size = sum(shard.size for shard in listing.shards)
    assert listing.sentence() == (
        f"corpus: 2 shards, {size:,} bytes; files left out: 5 hidden or begin with _, 2 of other formats"
    )
    assert names(tmp_path / "year=2024/_b.parquet") == ["_b"]  # named, so meant


def test_a_file_is_named_by_its_stem(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "sub/train-00000-of-00002.jsonl.gz", ROWS)
    assert list_shards(str(path)) == [
        Shard("train-00000-of-00002", str(path), ".jsonl.gz", path.stat().st_size),
    ]


def test_a_glob_names_relative_to_the_folder_before_its_first_wildcard(tmp_path: Path) -> None:
    for name in ("2023/a", "2024/a", "2024/deep/b", "other/a"):
        write_rows(tmp_path / f"{name}.parquet", ROWS)
    assert names(tmp_path / "20*/*.parquet") == ["2023/a", "2024/a"]
    assert names(tmp_path / "**/*.parquet") == ["2023/a", "2024/a", "2024/deep/b", "other/a"]
    assert names(tmp_path / "20*") == ["2023/a", "2024/a", "2024/deep/b"]
    assert names(tmp_path / "2024/*.parquet") == ["a"]


def test_brackets_in_a_name_that_exists_are_no_glob(tmp_path: Path) -> None:
    write_rows(tmp_path / "run[1]/a[2].jsonl", ROWS)
    assert names(tmp_path / "run[1]") == ["a[2]"]
    assert names(tmp_path / "run[1]/a[2].jsonl") == ["a[2]"]


def test_links_are_followed_and_keep_their_name(tmp_path: Path) -> None:
    blob = write_rows(tmp_path / "blobs/f00d.parquet", ROWS)
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot/train.parquet").symlink_to(blob)
    [shard] = list_shards(str(tmp_path / "snapshot"))
    assert (shard.name, shard.size) == ("train", blob.stat().st_size)


@pytest.mark.parametrize("suffix", FORMATS)
def test_urls_are_listed_and_read(tmp_path: Path, memory: fsspec.AbstractFileSystem, suffix: str) -> None:
    memory.pipe(f"/bucket/sub/a{suffix}", write_rows(tmp_path / f"a{suffix}", ROWS).read_bytes())
    for source in ("memory://bucket", "memory://bucket/*/a*", f"memory://bucket/sub/a{suffix}"):
        [shard] = list_shards(source)
        assert shard.path == f"memory:///bucket/sub/a{suffix}"
        assert shard.name == ("a" if source.endswith(suffix) else "sub/a")
        assert [row for batch in open_shard(shard).batches() for row in batch.to_pylist()] == ROWS


def test_what_cannot_be_listed_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/a.txt").write_text("a,b")
    for source, clause in (
        (tmp_path / "absent", "there is no such file or folder"),
        (tmp_path / "empty", "it is empty"),
        (tmp_path / "*.parquet", "there is no such file or folder"),
        (tmp_path / "other", "holds no file of a supported format"),
        (tmp_path / "other/a.txt", "holds no file of a supported format"),
        ("nosuchprotocol://bucket", "cannot be listed"),
    ):
        with pytest.raises(InputError, match=r"give a file, folder or glob of \.parquet") as error:
            list_shards(str(source))
        assert clause in str(error.value)
        assert str(source) in str(error.value)


def test_two_shards_that_would_write_the_same_output_are_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.jsonl", ROWS)
    write_rows(tmp_path / "a.parquet", ROWS)
    with pytest.raises(InputError, match=r"a\.jsonl and .*a\.parquet have the same name"):
        list_shards(str(tmp_path))


@pytest.mark.parametrize("suffix", FORMATS)
def test_rows_come_out_as_they_went_in(tmp_path: Path, suffix: str) -> None:
    reader = open_shard(write_shard(tmp_path / f"a{suffix}", ROWS))
    assert reader.num_rows == len(ROWS)
    for rows in (1, 3, 4096):
        batches = list(reader.batches(rows=rows))
        assert max(batch.num_rows for batch in batches) <= rows
        assert all(batch.schema.equals(reader.schema, check_metadata=True) for batch in batches)
        assert [row for batch in batches for row in batch.to_pylist()] == ROWS
    picked = pa.Table.from_batches(reader.batches(["n", "id"]))
    assert picked.to_pylist() == [{"n": row["n"], "id": row["id"]} for row in ROWS]


def test_every_arrow_type_and_all_metadata_survive(tmp_path: Path) -> None:
    table = typed_table()
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    reader = open_shard(list_shards(str(tmp_path))[0])
    assert pa.Table.from_batches(reader.batches(), schema=reader.schema).equals(table)
    assert reader.schema.metadata[b"huggingface"] == b'{"a": 1}'
    assert reader.schema.field("view").metadata[b"unit"] == b"none"


def test_a_dot_in_a_column_name_is_not_a_path(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.parquet", [{"a": {"b": 1}, "a.b": 2}])
    reader = open_shard(list_shards(str(tmp_path))[0])
    assert [batch.to_pylist() for batch in reader.batches(["a.b"])] == [[{"a.b": 2}]]
    assert [batch.to_pylist() for batch in reader.batches(["a"])] == [[{"a": {"b": 1}}]]


def test_long_documents_come_in_batches_of_few_rows(tmp_path: Path) -> None:
    rows = [{"text": str(index) * 2_000_000} for index in range(10)]
    for suffix in (".parquet", ".jsonl"):
        batches = list(open_shard(write_shard(tmp_path / suffix / f"a{suffix}", rows)).batches())
        assert len(batches) >= 2
        assert [row for batch in batches for row in batch.to_pylist()] == rows


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_empty_shard_has_no_batches(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table({"text": pa.array([], pa.string())}), path)
    else:
        write_rows(path, [])
    reader = open_shard(list_shards(str(path))[0])
    assert reader.num_rows == 0
    assert list(reader.batches()) == []


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl.gz", ".jsonl.zst"])
def test_a_cut_file_is_refused_wherever_it_is_cut(tmp_path: Path, suffix: str) -> None:
    rows = [{"id": str(index), "text": f"text {index * 7919}"} for index in range(2000)]
    whole = write_rows(tmp_path / f"whole{suffix}", rows).read_bytes()
    cut = tmp_path / f"cut{suffix}"
    for length in (0, 1, 4, 8, len(whole) // 3, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        cut.write_bytes(whole[:length])
        with pytest.raises(InputError, match=rf"cut{suffix}.*restore or remove"):
            list(open_shard(list_shards(str(cut))[0]).batches())


@pytest.mark.parametrize("compression", ["zstd", "snappy", "none"])
def test_a_flipped_byte_in_a_page_is_refused(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"text": [f"text {index * 7919}" for index in range(2000)]})
    pq.write_table(table, path, compression=compression, write_page_checksum=True)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    reader = open_shard(list_shards(str(path))[0])
    with pytest.raises(InputError, match=r"a\.parquet: cannot be read as Parquet"):
        list(reader.batches())


def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path: Path) -> None:
    for suffix in (".parquet", ".jsonl.gz", ".jsonl.zst"):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(b"<html>404: not found, but with a status of 200</html>\n" * 10)
        with pytest.raises(InputError, match=rf"a{suffix}: cannot be read as"):
            open_shard(list_shards(str(path))[0])


def test_a_file_that_vanished_is_named(tmp_path: Path) -> None:
    for suffix in FORMATS:
        shard = write_shard(tmp_path / f"gone{suffix}", ROWS)
        Path(shard.path).unlink()
        with pytest.raises(InputError, match=rf"gone{suffix}: cannot be read"):
            open_shard(shard)


# VmHWM and not ru_maxrss, which starts from the peak of the process that started this one.
PEAK = """
import sys
from ifcurate.corpus.shards import list_shards, open_shard
rows = sum(batch.num_rows for batch in open_shard(list_shards(sys.argv[1])[0]).batches())
print(rows, next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads its peak memory from /proc")
@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_memory_does_not_grow_with_the_rows(tmp_path: Path, suffix: str) -> None:
    table = pa.table({"text": [f"{row:05d}" * 400 for row in range(8000)]})
    lines = write_rows(tmp_path / "lines.jsonl", table.to_pylist()).read_bytes()

    def peak(times: int) -> int:
        path = tmp_path / f"{times}{suffix}"
        if suffix == ".jsonl":
            path.write_bytes(lines * times)
        else:  # in one row group, without compression: what a reader of whole row groups would hold
            whole = pa.concat_tables([table] * times)
            pq.write_table(whole, path, row_group_size=len(whole), compression="none", use_dictionary=False)
        printed = subprocess.run([sys.executable, "-c", PEAK, path], check=True, capture_output=True, text=True).stdout
        path.unlink()
        found, kibibytes = map(int, printed.split())
        assert found == 8000 * times
        return kibibytes

    # The allocator takes its time to settle: with 16 MB units 155 MB at 8 and 160 MB at 20 and at 80.
    added_kibibytes = 10 * len(lines) // 1024
    assert peak(12) - peak(2) < added_kibibytes / 4
