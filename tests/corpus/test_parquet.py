"""Values that Arrow would change come out as DuckDB reads them from the input, or the file is refused."""

from __future__ import annotations

from datetime import datetime, time
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ifcurate.corpus import parquet
from ifcurate.corpus.parquet import ParquetReader, writing_parquet
from ifcurate.errors import InputError

ODD = """
    uuid() u, '{"a":1}'::json j, 'x'::enum('x', 'y') e, time '12:34:56.789' t, 'abc'::blob b,
    map{'a': 1} m, timestamptz '2024-01-01 00:00:00+02' tsz, date '9999-12-31' d, timestamp_s '2024-01-01 00:00:00' s,
    timestamp_ns '2024-01-01 00:00:00.123456789' ns, 1.5::decimal(30, 3) dc, {'a': [1, null]} st, 255::utinyint u8,
    [1, 2]::int[2] arr, 'inf'::float f, 18446744073709551615::ubigint u64, null::int n
"""


def copied(source: Path) -> Path:
    reader, target = ParquetReader(str(source)), source.with_name("copy.parquet")
    with writing_parquet(target, reader.schema, reader.times_in_utc) as sink:
        for batch in reader.batches():
            sink.write(batch)
    return target


def rows(path: Path) -> tuple[list[str], list[tuple[object, ...]]]:
    found = duckdb.execute("SELECT * FROM read_parquet(?)", [str(path)])
    return [str(column[1]) for column in found.description], found.fetchall()


def test_timestamps_of_spark_in_all_years(tmp_path: Path) -> None:
    when = [datetime(9999, 12, 31, 23, 59, 59, 123456), datetime(1, 1, 1), datetime(2024, 5, 1, 12, 0, 0, 7), None]
    table = pa.table(
        {
            "ts": pa.array(when, pa.timestamp("us")),
            "nested": pa.array([[w] for w in when], pa.list_(pa.timestamp("us"))),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet", use_deprecated_int96_timestamps=True)
    assert rows(copied(tmp_path / "a.parquet")) == rows(tmp_path / "a.parquet")
    assert pq.read_table(tmp_path / "copy.parquet")["ts"].to_pylist() == when


def test_odd_types_keep_type_and_value(tmp_path: Path) -> None:
    duckdb.execute(f"COPY (SELECT {ODD}) TO '{tmp_path / 'a.parquet'}' (FORMAT parquet)")
    assert rows(copied(tmp_path / "a.parquet")) == rows(tmp_path / "a.parquet")


@pytest.mark.parametrize("adjusted", [True, False])
def test_times_of_day_keep_their_zone(adjusted: bool, tmp_path: Path) -> None:
    table = pa.table({"t": pa.array([time(12, 30)], pa.time64("us"))})
    pq.write_table(table, tmp_path / "a.parquet", write_time_adjusted_to_utc=adjusted)
    assert rows(copied(tmp_path / "a.parquet")) == rows(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ("interval 3 days iv", "column 'iv' holds intervals"),
        ("time '12:00:00' t, '12:00:00+02'::timetz z", "times of day with a time zone beside others without"),
    ],
)
def test_what_arrow_would_change_is_refused(columns: str, reason: str, tmp_path: Path) -> None:
    duckdb.execute(f"COPY (SELECT {columns}) TO '{tmp_path / 'a.parquet'}' (FORMAT parquet)")
    with pytest.raises(InputError, match=f"a.parquet: .*{reason}"):
        ParquetReader(str(tmp_path / "a.parquet"))


def test_parts_are_the_whole_cut_between_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"n": range(1000), "x": [[float(row)] * (row % 5) for row in range(1000)]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=90)
    monkeypatch.setattr(parquet, "PART_BYTES", 4000)
    reader = ParquetReader(str(tmp_path / "a.parquet"))
    parts = reader.parts()
    assert 3 < len(parts) < 12
    assert [part.first_row for part in parts] == [0, *np.cumsum([part.rows for part in parts])[:-1].tolist()]
    batches = [batch for part in parts for batch in reader.batches(["x"], part=part)]
    assert pa.Table.from_batches(batches) == table.select(["x"])
    with writing_parquet(tmp_path / "none.parquet", table.schema):
        pass
    assert ParquetReader(str(tmp_path / "none.parquet")).parts() == []


def test_encodings_are_of_the_columns_that_are_named(tmp_path: Path) -> None:
    table = pa.table({"id": ["a", "b"], "at": [[1, 2, 3], []], "x": pa.array([[0.5], [1.5]], pa.list_(pa.float32()))})
    encodings = {"at": "DELTA_BINARY_PACKED", "x": "BYTE_STREAM_SPLIT"}
    with writing_parquet(tmp_path / "a.parquet", table.schema, encodings=encodings) as sink:
        sink.write(table.to_batches()[0])
    group = pq.read_metadata(tmp_path / "a.parquet").row_group(0)
    of_columns = [group.column(number).encodings for number in range(3)]
    assert "RLE_DICTIONARY" in of_columns[0]
    assert "DELTA_BINARY_PACKED" in of_columns[1]
    assert "BYTE_STREAM_SPLIT" in of_columns[2]
    assert pq.read_table(tmp_path / "a.parquet") == table
    assert duckdb.execute("SELECT x[1] FROM read_parquet(?)", [str(tmp_path / "a.parquet")]).fetchall() == [
        (0.5,),
        (1.5,),
    ]
