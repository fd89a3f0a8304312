"""`ifcurate train`: a model pushed away from the marked tokens of an annotated corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ifcurate.cli import options as o

if TYPE_CHECKING:
    from ifcurate.pipelines.train import TrainingSummary
    from ifcurate.training.config import TrainConfig

MODEL = "Model"
PENALTY = "Penalty"
OPTIMIZATION = "Optimization"
RECORDS = "Evaluation, checkpoints, logs"

Data = Annotated[str | None, typer.Option(help="A run, or folder, glob or Hub data set of annotated shards.")]
TrainOut = Annotated[str | None, typer.Option("--out", help="Folder for the trained model.")]
TrainConfigFile = Annotated[
    Path | None, typer.Option("--config", help="YAML with these options; a training.yaml replays a training.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")]

FineTuned = Annotated[str | None, typer.Option("--model", help="Folder or Hub id to fine-tune.", rich_help_panel=MODEL)]
ConfigOnly = Annotated[str | None, typer.Option(help="Model or JSON to train from scratch.", rich_help_panel=MODEL)]
TokenizerOption = Annotated[
    str | None, typer.Option("--tokenizer", help="Folder or Hub id; default: the model's.", rich_help_panel=MODEL)
]
RowTokens = Annotated[
    int | None,
    typer.Option("--context", help="Tokens a row; default: the model's, at most 2048.", rich_help_panel=MODEL),
]

Behaviours = Annotated[
    list[str] | None,
    typer.Option(
        "--behaviour", help="Whose masks a bare --penalty number is for; default: toxic.", rich_help_panel=PENALTY
    ),
]
Penalties = Annotated[
    list[str] | None,
    typer.Option(
        "--penalty",
        help="BEHAVIOUR=LAMBDA, or LAMBDA, or BEHAVIOUR (lambda 1). 0 filters; default: plain training.",
        rich_help_panel=PENALTY,
    ),
]
Form = Annotated[
    str | None,
    typer.Option(
        "--penalty-form", help="ascent (Eq. 9) or unlikelihood (bounded); default: ascent.", rich_help_panel=PENALTY
    ),
]

Preset = Annotated[str | None, typer.Option(help="Named penalties, overridden by options: paper, gentle.")]
Steps = Annotated[int | None, typer.Option(help="Optimizer steps; default: 2000.", rich_help_panel=OPTIMIZATION)]
Epochs = Annotated[
    float | None, typer.Option(help="Passes over the data; default: 4 from scratch.", rich_help_panel=OPTIMIZATION)
]
StepTokens = Annotated[
    int | None, typer.Option("--batch-tokens", help="Tokens a step; default: 524288.", rich_help_panel=OPTIMIZATION)
]
MicroBatch = Annotated[
    int | None, typer.Option(help="Rows a forward pass and process; default: at most 16.", rich_help_panel=OPTIMIZATION)
]
LearningRate = Annotated[
    float | None, typer.Option(help="Default: 6e-5; 6e-4 from scratch.", rich_help_panel=OPTIMIZATION)
]
Schedule = Annotated[
    str | None, typer.Option(help="cosine, linear or constant; default: cosine.", rich_help_panel=OPTIMIZATION)
]
Warmup = Annotated[float | None, typer.Option(help="Share of the steps; default: 0.01.", rich_help_panel=OPTIMIZATION)]
WeightDecay = Annotated[float | None, typer.Option(help="Default: 4e-4.", rich_help_panel=OPTIMIZATION)]
Beta1 = Annotated[float | None, typer.Option(help="Default: 0.9.", rich_help_panel=OPTIMIZATION)]
Beta2 = Annotated[float | None, typer.Option(help="Default: 0.95.", rich_help_panel=OPTIMIZATION)]
Clip = Annotated[
    float | None, typer.Option(help="Largest gradient norm; 0: none; default: 1.", rich_help_panel=OPTIMIZATION)
]

EvalFile = Annotated[str | None, typer.Option(help="Held-out text: shard or folder.", rich_help_panel=RECORDS)]
EvalEvery = Annotated[int | None, typer.Option(help="Steps; default: only at the end.", rich_help_panel=RECORDS)]
SaveEvery = Annotated[
    int | None, typer.Option(help="Steps between checkpoints; default: 500.", rich_help_panel=RECORDS)
]
Keep = Annotated[int | None, typer.Option(help="Checkpoints kept; default: 2.", rich_help_panel=RECORDS)]
LogEvery = Annotated[int | None, typer.Option(help="Steps between lines; default: 10.", rich_help_panel=RECORDS)]
Logger = Annotated[
    list[str] | None, typer.Option(help="tensorboard, wandb, ... (repeatable).", rich_help_panel=RECORDS)
]
Watch = Annotated[
    bool | None,
    typer.Option("--watch/--no-watch", help="Sample text, warn of repetition; default: yes.", rich_help_panel=RECORDS),
]

Precision = Annotated[
    str | None, typer.Option(help="float32 or bfloat16; default: bfloat16 on a GPU.", rich_help_panel=o.MACHINE)
]
TrainDevice = Annotated[
    str | None, typer.Option("--device", help="auto or cpu; default: auto.", rich_help_panel=o.MACHINE)
]
GradientCheckpointing = Annotated[
    bool | None,
    typer.Option("--gradient-checkpointing", help="Less memory, more time.", rich_help_panel=o.MACHINE),
]
Liger = Annotated[
    bool | None,
    typer.Option(
        "--liger/--no-liger", help="Liger kernels on a GPU, if installed; default: yes.", rich_help_panel=o.MACHINE
    ),
]


def train(
    data: Data = None,
    out: TrainOut = None,
    model: FineTuned = None,
    config_only: ConfigOnly = None,
    penalty: Penalties = None,
    penalty_form: Form = None,
    behaviour: Behaviours = None,
    preset: Preset = None,
    config: TrainConfigFile = None,
    resume: Resume = False,
    revision: o.Revision = None,
    tokenizer: TokenizerOption = None,
    text_column: o.TextColumn = None,
    context: RowTokens = None,
    steps: Steps = None,
    epochs: Epochs = None,
    batch_tokens: StepTokens = None,
    micro_batch: MicroBatch = None,
    learning_rate: LearningRate = None,
    schedule: Schedule = None,
    warmup: Warmup = None,
    weight_decay: WeightDecay = None,
    beta1: Beta1 = None,
    beta2: Beta2 = None,
    clip: Clip = None,
    eval_file: EvalFile = None,
    eval_every: EvalEvery = None,
    save_every: SaveEvery = None,
    keep: Keep = None,
    log_every: LogEvery = None,
    logger: Logger = None,
    watch: Watch = None,
    precision: Precision = None,
    device: TrainDevice = None,
    gradient_checkpointing: GradientCheckpointing = None,
    liger: Liger = None,
    seed: o.Seed = None,
) -> None:
    """Train on an annotated corpus, with a penalty on the marked tokens. Runs under torchrun and accelerate too."""
    given = {name: value for name, value in locals().items() if name not in ("config", "resume")}
    from ifcurate.cli.quiet import quieten
    from ifcurate.config import build
    from ifcurate.pipelines.train import is_first_process
    from ifcurate.pipelines.train import train as run_train
    from ifcurate.training.config import PRESETS, TrainConfig

    quieten()
    given |= {name: value or None for name, value in given.items() if isinstance(value, list)}
    settings = build(TrainConfig, given, config, PRESETS)
    summary = run_train(settings, resume, typer.echo)
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
