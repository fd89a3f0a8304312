"""More documents and annotations than memory may hold."""

from __future__ import annotations

import random
from collections import Counter
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ifcurate.annotation.matching import keys, matching
from ifcurate.annotation.scattered import Scattered
from ifcurate.errors import InputError

SCHEMA = pa.schema({"spans": pa.list_(pa.int32()), "score": pa.float32()})
ROWS = 60_000
HASHES = [sha256(str(row).encode()).hexdigest() for row in range(ROWS)]


def test_keys_that_fill_the_memory_are_matched_in_any_order(tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(ROWS)
    with matching(tmp_path, memory="48MB") as found:
        found.add_annotations([keys(0, None, HASHES, "x")])
        found.add_documents([keys(0, None, [HASHES[row] for row in order], "y")])
        matched = found.find_pairs()
        assert (matched.pairs, matched.documents, matched.annotations, matched.by_id) == (ROWS, 0, 0, False)
        documents = np.concatenate([batch.column(0).to_numpy() for batch in found.documents()])
    assert np.array_equal(order[documents], np.arange(ROWS))


@pytest.mark.parametrize("ids", [True, False])
def test_parts_find_what_the_whole_finds(tmp_path: Path, ids: bool) -> None:
    draw = random.Random(0)
    sides = [[(str(draw.randrange(60)), HASHES[draw.randrange(40)]) for _ in range(300)] for _ in range(2)]
    outcomes = []
    for part_rows in (1 << 20, 97, 5):
        (tmp_path / str(part_rows)).mkdir()
        with matching(tmp_path / str(part_rows), part_rows=part_rows) as found:
            for add, side in zip((found.add_documents, found.add_annotations), sides, strict=True):
                add([keys(0, [label for label, _ in side] if ids else None, [text for _, text in side], "x")])
            matched = found.find_pairs()
            documents = [place for batch in found.documents() for place in batch.column(0).to_pylist()]
            outcomes.append((matched, documents, list(found.without_annotation())))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    mine, theirs = ([pair if ids else pair[1] for pair in side] for side in sides)
    missing = Counter(mine) - Counter(theirs)
    assert outcomes[0][0].documents == missing.total() == len(outcomes[0][2])
    known = {label for label, _ in sides[1]}
    alone = [sides[0][place][0] for place in outcomes[0][2]]
    assert outcomes[0][0].changed == (sum(label in known for label in alone) if ids else 0)


def test_what_does_not_fit_at_all_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="documents and annotations cannot be matched here"),
        matching(tmp_path, "1MB") as found,
    ):
        found.add_annotations([keys(0, None, HASHES, "x")])
        found.find_pairs()


@given(
    places=st.lists(st.integers(0, 40), unique=True, max_size=30),
    sizes=st.lists(st.integers(0, 7), min_size=1),
    buffer_bytes=st.sampled_from([1, 200, 1 << 20]),
    of_all=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_rows_come_back_in_the_order_of_their_places(
    tmp_path_factory: pytest.TempPathFactory, places: list[int], sizes: list[int], buffer_bytes: int, of_all: bool
) -> None:
    rows = {place: {"spans": [place] * (place % 3), "score": float(place)} for place in places}
    scattered = Scattered(tmp_path_factory.mktemp("runs"), SCHEMA, buffer_bytes)
    left, draw = list(places), random.Random(0)
    while left:
        count = draw.choice([1, *sizes])
        taken, left = left[:count], left[count:]
        batch = pa.RecordBatch.from_pylist([rows[place] for place in taken], schema=SCHEMA)
        scattered.add(np.array(taken, np.int64), batch)
    found = [row for batch in scattered.in_order(41, of_all) for row in batch.to_pylist()]
    nothing = {"spans": None, "score": None}
    assert found == [rows.get(place, nothing) for place in range(41) if of_all or place in rows]
