"""Documents and their annotations in a database on disk: more of them than memory may hold."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ifcurate.annotation.matching import keys, matching
from ifcurate.annotation.schema import MASK_LIST
from ifcurate.errors import InputError

ROWS, TOKENS, AT_ONCE = 2_000, 25_000, 100
MEMORY = "32MB"
"""The masks take 50 MB."""
SCHEMA = pa.schema({"toxic_mask": MASK_LIST, "toxic_score": pa.float32()})
HASHES = [sha256(str(row).encode()).hexdigest() for row in range(ROWS)]


def annotations() -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Row r has the score r, and marks its token r."""
    offsets = pa.array(np.arange(AT_ONCE + 1, dtype=np.int32) * TOKENS)
    for first in range(0, ROWS, AT_ONCE):
        rows = np.arange(first, first + AT_ONCE)
        masks = np.zeros((AT_ONCE, TOKENS), np.bool_)
        masks[np.arange(AT_ONCE), rows] = True
        lists = pa.ListArray.from_arrays(offsets, pa.array(masks.ravel()))
        scores = pa.array(rows.astype(np.float32))
        yield keys(first, None, HASHES[first : first + AT_ONCE], "x"), pa.record_batch([lists, scores], schema=SCHEMA)


def test_more_than_memory_holds_is_matched_in_any_order(tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(ROWS)
    seen, spilled = 0, 0
    with matching(tmp_path, SCHEMA, MEMORY) as found:
        found.add_annotations(annotations())
        found.add_documents([keys(0, None, [HASHES[row] for row in order], "y")])
        matched = found.find_pairs()
        assert (matched.pairs, matched.documents, matched.annotations, matched.by_id) == (ROWS, 0, 0, False)
        for batch in found.columns(of_all=True):
            expected = order[seen : seen + batch.num_rows]
            assert batch.column("toxic_score").to_pylist() == expected.tolist()
            marked = np.flatnonzero(batch.column("toxic_mask").flatten().to_numpy(zero_copy_only=False))
            assert (marked == np.arange(batch.num_rows) * TOKENS + expected).all()
            seen += batch.num_rows
            spilled = max(spilled, sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()))
    assert seen == ROWS
    assert spilled > 0


def test_what_does_not_fit_on_the_disk_either_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="documents and annotations cannot be matched here"),
        matching(tmp_path, SCHEMA, "1MB") as found,
    ):
        found.add_annotations(annotations())
        found.find_pairs()
