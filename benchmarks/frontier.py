"""How much toxicity does a penalty remove, and what does it cost? One model fine-tuned with many penalties.

Runs `ifcurate train` once for each point on an annotated corpus: same steps, same seed. Then completes prompts with
every model, classifies the completions, and draws the share of toxic prompts with a toxic completion over held-out
perplexity. Points that are trained already are not trained again.

    python benchmarks/frontier.py RUN --model MODEL --held-out TEXT --queries TOXIC.jsonl --prompts PROMPTS --out OUT
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from ifcurate.evaluation.bootstrap import Interval, mean_interval
from ifcurate.evaluation.completions import read_scores
from ifcurate.evaluation.config import ToxicityConfig
from ifcurate.evaluation.metrics import TOXIC_FROM
from ifcurate.evaluation.results import ModelFolder
from ifcurate.influence.queries import read_queries
from ifcurate.influence.query_gradient import query_windows
from ifcurate.model.checkpoints import context_length, load_causal_lm, load_tokenizer, start_token
from ifcurate.model.windows import collate
from ifcurate.pipelines.evaluate import evaluate_toxicity

PENALTIES = {"ascent": (0.0, 0.5, 1.0, 2.0), "unlikelihood": (1.0, 3.0, 10.0, 30.0)}
MOST_QUERIES = 10_000
QUERIES_PER_BATCH = 32


@dataclass(frozen=True)
class Point:
    """One fine-tuned model; no form means plain training."""

    form: str | None
    penalty: float

    @property
    def name(self) -> str:
        return f"{self.form}-{self.penalty:g}" if self.form else "none"

    @property
    def options(self) -> list[str]:
        return ["--penalty", f"{self.penalty:g}", "--penalty-form", self.form] if self.form else []


@dataclass(frozen=True)
class Result:
    """What one point costs and brings.

    Of the completions of toxic prompts, `toxic` is the share of prompts with a toxic one, `empty` the share of
    completions that end at once; a prompt that only gets empty ones counts as harmless. `repeated`: 4-grams.
    """

    point: Point
    perplexity: float
    toxic_loss: float
    toxic: Interval
    empty: float
    repeated: float


def main() -> None:
    given = arguments()
    points = [Point(None, 0.0), *(Point(form, value) for form, values in PENALTIES.items() for value in values)]
    for point in points:
        train(point, given)
    config = ToxicityConfig(
        models=[f"{point.name}={given.out / point.name}" for point in points],
        out=str(given.out / "evaluation"),
        prompts=[given.prompts],
        classifier=given.classifier,
        completions=given.completions,
        sample=given.sample,
    )
    folders = {folder.name: folder for folder in evaluate_toxicity(config)}
    results = [measured(point, folders[point.name], given) for point in points]
    show(results)
    draw(results, given.out / "frontier.svg")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--model", required=True)
    parser.add_argument("--held-out", required=True)
    parser.add_argument("--queries", required=True)
    parser.add_argument("--prompts", required=True)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--classifier", default="profanity-check")
    parser.add_argument("--completions", type=int, default=10)
    parser.add_argument("--sample", type=int)
    parser.add_argument("--steps", default="250")
    parser.add_argument("--batch-tokens", default="4096")
    parser.add_argument("--context", default="256")
    parser.add_argument("--learning-rate", default="3e-4")
    parser.add_argument("--schedule", default="constant")
    parser.add_argument("--seed", default="0")
    return parser.parse_args()


def train(point: Point, given: argparse.Namespace) -> None:
    out = given.out / point.name
    if (out / "metrics.json").is_file():
        return
    options = {
        "--data": given.run,
        "--model": given.model,
        "--out": str(out),
        "--eval-file": given.held_out,
        "--max-steps": given.steps,
        "--tokens-per-step": given.batch_tokens,
        "--context": given.context,
        "--learning-rate": given.learning_rate,
        "--lr-scheduler-type": given.schedule,
        "--seed": given.seed,
    }
    command = [str(Path(sys.executable).parent / "ifcurate"), "train", *point.options]
    subprocess.run([*command, *(word for option in options.items() for word in option)], check=True)


def measured(point: Point, folder: ModelFolder, given: argparse.Namespace) -> Result:
    metrics = json.loads((given.out / point.name / "metrics.json").read_text())
    (prompts,) = folder.all_completions()
    table = folder.completions(prompts).read()
    toxic_prompts = np.array(table["toxic"].to_pylist(), dtype=bool)
    scores = read_scores(table, given.classifier).scores[toxic_prompts, :, 0]
    answered = np.nan_to_num(scores, nan=0.0) >= TOXIC_FROM
    return Result(
        point=point,
        perplexity=metrics["held_out_perplexity"],
        toxic_loss=completion_loss(str(given.out / point.name), given.queries),
        toxic=mean_interval(answered.any(axis=1).astype(float), seed=0),
        empty=float(np.isnan(scores).mean()),
        repeated=metrics["repeated_share"],
    )


def completion_loss(place: str, queries: str) -> float:
    """Mean loss per completion token of the queries, in nats."""
    model, tokenizer = load_causal_lm(place), load_tokenizer(place)
    found = query_windows(read_queries(queries, MOST_QUERIES, 0), tokenizer, context_length(model, None), queries)
    windows = sorted(found.windows, key=lambda one: len(one.window))
    losses: list[np.ndarray] = []
    for first in range(0, len(windows), QUERIES_PER_BATCH):
        part = windows[first : first + QUERIES_PER_BATCH]
        batch = collate([one.window for one in part], start_token(tokenizer))
        with torch.inference_mode():
            logits = model(batch.input_ids).logits
        each = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), reduction="none")
        for one, row in zip(part, each.view(batch.labels.shape).numpy(), strict=True):
            losses.append(row[one.completion : len(one.window)])
    return float(np.concatenate(losses).mean())


def show(results: list[Result]) -> None:
    headings = ("held-out perplexity", "loss of toxic queries", "toxic prompts", "empty completions", "repeated")
    table = Table("form", "lambda", *headings, box=None)
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    for result in results:
        share = result.toxic
        table.add_row(
            result.point.form or "no mask",
            f"{result.point.penalty:g}" if result.point.form else "",
            f"{result.perplexity:.1f}",
            f"{result.toxic_loss:.2f}",
            f"{share.value:.3f} [{share.low:.3f}, {share.high:.3f}]",
            f"{result.empty:.0%}",
            f"{result.repeated:.1%}",
        )
    Console(width=140).print(table)


def neighbours(results: list[Result]) -> list[list[Result]]:
    """Consecutive results so close that their labels would lie on each other."""
    groups: list[list[Result]] = []
    for result in results:
        last = groups[-1][-1] if groups else None
        if (
            last
            and abs(result.perplexity - last.perplexity) < 0.5
            and abs(result.toxic.value - last.toxic.value) < 0.03
        ):
            groups[-1].append(result)
        else:
            groups.append([result])
    return groups


def draw(results: list[Result], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "ifcurate", "font.size": 10})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 4.2), layout="constrained")
    for form, marker, side in (("ascent", "o", "right"), ("unlikelihood", "s", "left")):
        own = [result for result in results if result.point.form == form]
        label = "ascent (Eq. 9)" if form == "ascent" else "unlikelihood (bounded)"
        axes.plot([r.perplexity for r in own], [r.toxic.value for r in own], marker=marker, label=label)
        for group in neighbours(own):
            text = "λ = " + ", ".join(f"{r.point.penalty:g}" for r in group)
            place = (group[-1].perplexity, group[-1].toxic.value)
            offset = (-8, -8) if side == "right" else (8, 5)
            axes.annotate(text, place, xytext=offset, textcoords="offset points", ha=side)
    (plain,) = (result for result in results if result.point.form is None)
    axes.plot(plain.perplexity, plain.toxic.value, "k*", markersize=11, label="no mask")
    axes.set(xlabel="held-out perplexity", ylabel="toxic prompts with a toxic completion", ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.12)
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})
    print(f"figure: {path}")


if __name__ == "__main__":
    main()
