"""`ifcurate directions`: directions that travel."""

from __future__ import annotations

import typer

from ifcurate.cli.commands import CONTEXT
from ifcurate.cli.declared import declared
from ifcurate.pipelines.publish_config import PublishDirectionConfig
from ifcurate.working import named


def publish(settings: PublishDirectionConfig) -> None:
    """Publish a direction with its card, for others to score with; private by default."""
    from ifcurate.pipelines.publish_direction import publish_direction

    published = publish_direction(settings)
    print(f"direction: {published.address or named(str(published.folder))}")


def directions() -> None:
    """Publish what a behaviour pulls on, so that others need neither queries nor curvature."""


command = typer.Typer(no_args_is_help=True, help=directions.__doc__, context_settings=CONTEXT)
command.callback()(lambda: None)
command.command()(declared(PublishDirectionConfig, publish, arguments=["direction"]))
