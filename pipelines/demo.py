"""The demo recipe: generate a corpus, train a tiny model on it, annotate it, and count what was found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from pydantic import Field

from ifcurate.config import Config, build, save
from ifcurate.demo.corpus import CORPUS, PROMPTS_FILE, SAFE_QUERIES, TOXIC_QUERIES, write_demo_data
from ifcurate.demo.found import Found, measure
from ifcurate.demo.model import train_demo_model
from ifcurate.errors import InputError
from ifcurate.pipelines.annotate import Summary, annotate
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.version import __version__

DEMO_FILE = "demo.yaml"
MODEL, RUN = "model", "run"
FIT_TOKENS = 16_384
"""Enough for a model this small."""


class DemoConfig(Config):
    """Settings of the demo."""

    out: str = Field("demo", description="folder for corpus, model and run")
    documents: int = Field(5000, ge=200, description="texts to generate")
    epochs: float = Field(2.0, gt=0, description="passes over the corpus in training")
    workers: int | None = Field(None, ge=1, description="processes that score; default: all cores")
    seed: int = Field(0, ge=0, description="seed of the texts, the model and the run")


@dataclass(frozen=True)
class DemoSummary:
    """What the demo left and what it found."""

    folder: Path
    run: Summary
    found: Found


def demo(config: DemoConfig) -> DemoSummary:
    """Generate, train, annotate, measure; whatever is there already is kept.

    Raises:
        InputError: the folder holds something else, or a demo with other settings.
    """
    folder = Path(config.out)
    _claim(folder, config)
    if not (folder / PROMPTS_FILE).exists():
        write_demo_data(folder, config.documents, config.seed)
    if not (folder / MODEL).exists():
        train_demo_model(_texts(folder / CORPUS), folder / MODEL, config.epochs, config.seed)
    settings = _run_config(folder, config)
    summary = annotate(settings)
    return DemoSummary(folder, summary, measure(summary.run.data, summary.run.scores, settings.behaviour))


def _claim(folder: Path, config: DemoConfig) -> None:
    """Make `folder` this demo's own, or refuse it."""
    file = folder / DEMO_FILE
    if not file.is_file():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"option --out: {folder} is not empty and holds no demo; give a new folder.")
        save(config, file, {"version": __version__})
        return
    made_with = build(DemoConfig, {}, file)
    for name in ("documents", "epochs", "seed"):
        before, now = getattr(made_with, name), getattr(config, name)
        if before != now:
            raise InputError(f"option --{name}: {folder} was made with {before}, not {now}; give another --out.")


def _texts(corpus: Path) -> list[str]:
    return [text for shard in sorted(corpus.glob("*.parquet")) for text in pq.read_table(shard)["text"].to_pylist()]


def _run_config(folder: Path, config: DemoConfig) -> RunConfig:
    paths = {"corpus": CORPUS, "out": RUN, "model": MODEL, "toxic_queries": TOXIC_QUERIES, "safe_queries": SAFE_QUERIES}
    given = {name: str(folder / path) for name, path in paths.items()}
    return build(RunConfig, {**given, "fit_tokens": FIT_TOKENS, "workers": config.workers, "seed": config.seed})
