"""A corpus, queries and a tiny model in one folder, and the runs that tests make of them."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tiny_models import save_tiny_model

from ifcurate.config import build
from ifcurate.pipelines.annotate import annotate
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.run_config import PRESETS, RunConfig

KIND = ["good", "kind", "fair", "calm", "bright", "gentle", "warm"]
RUDE = ["vile", "stupid", "rotten", "ugly", "foul"]
THINGS = ["river", "table", "neighbour", "garden", "story", "winter", "machine", "letter"]
ARTIFACTS = ("direction", "factors", "scores", "selection", "data")
"""Folders of a run whose bytes depend on its settings alone."""


def sentence(generator: random.Random, adjectives: Sequence[str]) -> str:
    return f"The {generator.choice(THINGS)} was {generator.choice(adjectives)}, 日本 and {generator.choice(THINGS)}."


def texts(count: int, seed: int = 0) -> list[str]:
    """Texts of very different lengths, empty ones among them; some are rude."""
    generator = random.Random(seed)
    lengths = [0, 1, 1, 2, 3, 8]
    return [
        " ".join(
            sentence(generator, RUDE if generator.random() < 0.1 else KIND) for _ in range(generator.choice(lengths))
        )
        for _ in range(count)
    ]


def write_shards(folder: Path, shards: Sequence[Sequence[str]], first_id: int = 0) -> Path:
    """Parquet shards of texts with ids, a nested column and schema metadata."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, documents in enumerate(shards):
        ids = [f"d{first_id + row}" for row in range(len(documents))]
        first_id += len(documents)
        table = pa.table(
            {
                "id": pa.array(ids, pa.string()),
                "text": pa.array(documents, pa.string()),
                "meta": pa.array(
                    [{"source": "web", "tags": [text[:3], None]} for text in documents],
                    pa.struct([("source", pa.string()), ("tags", pa.list_(pa.string()))]),
                ),
            }
        )
        pq.write_table(table.replace_schema_metadata({"origin": "generated"}), folder / f"part-{number:03d}.parquet")
    return folder


def write_queries(path: Path, adjectives: Sequence[str], count: int = 12) -> Path:
    generator = random.Random(len(adjectives))
    rows = [
        {"prompt": "The weather report.", "completion": " " + sentence(generator, adjectives)} for _ in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@dataclass(frozen=True)
class Workshop:
    """A folder with `corpus`, `model`, `toxic.jsonl` and `safe.jsonl`."""

    root: Path

    @classmethod
    def build(cls, root: Path, documents: int = 60) -> Workshop:
        written = texts(documents)
        first, second = documents // 2, documents - documents // 6
        write_shards(root / "corpus", [written[:first], written[first:second], [], written[second:]])
        save_tiny_model(root / "model", written, "llama")
        write_queries(root / "toxic.jsonl", RUDE)
        write_queries(root / "safe.jsonl", KIND)
        return cls(root)

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Settings of a quick run, with queries unless a direction is given; whoever wants one left out gives None."""
        queries = {"queries": self.root / "toxic.jsonl", "contrast": self.root / "safe.jsonl"}
        given = {
            "corpus": self.root / "corpus",
            "model": self.root / "model",
            **({} if changes.get("direction") else queries),
            "out": self.root / "run",
            "fit_tokens": 512,
            "workers": 1,
            "budget": "5%",
            "quantile": 0.9,
            **changes,
        }
        return {name: str(v) if isinstance(v, Path) else v for name, v in given.items() if v is not None}

    def config(self, **changes: Any) -> RunConfig:
        return build(RunConfig, self.settings(**changes), presets=PRESETS)

    def annotate(self, **changes: Any) -> Run:
        """A run made in this process."""
        return annotate(self.config(**changes)).run

    def options(self, **changes: Any) -> list[str]:
        """The same settings as words of a command line, the corpus first."""
        settings = self.settings(**changes)
        words = [settings.pop("corpus")]
        for name, value in settings.items():
            words += [f"--{name.replace('_', '-')}", str(value)]
        return words


def contents(run: Run | Path, folders: Sequence[str] = ARTIFACTS) -> dict[str, bytes]:
    """Every file of a run's `folders`, by path below the run."""
    root = run if isinstance(run, Path) else run.root
    files = [file for folder in folders for file in sorted((root / folder).rglob("*")) if file.is_file()]
    return {str(file.relative_to(root)): file.read_bytes() for file in files}


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """The rows of all Parquet files of a folder, in the order of their names."""
    return [row for file in sorted(folder.rglob("*.parquet")) for row in pq.read_table(file).to_pylist()]
