"""A shard that was stopped in its middle goes on there, and ends as one that was not; nothing else is ever taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from datatrove.data import Document
from runs import Workshop, contents, rows_of, texts, write_shards

from ifcurate.influence.scorer import Work
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.stage_times import read_stages
from ifcurate.pipelines.steps import score_tokens
from ifcurate.pipelines.steps.kept_groups import KeptGroups, ScoredGroup
from ifcurate.selection.scores import TOKEN_IDS

DOCUMENTS = [Document(text, text, metadata={"shard": "sub/a", "row": 7 + row}) for row, text in enumerate("xyz")]
GROUP = ScoredGroup(
    np.array([2, 0, 1]),
    {"token_ids": np.arange(3, dtype=np.int32), "toxic_influence": np.array([1, 2**-30, -3], np.float32)},
    Work(tokens=3, positions=4, halvings=5),
    np.array([True, True, False]),
)


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("groups_before", [1, 3])
def test_a_shard_stopped_in_its_middle_goes_on_there(
    groups_before: int, workshop: Workshop, finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_tokens, "CHARACTERS_PER_GROUP", 1000)
    corpus = write_shards(tmp_path / "corpus", [texts(60, seed) for seed in range(2)])
    options = {"corpus": corpus, "direction": finished.direction("toxic"), "engine": "jvp"}
    whole = workshop.annotate(out=tmp_path / "whole", **options)
    scored: list[tuple[str, int]] = []
    score = score_tokens.ScoreTokens._score

    def stopped(step: score_tokens.ScoreTokens, loaded: object, group: list[Document], is_last: bool) -> ScoredGroup:
        scored.append((group[0].metadata["shard"], group[0].metadata["row"]))
        if len(scored) == groups_before + 1:
            raise StoppedError
        return score(step, loaded, group, is_last)

    monkeypatch.setattr(score_tokens.ScoreTokens, "_score", stopped)
    with pytest.raises(StoppedError):
        workshop.annotate(out=tmp_path / "run", **options)
    run = Run(tmp_path / "run")
    kept = sorted(run.unfinished.rglob("*.group"))
    assert len(kept) == groups_before
    again = workshop.annotate(out=run.root, **options)
    assert len(scored) == len(set(scored)) + 1, "only the group that was stopped is scored twice"
    assert contents(again) == contents(whole)
    assert not run.unfinished.exists()
    tokens = sum(len(row[TOKEN_IDS]) for row in rows_of(run.scores))
    before, after = ({stage.name: stage for stage in read_stages(each.logs)}["score"] for each in (whole, again))
    assert before.counts == after.counts
    assert after.counts["tokens"] == tokens


def test_what_is_kept_is_found_as_it_was(tmp_path: Path) -> None:
    kept = KeptGroups(tmp_path, {"direction": "1"})
    assert kept.find(DOCUMENTS) is None
    kept.keep(DOCUMENTS, GROUP)
    found = kept.find(DOCUMENTS)
    assert found is not None
    found.attach(DOCUMENTS)
    assert [document.metadata["token_ids"] for document in DOCUMENTS] == [[0, 1], [], [2]]
    assert [document.metadata["toxic_influence"] for document in DOCUMENTS] == [[1.0, 2.0**-30], [], None]
    assert found.work == GROUP.work
    kept.remove("sub/b")
    kept.remove("sub/a")
    assert not list(tmp_path.rglob("*.group"))


def changed_text(documents: list[Document]) -> None:
    documents[1].text = "other"


def moved(documents: list[Document]) -> None:
    del documents[2]


@pytest.mark.parametrize("change", [changed_text, moved])
def test_scores_of_other_texts_are_not_taken(
    change: Callable[[list[Document]], None], tmp_path: Path, messages: Callable[[], list[str]]
) -> None:
    kept = KeptGroups(tmp_path, {"direction": "1"})
    documents = [Document(text=one.text, id=one.id, metadata=dict(one.metadata)) for one in DOCUMENTS]
    kept.keep(documents, GROUP)
    change(documents)
    assert kept.find(documents) is None
    assert messages()[-1].startswith(f"{tmp_path}/sub/a/7.group: is damaged, or of other documents or settings;")


def test_scores_along_another_direction_are_not_taken(tmp_path: Path) -> None:
    KeptGroups(tmp_path, {"direction": "1"}).keep(DOCUMENTS, GROUP)
    assert KeptGroups(tmp_path, {"direction": "2"}).find(DOCUMENTS) is None
    assert KeptGroups(tmp_path, {"direction": "1"}).find(DOCUMENTS) is not None


def test_no_damaged_bit_is_taken(tmp_path: Path, messages: Callable[[], list[str]]) -> None:
    kept = KeptGroups(tmp_path, {})
    kept.keep(DOCUMENTS, GROUP)
    [file] = tmp_path.rglob("*.group")
    whole = file.read_bytes()
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        assert kept.find(DOCUMENTS) is None
        file.write_bytes(whole[:place])
        assert kept.find(DOCUMENTS) is None
    assert len(messages()) == 2 * len(whole)
