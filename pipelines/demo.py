"""The demo recipe: generate a corpus, train a tiny model on it, annotate it, and count what was found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from ifcurate.config import build, save
from ifcurate.demo.config import DemoConfig
from ifcurate.demo.corpus import CORPUS, PROMPTS_FILE, SAFE_QUERIES, TOXIC_QUERIES, write_demo_data
from ifcurate.demo.found import Found, measure
from ifcurate.demo.model import train_demo_model
from ifcurate.errors import InputError
from ifcurate.files import clear, is_free, remove_parts
from ifcurate.pipelines.annotate import Summary, annotate
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.version import __version__

DEMO_FILE = "demo.yaml"
MODEL, RUN = "model", "run"
FIT_TOKENS = 16_384
"""Enough for a model this small."""


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
    for name in ("documents", "epochs", "seed"):
        before, now = getattr(made_with, name), getattr(config, name)
        if before != now:
            raise InputError(f"option --{name}: {folder} was made with {before}, not {now}; give another --out.")


def _texts(corpus: Path) -> list[str]:
    return [text for shard in sorted(corpus.glob("*.parquet")) for text in pq.read_table(shard)["text"].to_pylist()]


def _run_config(folder: Path, config: DemoConfig) -> RunConfig:
    paths = {"corpus": CORPUS, "out": RUN, "model": MODEL, "queries": TOXIC_QUERIES, "contrast": SAFE_QUERIES}
    given = {name: str(folder / path) for name, path in paths.items()}
    return build(RunConfig, {**given, "fit_tokens": FIT_TOKENS, "workers": config.workers, "seed": config.seed})
