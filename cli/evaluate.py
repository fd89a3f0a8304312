"""`ifcurate eval`: whether it helped, in toxicity and in fluency."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ifcurate.cli.commands import CONTEXT
from ifcurate.cli.declared import declared
from ifcurate.evaluation.config import (
    CompareConfig,
    EvaluationConfig,
    FluencyConfig,
    ImplicitConfig,
    RecognitionConfig,
    ToxicityConfig,
)
from ifcurate.pipelines.activations_config import ActivationsConfig
from ifcurate.pipelines.attack_config import AttackConfig

if TYPE_CHECKING:
    from ifcurate.evaluation.results import ModelFolder


def toxicity(settings: ToxicityConfig) -> None:
    """Complete prompts and classify the completions: expected maximum toxicity and toxicity probability."""
    from ifcurate.cli.evaluation_tables import print_toxicity
    from ifcurate.pipelines.evaluate import evaluate_toxicity

    folders = evaluate_toxicity(settings)
    print_toxicity(folders)
    _compare(folders, Path(settings.out), settings.seed, figure=False)


def implicit(settings: ImplicitConfig) -> None:
    """Classify saved completions once more, by default for implicit toxicity with ToxiGen-RoBERTa."""
    from ifcurate.cli.evaluation_tables import print_toxicity
    from ifcurate.pipelines.evaluate import evaluate_saved

    models = _model_folders(settings.folders)
    evaluate_saved(models, settings.classifier, settings.label, settings.device, settings.seed, settings.trust)
    print_toxicity(models)


def fluency(settings: FluencyConfig) -> None:
    """Perplexity and bits per byte of held-out text, accuracy on LAMBADA, and tasks of lm-evaluation-harness."""
    from ifcurate.cli.evaluation_tables import print_fluency
    from ifcurate.pipelines.fluency import evaluate_fluency

    print_fluency(evaluate_fluency(settings))


def recognition(settings: RecognitionConfig) -> None:
    """Ask models whether labelled texts are toxic: what is not to be said should still be told when it is seen."""
    from ifcurate.cli.evaluation_tables import print_recognition
    from ifcurate.pipelines.recognition import evaluate_recognition

    print_recognition(evaluate_recognition(settings))


def activations(settings: ActivationsConfig) -> None:
    """Find where inside a model a behaviour shows: a vector a decoder block, to steer it by."""
    from ifcurate.cli.evaluation_tables import print_activations
    from ifcurate.pipelines.activations import find_activations

    print_activations(find_activations(settings))


def attack(settings: AttackConfig) -> None:
    """Look for suffixes that lead models to toxic completions (GCG), and count how often they do."""
    from ifcurate.cli.evaluation_tables import print_attacks
    from ifcurate.pipelines.attack import evaluate_attacks

    print_attacks(evaluate_attacks(settings))


def everything(settings: EvaluationConfig) -> None:
    """Toxicity, implicit toxicity and fluency of models, and their comparison."""
    from ifcurate.cli.evaluation_tables import print_fluency, print_skipped, print_toxicity
    from ifcurate.pipelines.available import can_draw
    from ifcurate.pipelines.evaluate import evaluate_all

    folders = evaluate_all(settings)
    print_toxicity(folders)
    print_fluency(folders)
    _compare(folders, Path(settings.out), settings.seed, settings.figure and can_draw())
    print_skipped(folders)


def compare(settings: CompareConfig) -> None:
    """Compare evaluated models; the first is the baseline of paired differences."""
    _compare(_model_folders(settings.folders), Path(settings.out), settings.seed, settings.figure)


def _model_folders(paths: Sequence[str]) -> list[ModelFolder]:
    from ifcurate.evaluation.results import ModelFolder

    return [ModelFolder(Path(path).resolve()) for path in paths]


def _compare(folders: Sequence[ModelFolder], out: Path, seed: int, figure: bool) -> None:
    """Print the comparison and write it, in the first process of a launch."""
    from ifcurate.cli.evaluation_tables import print_comparison
    from ifcurate.evaluation.comparison import compare_models
    from ifcurate.evaluation.comparison_files import can_be_drawn, draw_comparison, write_comparison
    from ifcurate.launch import is_first_process

    if not is_first_process():
        return
    comparison = compare_models(folders, seed)
    written = write_comparison(comparison, out)
    if figure and can_be_drawn(comparison):
        written.append(out / "comparison.png")
        draw_comparison(comparison, written[-1])
    print_comparison(comparison)
    typer.echo("written: " + ", ".join(str(path) for path in written))


def evaluate() -> None:
    """Measure toxicity and fluency of models, and compare them."""


command = typer.Typer(no_args_is_help=True, help=evaluate.__doc__, context_settings=CONTEXT)
command.command()(declared(ToxicityConfig, toxicity, arguments=["models"]))
command.command()(declared(ImplicitConfig, implicit, arguments=["folders"]))
command.command()(declared(FluencyConfig, fluency, arguments=["models"]))
command.command()(declared(RecognitionConfig, recognition, arguments=["models"]))
command.command()(declared(ActivationsConfig, activations, arguments=["model"]))
command.command()(declared(AttackConfig, attack, arguments=["models"]))
command.command(name="all")(declared(EvaluationConfig, everything, arguments=["models"]))
command.command()(declared(CompareConfig, compare, arguments=["folders"]))
