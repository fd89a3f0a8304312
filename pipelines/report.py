"""Recipe of `ifcurate report`: the page about a run, from what the run left on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ifcurate.errors import InputError
from ifcurate.evaluation.folders import COMPARISON_FILE
from ifcurate.pipelines.corpus_record import recorded_shards
from ifcurate.pipelines.report_config import ReportConfig
from ifcurate.pipelines.run import Run, open_run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.select import selection_settings
from ifcurate.pipelines.written import columns_metadata, is_written, report_source
from ifcurate.report.html import ReportOptions, write_report
from ifcurate.report.source import ReportSource
from ifcurate.selection.table import Selection

REPORT_FILE = "report.html"
EVALUATION = "evaluation"
"""Folder of a run where an evaluation is looked for, if nobody says where it is."""


def report(config: ReportConfig) -> Path:
    """Write `report.html` into the run; returns where it is. Nothing is scored or selected.

    Raises:
        InputError: the run is not written, or something that is asked for is not there.
    """
    run, settings = open_run(config.run)
    shards = recorded_shards(run)
    selections = [Selection.load(run.selection, behaviour) for behaviour in run.behaviours or [settings.behaviour]]
    metadata = {each.behaviour: columns_metadata(run, settings, each, shards) for each in selections}
    for file in (shard.annotated(run.data, settings.output_format) for shard in shards):
        if not is_written(file, metadata):
            raise InputError(f"{file}: is missing, or of an earlier selection; run `ifcurate write {run.root}` first.")
    source = report_source(run, settings, shards, metadata)
    return write_run_report(run, settings, source, config.columns, config.evaluation)


def write_run_report(
    run: Run, config: RunConfig, source: ReportSource, columns: Sequence[str] = (), evaluation: str | None = None
) -> Path:
    """Write `report.html` of a run whose shards are annotated; returns where it is.

    Raises:
        InputError: a file is missing or damaged, or there is no such column or evaluation.
    """
    own = run.root / EVALUATION
    compared = own if evaluation is None and (own / COMPARISON_FILE).is_file() else None
    if evaluation is not None:
        compared = Path(evaluation)
    options = ReportOptions(
        sidecars={name: run.scores / f"{name}.parquet" for name in source.data},
        settings=[selection_settings(run, config.for_behaviour(behaviour)) for behaviour in source.metadata],
        columns=columns,
        evaluation=compared,
    )
    write_report(source, options, run.root / REPORT_FILE)
    return run.root / REPORT_FILE
