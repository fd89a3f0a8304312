"""`ifcurate publish`: a run as a data set on the Hub."""

from __future__ import annotations

from ifcurate.cli.declared import declared
from ifcurate.pipelines.publish_config import PublishConfig
from ifcurate.working import named


def publish(settings: PublishConfig) -> None:
    """Publish an annotated corpus, or its annotations alone, as a data set with a card; private by default."""
    from ifcurate.pipelines.publish import publish as run_recipe

    published = run_recipe(settings)
    for name, rows in published.rows.items():
        print(f"{name}: {rows:,} rows")
    print(f"data set: {published.address or named(str(published.folder))}")


command = declared(PublishConfig, publish, arguments=["run"])
