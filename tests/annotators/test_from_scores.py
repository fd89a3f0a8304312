"""Ranks of scores, and what is made of the scores of other runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from score_files import write_scores

from ifcurate.annotators.base import Asked, Document, ScoredRun
from ifcurate.annotators.from_scores import DDA, Fuse, InfluenceDocuments
from ifcurate.annotators.ranks import RankTable, write_ranks
from ifcurate.errors import InputError


def ranks_by_hand(values: Sequence[float]) -> list[float]:
    """As `scipy.stats.rankdata`: equal values share the mean of their ranks."""
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2 for value in values
    ]


def run_of(folder: Path, scores: Sequence[Sequence[Sequence[float]]]) -> ScoredRun:
    """A run with a score file for each list of documents."""
    files = [(str(number), write_scores(folder / f"{number}.parquet", shard)) for number, shard in enumerate(scores)]
    return ScoredRun(str(folder), "toxic", tuple(files), "0" * 64)


def document(*scores: Sequence[float]) -> Document:
    nothing = np.zeros(len(scores[0]), np.int32)
    return Document(nothing, nothing, nothing, scores=tuple(np.array(each, np.float32) for each in scores))


def test_equal_scores_share_their_rank(tmp_path: Path) -> None:
    shards = [[[0.5, -1.0, 0.0], [], [-0.0, 3e38]], [[], [0.5, 1e-45, -1.0, 0.5]]]
    write_ranks([path for _, path in run_of(tmp_path, shards).sidecars], "toxic", tmp_path / "ranks")
    values = [value for shard in shards for own in shard for value in own]
    found = RankTable.load(tmp_path / "ranks").of(np.array(values, np.float32))
    assert found * len(values) + 0.5 == pytest.approx(ranks_by_hand(values))
    assert sorted(file.name for file in (tmp_path / "ranks").iterdir()) == ["ranks.npy", "values.npy"]


def test_fuse_is_the_mean_of_ranks(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    scores = [[generator.integers(0, 9, size).tolist() for size in (4, 0, 7)] for _ in range(2)]
    asked = Asked(
        of=tuple(run_of(tmp_path / name, [own]) for name, own in zip("ab", scores, strict=True)), folder=tmp_path
    )
    assert len(Fuse.prepare(asked)["of"]) == 2
    Fuse.keep(asked)
    marks = np.concatenate(Fuse({}, {}, asked).marks([document(*both) for both in zip(*scores, strict=True)]))
    first, second = (np.array(ranks_by_hand([value for each in own for value in each])) for own in scores)
    assert marks.dtype == np.float32
    assert marks == pytest.approx(((first + second) / 2 - 0.5) / 11)
    with pytest.raises(InputError, match="give two or more"):
        Fuse.prepare(Asked(of=asked.of[:1]))


def test_a_document_has_its_sum_on_every_token(tmp_path: Path) -> None:
    marks = InfluenceDocuments({}, {}, Asked()).marks([document([1.5, -1.0, 0.25]), document([])])
    assert [own.tolist() for own in marks] == [[0.75] * 3, []]
    both = Asked(of=(run_of(tmp_path, [[[1.0]]]),) * 2)
    with pytest.raises(InputError, match="2 runs are given, and documents are of one"):
        InfluenceDocuments.prepare(both)


def test_what_was_known_before_is_taken_from_the_mean_of_checkpoints() -> None:
    marks = DDA({}, {}, Asked()).marks([document([1.0, -2.0], [3.0, 0.5], [0.25, -1.0]), document([], [])])
    assert [own.tolist() for own in marks] == [[1.75, 0.25], []]
    assert all(own.dtype == np.float32 for own in marks)


def test_a_damaged_table_of_ranks_is_refused(tmp_path: Path) -> None:
    write_ranks([path for _, path in run_of(tmp_path, [[[0.5, -1.0, 2.0]]]).sidecars], "toxic", tmp_path / "ranks")
    ranks = tmp_path / "ranks/ranks.npy"
    ranks.write_bytes(ranks.read_bytes()[:-4])
    with pytest.raises(InputError, match="is no table of ranks, or is damaged"):
        RankTable.load(tmp_path / "ranks")
    ranks.unlink()
    with pytest.raises(InputError, match="is no table of ranks, or is damaged"):
        RankTable.load(tmp_path / "ranks")
