"""`ifcurate report`: a run as a page to explore."""

from __future__ import annotations

from ifcurate.cli.declared import declared
from ifcurate.pipelines.report_config import ReportConfig


def report(settings: ReportConfig) -> None:
    """Write RUN/report.html: what was found, the documents, and what another quantile or budget would select."""
    from ifcurate.pipelines.report import report as run_recipe

    print(f"report: {run_recipe(settings)}")


command = declared(ReportConfig, report, arguments=["run"])
