"""`ifcurate eval`: whether it helped, in toxicity and in fluency."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ifcurate.cli import evaluation_options as o

if TYPE_CHECKING:
    from ifcurate.evaluation.results import ModelFolder

evaluate = typer.Typer(no_args_is_help=True, help="Measure toxicity and fluency of models, and compare them.")


@evaluate.command()
def toxicity(
    models: o.Models = None,
    out: o.Out = None,
    prompts: o.Prompts = None,
    config: o.ConfigFile = None,
    split: o.Split = None,
    prompt_column: o.PromptColumn = None,
    toxicity_column: o.ToxicityColumn = None,
    toxic_from: o.ToxicFrom = None,
    group_column: o.GroupColumn = None,
    sample: o.Sample = None,
    balanced: o.Balanced = None,
    classifier: o.ClassifierName = None,
    label: o.Label = None,
    completions: o.Completions = None,
    max_new_tokens: o.MaxNewTokens = None,
    temperature: o.Temperature = None,
    top_p: o.TopP = None,
    start_token: o.StartToken = None,
    batch_prompts: o.BatchPrompts = None,
    backend: o.Backend = None,
    decoding: o.Decoding = None,
    reward_model: o.RewardModel = None,
    rad_beta: o.RadBeta = None,
    rad_k: o.RadK = None,
    rad_label: o.RadLabel = None,
    rad_invert: o.RadInvert = None,
    revision: o.Revision = None,
    device: o.Device = None,
    dtype: o.Dtype = None,
    threads: o.Threads = None,
    seed: o.Seed = None,
) -> None:
    """Complete prompts and classify the completions: expected maximum toxicity and toxicity probability."""
    given = {name: value for name, value in locals().items() if name != "config"}
    from ifcurate.cli.evaluation_tables import print_toxicity
    from ifcurate.cli.quiet import quieten
    from ifcurate.config import build
    from ifcurate.evaluation.config import ToxicityConfig
    from ifcurate.pipelines.evaluate import evaluate_toxicity

    quieten()
    settings = build(ToxicityConfig, given, config)
    folders = evaluate_toxicity(settings)
    print_toxicity(folders)
    _compare(folders, Path(settings.out), settings.seed, figure=False)


@evaluate.command()
def implicit(
    folders: o.Folders,
    classifier: o.ClassifierName = "toxigen",
    label: o.Label = None,
    device: o.Device = "auto",
    seed: o.Seed = 42,
) -> None:
    """Classify saved completions once more, by default for implicit toxicity with ToxiGen-RoBERTa."""
    from ifcurate.cli.evaluation_tables import print_toxicity
    from ifcurate.cli.quiet import quieten
    from ifcurate.pipelines.evaluate import evaluate_saved

    assert classifier is not None and device is not None and seed is not None
    quieten()
    models = _model_folders(folders)
    evaluate_saved(models, classifier, label, device, seed)
    print_toxicity(models)


@evaluate.command()
def fluency(
    models: o.Models = None,
    out: o.Out = None,
    text: o.Text = None,
    lambada: o.Lambada = None,
    tasks: o.Tasks = None,
    config: o.ConfigFile = None,
    text_column: o.TextColumn = None,
    context: o.Context = None,
    stride: o.Stride = None,
    start_token: o.StartToken = None,
    batch_tokens: o.BatchTokens = None,
    revision: o.Revision = None,
    device: o.Device = None,
    dtype: o.Dtype = None,
    threads: o.Threads = None,
    seed: o.Seed = None,
) -> None:
    """Perplexity and bits per byte of held-out text, accuracy on LAMBADA, and tasks of lm-evaluation-harness."""
    given = {name: value for name, value in locals().items() if name != "config"}
    from ifcurate.cli.evaluation_tables import print_fluency
    from ifcurate.cli.quiet import quieten
    from ifcurate.config import build
    from ifcurate.evaluation.config import FluencyConfig
    from ifcurate.pipelines.evaluate import evaluate_fluency

    quieten()
    print_fluency(evaluate_fluency(build(FluencyConfig, given, config)))


@evaluate.command(name="all")
def everything(
    models: o.Models = None,
    out: o.Out = None,
    prompts: o.Prompts = None,
    text: o.Text = None,
    lambada: o.Lambada = None,
    tasks: o.Tasks = None,
    config: o.ConfigFile = None,
    figure: o.Figure = True,
    split: o.Split = None,
    prompt_column: o.PromptColumn = None,
    toxicity_column: o.ToxicityColumn = None,
    toxic_from: o.ToxicFrom = None,
    group_column: o.GroupColumn = None,
    sample: o.Sample = None,
    balanced: o.Balanced = None,
    classifier: o.ClassifierName = None,
    label: o.Label = None,
    implicit_classifier: o.ImplicitClassifier = None,
    completions: o.Completions = None,
    max_new_tokens: o.MaxNewTokens = None,
    temperature: o.Temperature = None,
    top_p: o.TopP = None,
    start_token: o.StartToken = None,
    batch_prompts: o.BatchPrompts = None,
    backend: o.Backend = None,
    decoding: o.Decoding = None,
    reward_model: o.RewardModel = None,
    rad_beta: o.RadBeta = None,
    rad_k: o.RadK = None,
    rad_label: o.RadLabel = None,
    rad_invert: o.RadInvert = None,
    text_column: o.TextColumn = None,
    context: o.Context = None,
    stride: o.Stride = None,
    batch_tokens: o.BatchTokens = None,
    revision: o.Revision = None,
    device: o.Device = None,
    dtype: o.Dtype = None,
    threads: o.Threads = None,
    seed: o.Seed = None,
) -> None:
    """Toxicity, implicit toxicity and fluency of models, and their comparison."""
    given = {name: value for name, value in locals().items() if name not in ("config", "figure")}
    from ifcurate.cli.evaluation_tables import print_fluency, print_toxicity
    from ifcurate.cli.quiet import quieten
    from ifcurate.config import build
    from ifcurate.evaluation.config import EvaluationConfig
    from ifcurate.pipelines.evaluate import evaluate_all

    quieten()
    settings = build(EvaluationConfig, given, config)
    folders = evaluate_all(settings)
    print_toxicity(folders)
    print_fluency(folders)
    _compare(folders, Path(settings.out), settings.seed, figure)


@evaluate.command()
def compare(
    folders: o.Folders,
    out: Path = typer.Option(Path("comparison"), help="Folder for comparison.json, .csv, .md and .png."),
    figure: o.Figure = True,
    seed: o.Seed = 42,
) -> None:
    """Compare evaluated models; the first is the baseline of paired differences."""
    from ifcurate.cli.quiet import quieten

    assert seed is not None
    quieten()
    _compare(_model_folders(folders), out, seed, figure)


def _model_folders(paths: Sequence[Path]) -> list[ModelFolder]:
    from ifcurate.evaluation.results import ModelFolder

    return [ModelFolder(path.resolve()) for path in paths]


def _compare(folders: Sequence[ModelFolder], out: Path, seed: int, figure: bool) -> None:
    """Print the comparison and write it, in the first process of a launch."""
    from ifcurate.cli.evaluation_tables import is_first_process, print_comparison
    from ifcurate.evaluation.comparison import compare_models
    from ifcurate.evaluation.comparison_files import can_be_drawn, draw_comparison, write_comparison

    if not is_first_process():
        return
    comparison = compare_models(folders, seed)
    written = write_comparison(comparison, out)
    if figure and can_be_drawn(comparison):
        written.append(out / "comparison.png")
        draw_comparison(comparison, written[-1])
    print_comparison(comparison)
    typer.echo("written: " + ", ".join(str(path) for path in written))
