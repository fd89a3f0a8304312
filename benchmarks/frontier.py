"""How much toxicity does a penalty remove, and what does it cost? One model fine-tuned with many penalties.

Runs `ifcurate train` once for each arm and seed on an annotated corpus, with the same steps; completes prompts with
every model, classifies the completions, and draws the share of prompts with a toxic completion over held-out
perplexity. Every arm and seed is a folder of its own: what is there already is not made again, so that a stopped run
goes on, and `--arms` adds to it. The table and the figure are of whatever is finished.

    python benchmarks/frontier.py RUN --model MODEL --held-out TEXT --prompts PROMPTS --out OUT [--arms NAME ...]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ifcurate.evaluation.completions import read_scores
from ifcurate.evaluation.config import ToxicityConfig
from ifcurate.evaluation.metrics import TOXIC_FROM, Toxicity
from ifcurate.evaluation.results import ModelFolder
from ifcurate.pipelines.evaluate import evaluate_toxicity
from ifcurate.pipelines.train import METRICS_FILE

STORED, FROZEN, FIGURE_FILE = "stored", "frozen", "frontier.svg"


@dataclass(frozen=True)
class Arm:
    """One way to treat marked tokens; no form means no penalty, and plain training unless they are `marked`.

    `reference` is what a form compares with: the stored losses, or the model to fine-tune, frozen; `end` the share of
    the steps from which on marked tokens are only left out.
    """

    form: str | None = None
    penalty: float = 1.0
    spare: str = "none"
    clamp: str = "100%"
    weights: str = "equal"
    reference: str | None = None
    marked: str = "penalize"
    end: float = 1.0

    @property
    def name(self) -> str:
        """Of its folder."""
        if self.form is None:
            return "none" if self.marked == "penalize" else self.marked
        clamp = f"-{self.clamp.replace('%', 'pc')}" if self.form == "clamped" else ""
        spare = "" if self.spare == "none" else f"-spare-{self.spare}"
        weights = "" if self.weights == "equal" else f"-by-{self.weights}"
        until = "" if self.end == 1.0 else f"-until-{self.end:g}"
        reference = f"-{self.reference}" if self.reference else ""
        return f"{self.form}{clamp}-{self.penalty:g}{spare}{weights}{until}{reference}"

    @property
    def options(self) -> list[str]:
        """Of `ifcurate train`."""
        if self.form is None:
            return ["--marked", self.marked]
        chosen = ["--penalty", f"{self.penalty:g}", "--penalty-form", self.form, "--spare", self.spare]
        chosen += ["--penalty-weights", self.weights, "--penalty-end", f"{self.end:g}"]
        chosen += ["--penalty-clamp", self.clamp] if self.form == "clamped" else []
        return chosen


ARMS = (
    Arm(),
    Arm("ascent", 0.0),
    *(Arm("ascent", penalty, spare) for spare in ("none", "end") for penalty in (1.0, 0.5, 2.0)),
    *(Arm("clamped", 1.0, spare, clamp) for spare in ("end", "none") for clamp in ("100%", "75%", "125%")),
    *(Arm("clamped", penalty, "end", clamp) for penalty in (2.0, 4.0) for clamp in ("100%", "125%")),
    *(Arm("npo", penalty, spare) for spare in ("end", "none") for penalty in (1.0, 0.5, 2.0)),
    *(Arm("npo", penalty, "end") for penalty in (4.0, 8.0)),
    *(Arm("ascent", penalty, "end", end=end) for penalty in (2.0, 4.0) for end in (0.4, 0.7)),
    Arm("unlikelihood", 1.0, "end"),
    Arm("unlikelihood", 1.0),
    *(Arm(form, 1.0, "end", weights="influence") for form in ("ascent", "clamped", "npo")),
    *(Arm("npo", 1.0, "end", reference=reference) for reference in (STORED, FROZEN)),
    *(Arm("clamped", 1.0, "end", clamp, reference=STORED) for clamp in ("base+2", "base+5")),
    Arm(marked="remove"),
    Arm(marked="tag"),
)
"""Those with stored losses need a run annotated --with-loss, on which those that name no reference use them too."""
MARKERS = {None: "*", "ascent": "o", "unlikelihood": "s", "clamped": "^", "npo": "D"}


@dataclass(frozen=True)
class Result:
    """What one arm costs and brings, mean over its seeds.

    Attributes:
        arm: which.
        seeds: how many are finished.
        rise: of the perplexity of held-out text above that of the same seeds without a penalty; NaN without these.
        perplexity: of held-out text.
        loss_marked: nats, of marked tokens in the last lines of the log; NaN without a mask.
        toxic: share of the prompts with a toxic completion, a silent prompt counted as harmless.
        toxic_answered: the same, of prompts that got any completion with text.
        toxic_completions: share of the completions with text that are toxic.
        empty: share of completions without text.
        repeated: share of the completions' 4-grams that occurred before in the same completion.
    """

    arm: Arm
    seeds: int
    rise: float
    perplexity: float
    loss_marked: float
    toxic: float
    toxic_answered: float
    toxic_completions: float
    empty: float
    repeated: float


def main() -> None:
    """Make what is missing, arm by arm, then show what there is."""
    given = arguments()
    for seed in given.seeds:
        for arm in ARMS:
            if arm.name in given.arms:
                train(arm, seed, given)
                evaluate(arm, seed, given)
                show(finished(given))
    show(results := finished(given))
    draw(results, given.out / FIGURE_FILE)
    print(f"figure: {given.out / FIGURE_FILE}")


def arguments() -> argparse.Namespace:
    """The command line."""
    names = [arm.name for arm in ARMS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--model", required=True)
    parser.add_argument("--held-out", required=True)
    parser.add_argument("--prompts", required=True)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--arms", nargs="+", choices=names, default=names, metavar="ARM", help=", ".join(names))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--classifier", default="profanity-check")
    parser.add_argument("--completions", type=int, default=10)
    parser.add_argument("--sample", type=int, default=400)
    parser.add_argument("--steps", default="250")
    parser.add_argument("--tokens-per-step", default="4096")
    parser.add_argument("--context", default="256")
    parser.add_argument("--learning-rate", default="3e-4")
    parser.add_argument("--schedule", default="cosine")
    return parser.parse_args()


def folder_of(arm: Arm, seed: int, given: argparse.Namespace) -> Path:
    """Where the model of one arm and seed is."""
    return Path(given.out) / f"{arm.name}-seed{seed}"


def evaluation_of(arm: Arm, seed: int, given: argparse.Namespace) -> ModelFolder:
    """Where its completions are."""
    return ModelFolder(Path(given.out) / "evaluation" / f"{arm.name}-seed{seed}")


def train(arm: Arm, seed: int, given: argparse.Namespace) -> None:
    """Train one model; the command goes on with what was stopped, and does nothing for one that is finished."""
    options = {
        "--data": given.run,
        "--model": given.model,
        "--out": str(folder_of(arm, seed, given)),
        "--eval-file": given.held_out,
        "--max-steps": given.steps,
        "--tokens-per-step": given.tokens_per_step,
        "--context": given.context,
        "--learning-rate": given.learning_rate,
        "--lr-scheduler-type": given.schedule,
        "--seed": str(seed),
    }
    if arm.reference is not None:
        options["--penalty-reference"] = given.model if arm.reference == FROZEN else arm.reference
    command = [str(Path(sys.executable).parent / "ifcurate"), "train", *arm.options]
    subprocess.run([*command, *(word for option in options.items() for word in option)], check=True)


def evaluate(arm: Arm, seed: int, given: argparse.Namespace) -> None:
    """Complete the prompts with one model and classify the completions."""
    config = ToxicityConfig(
        models=[f"{evaluation_of(arm, seed, given).name}={folder_of(arm, seed, given)}"],
        out=str(Path(given.out) / "evaluation"),
        prompts=[given.prompts],
        classifier=given.classifier,
        completions=given.completions,
        sample=given.sample,
    )
    evaluate_toxicity(config)


def finished(given: argparse.Namespace) -> list[Result]:
    """One result for each arm of which a seed is trained and evaluated."""
    results = []
    plain = {seed: figures(ARMS[0], seed, given) for seed in given.seeds}
    for arm in ARMS:
        rows = {seed: row for seed in given.seeds if (row := figures(arm, seed, given)) is not None}
        if rows:
            rises = [row[0] / base[0] - 1 for seed, row in rows.items() if (base := plain[seed]) is not None]
            rise = float(np.mean(rises)) if len(rises) == len(rows) else float("nan")
            results.append(Result(arm, len(rows), rise, *np.mean(list(rows.values()), axis=0).tolist()))
    return results


def figures(arm: Arm, seed: int, given: argparse.Namespace) -> tuple[float, ...] | None:
    """The figures of one arm and seed, in the order of `Result`; None where it is not finished."""
    metrics_file, evaluation = folder_of(arm, seed, given) / METRICS_FILE, evaluation_of(arm, seed, given)
    if not metrics_file.is_file() or not evaluation.path.is_dir():
        return None
    measured = evaluation.read().toxicity
    if not measured:
        return None
    metrics = json.loads(metrics_file.read_text(encoding="utf-8"))
    toxicity: Toxicity = measured[0].toxicity
    scores = read_scores(evaluation.completions(measured[0].prompts).read(), given.classifier).scores[:, :, 0]
    toxic = (np.nan_to_num(scores, nan=0.0) >= TOXIC_FROM).any(axis=1)
    answered = ~np.isnan(scores).all(axis=1)
    loss_marked = metrics["loss_marked"]
    return (
        metrics["held_out_perplexity"],
        float("nan") if arm.form is None or loss_marked is None else loss_marked,
        float(toxic.mean()),
        float(toxic[answered].mean()),
        toxicity.toxic_share,
        toxicity.empty_share,
        toxicity.repeated_share,
    )


def show(results: list[Result]) -> None:
    """Print the table."""
    headings = (
        "perplexity",
        "rise",
        "marked loss",
        "toxic prompts",
        "of answered",
        "toxic compl.",
        "empty",
        "repeated",
    )
    table = Table("arm", "seeds", *headings, box=None)
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    for result in results:
        table.add_row(
            result.arm.name,
            str(result.seeds),
            f"{result.perplexity:.2f}",
            f"{result.rise:+.2%}",
            "" if np.isnan(result.loss_marked) else f"{result.loss_marked:.1f}",
            f"{result.toxic:.3f}",
            f"{result.toxic_answered:.3f}",
            f"{result.toxic_completions:.1%}",
            f"{result.empty:.1%}",
            f"{result.repeated:.2%}",
        )
    Console(width=140).print(table)


def draw(results: list[Result], path: Path) -> None:
    """Toxicity over perplexity: filled where the end is spared, a line from all prompts to the answered ones."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "ifcurate", "font.size": 10})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.2, 4.6), layout="constrained")
    colours = {form: f"C{index}" for index, form in enumerate(MARKERS)}
    heights: dict[int, float] = {}
    for result in sorted(results, key=lambda each: each.toxic):
        form = result.arm.form
        face = "none" if form is not None and result.arm.spare == "none" else colours[form]
        axes.vlines(result.perplexity, result.toxic, result.toxic_answered, color=colours[form], linewidth=0.8)
        axes.plot(result.perplexity, result.toxic, MARKERS[form], color=colours[form], markerfacecolor=face)
        beside = int(50 * (result.perplexity / results[0].perplexity - 0.99))  # 2 % wide, in which labels are stacked
        height = heights[beside] = max(result.toxic, heights.get(beside, 0) + 0.02)
        label = result.arm.name.replace("-spare-end", "").replace("pc", "%")
        axes.text(result.perplexity * 1.0015, height, label, fontsize=7, verticalalignment="center")
    label = "prompts with a toxic completion\n(bar: up to their share of answered prompts)"
    axes.set(xlabel="held-out perplexity", ylabel=label, ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.15)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
