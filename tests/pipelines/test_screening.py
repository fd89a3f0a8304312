"""`annotate --screen`: what it scores, what it leaves alone, and what reads its results."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from commands import Command
from runs import Workshop, contents, rows_of

from ifcurate.errors import InputError
from ifcurate.export.config import ExportConfig
from ifcurate.pipelines.export import export
from ifcurate.pipelines.finished_run import FinishedRun
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.screen import screen
from ifcurate.pipelines.screen_config import ScreenConfig

NULL = ("toxic_influence", "toxic_mask", "toxic_score", "toxic_rank", "toxic_sparsity")


@pytest.fixture(scope="module")
def learnt(finished: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("screens") / "screen"
    screen(ScreenConfig(run=str(finished.root), out=str(folder)))
    return folder


@pytest.fixture(scope="module")
def screened(workshop: Workshop, finished: Run, learnt: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("screened") / "run"
    return workshop.annotate(
        out=out, direction=finished.direction("toxic"), screen=learnt, share="40%", audit="30%", engine="jvp"
    )


def test_a_share_of_100_percent_is_the_run_without_a_screen(
    workshop: Workshop, finished: Run, learnt: Path, tmp_path: Path
) -> None:
    whole = workshop.annotate(
        out=tmp_path / "whole", direction=finished.direction("toxic"), screen=learnt, share="100%"
    )
    for folder in ("data", "scores", "selection"):
        for file in sorted((finished.root / folder).rglob("*.parquet")):
            expected = pq.read_table(file)
            found = pq.read_table(whole.root / file.relative_to(finished.root)).select(expected.schema.names)
            assert found.replace_schema_metadata() == expected.replace_schema_metadata()
    selections = [json.loads((run.selection / "toxic.json").read_text()) for run in (finished, whole)]
    assert selections[1].pop("screened")["recall"] == 1.0
    assert selections[0].pop("screened") is None
    assert selections[0] == selections[1]


def test_documents_without_a_score_are_null_and_the_others_are_as_scored_alone(finished: Run, screened: Run) -> None:
    rows, before = rows_of(screened.data), rows_of(finished.data)
    scored = [row["toxic_influence"] is not None for row in rows]
    assert 5 < sum(scored) < len(rows) - 5
    for row, old, has in zip(rows, before, scored, strict=True):
        assert row["text"] == old["text"] and row["token_ids"] == old["token_ids"]
        assert has or (all(row[name] is None for name in NULL) and row["toxic_spans"] == [])
        if has:
            assert row["toxic_influence"] == pytest.approx(old["toxic_influence"], rel=1e-2, abs=1e-3)


def test_metadata_report_and_card_say_what_was_missed(screened: Run) -> None:
    said = json.loads(pq.read_schema(next(screened.data.glob("*.parquet"))).metadata[b"ifcurate"])["toxic"]["screened"]
    assert said["audit"] == 0.3 and said["share"] >= 0.4
    assert 0 <= said["recall_low"] <= said["recall"] <= said["recall_high"] <= 1
    assert "of the text scored, and 30.00% of the rest as an audit" in (screened.root / "report.html").read_text()
    assert '"recall_low"' in (screened.root / "README.md").read_text()


def test_exports_and_finished_runs_know_them(screened: Run, tmp_path: Path) -> None:
    export(ExportConfig(data=str(screened.root), out=str(tmp_path / "attributes"), format="attributes"))
    export(ExportConfig(data=str(screened.root), out=str(tmp_path / "hf"), format="hf"))
    assert FinishedRun.open(str(screened.root)).histogram("toxic").total == sum(
        len(row["toxic_influence"] or ()) for row in rows_of(screened.data)
    )


def test_inspect_refuses_a_document_without_a_score(screened: Run, command: Command) -> None:
    table = pq.read_table(sorted(screened.data.glob("*.parquet"))[0])
    row = next(number for number, value in enumerate(table["toxic_mask"].to_pylist()) if value is None)
    shard = sorted(screened.data.glob("*.parquet"))[0].stem
    assert (
        "has no score, the screen found it not worth one"
        in command("inspect", screened.root, "--row", f"{shard}:{row}").error
    )
    assert command("inspect", screened.root).code == 0


def test_the_same_command_goes_on_and_another_screen_is_refused(
    workshop: Workshop, finished: Run, screened: Run, learnt: Path, tmp_path: Path
) -> None:
    given = {"direction": finished.direction("toxic"), "engine": "jvp", "audit": "30%", "out": screened.root}
    before = contents(screened)
    for file in (next(screened.scores.glob("*.parquet")), next(screened.screened.glob("*.parquet"))):
        file.unlink()
    workshop.annotate(**given, screen=learnt, share="40%")
    assert contents(screened) == before
    with pytest.raises(InputError, match=r"option --share: .* was made with '40%', not '50%'"):
        workshop.annotate(**given, screen=learnt, share="50%")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"share": "10%"}, "--share and --recall need a --screen"),
        ({"screen": "S"}, "--screen needs either --share or --recall"),
        ({"screen": "S", "share": "10%", "recall": "0.9"}, "--screen needs either --share or --recall"),
        ({"screen": "S", "share": "0%"}, "must be more than 0% and at most 100%"),
        ({"screen": "S", "share": "ten"}, "must be a percentage such as 10%"),
        ({"screen": "S", "share": "10%", "with_loss": True}, "--with-loss needs every document scored"),
    ],
)
def test_settings_that_do_not_fit_are_refused(workshop: Workshop, given: dict[str, object], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        workshop.config(**given)
