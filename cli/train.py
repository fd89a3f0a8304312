"""`ifcurate train`: a model pushed away from the marked tokens of an annotated corpus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from ifcurate.cli.declared import declared
from ifcurate.training.config import PRESETS, TrainConfig

if TYPE_CHECKING:
    from ifcurate.pipelines.train import TrainingSummary


def train(settings: TrainConfig) -> None:
    """Train on an annotated corpus, with a penalty on the marked tokens. Runs under torchrun and accelerate too."""
    from ifcurate.pipelines.train import is_first_process
    from ifcurate.pipelines.train import train as run

    summary = run(settings)
    if is_first_process():
        _print(summary, settings)


def _print(summary: TrainingSummary, settings: TrainConfig) -> None:
    """What was done, how long it took, how good the model is and where it is."""
    typer.echo(
        f"{summary.steps:,} steps in {summary.seconds:,.0f} s, {summary.tokens_per_second:,.0f} tokens/s; "
        f"waited for data {summary.data_wait_share:.2%} of the time"
    )
    if summary.held_out_perplexity is not None:
        typer.echo(f"held-out perplexity {summary.held_out_perplexity:.2f}")
    typer.echo(f"model: {settings.out}")


command = declared(TrainConfig, train, presets=PRESETS)
