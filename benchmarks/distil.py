"""What a student finds, and what it costs: taught by some scored shards of a run, tried on the next.

    python benchmarks/distil.py RUN --students small:3:4 large:1:1 --rival small --queries Q --contrast C --work WORK

The truth is the influence that RUN has for the shard that is tried. A student is written MODEL:EPOCHS:SHARDS. The rival
is a small model that computes influence itself, from the same queries: curvature, direction, two passes a token.
Printed: for each the CPU seconds of its making and of a million tokens (this process alone, loading apart), the rank
correlation with the truth over the tokens that are tried, and the overlap of the top 2 %. WORK keeps what was made, and
the same command goes on there.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ifcurate.corpus.documents import read_documents
from ifcurate.corpus.shards import Shard
from ifcurate.distilling.learning import TOP
from ifcurate.distilling.measures import rank_correlation, top_overlap
from ifcurate.influence.loading import LoadedScorer, load_scorer
from ifcurate.influence.settings import STUDENT, ScoreSettings
from ifcurate.influence.student import STUDENT_FILE
from ifcurate.pipelines.corpus_record import present_shards
from ifcurate.pipelines.direct import direct
from ifcurate.pipelines.distil import distil
from ifcurate.pipelines.distil_config import DistilConfig
from ifcurate.pipelines.fit import fit
from ifcurate.pipelines.run import Run, create_run, open_run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.selection.scores import Sidecar

HEADING = "| | passes a token | CPU s to make | CPU s a million tokens | rank correlation | overlap of the top 2 % |"


@dataclass(frozen=True)
class Truth:
    """The documents that are tried, and the influence of their tokens."""

    texts: list[str]
    influence: NDArray[np.float32]

    @classmethod
    def read(cls, run: Run, settings: RunConfig, shard: Shard, most: int) -> Truth:
        """The first documents, as long as they hold no more than `most` tokens."""
        texts = [text for batch in read_documents(shard, settings.text_column) for text in batch.texts]
        sidecar = Sidecar(shard.name, shard.output(run.scores), settings.behaviour)
        lengths = np.concatenate([np.diff(scored.tokens.rows) for scored in sidecar.batches()])
        ends = np.cumsum(lengths)
        count = int(np.searchsorted(ends, most, side="right"))
        influence = np.concatenate([values for _, values in sidecar.influence()])
        return cls(texts[:count], influence[: ends[count - 1]])


def main() -> None:
    asked = arguments()
    torch.set_num_threads(1)
    run, settings = open_run(asked.run)
    shards = sorted(present_shards(run), key=lambda shard: shard.name)
    tried = shards[asked.tried]
    truth = Truth.read(run, settings, tried, asked.tokens)
    print(f"tried on {tried.name}: {len(truth.influence):,} tokens of {len(truth.texts):,} documents")
    print(HEADING, "|---|---|---|---|---|---|", sep="\n", flush=True)
    exact = load_scorer(ScoreSettings(settings.model, (str(run.direction(settings.behaviour)),), settings.revision))
    report_time("exact", 2, exact, truth, asked.timed)
    if asked.rival:
        report(f"{asked.rival}, its own influence", 2, *rival(asked, settings, shards), truth, asked.timed)
    for number, student in enumerate(asked.students):
        report(student, 1, *taught(asked, run, settings, shards, student, number), truth, asked.timed)


def rival(asked: argparse.Namespace, settings: RunConfig, shards: Sequence[Shard]) -> tuple[float, LoadedScorer]:
    """CPU seconds of its curvature and direction, and its scorer."""
    given = {"model": asked.rival, "queries": asked.queries, "contrast": asked.contrast, "direction": None}
    config = changed(settings, out=str(asked.work / "rival"), **given)
    began = time.process_time()
    run = create_run(config, shards)
    fit(run, config, shards)
    direct(run, config)
    spent = time.process_time() - began
    return spent, load_scorer(ScoreSettings(asked.rival, (str(run.direction(config.behaviour)),)))


def taught(
    asked: argparse.Namespace, run: Run, settings: RunConfig, shards: Sequence[Shard], student: str, number: int
) -> tuple[float, LoadedScorer]:
    """CPU seconds of its learning, and its scorer."""
    model, epochs, count = student.rsplit(":", 2)
    part = part_of(run, settings, shards[: int(count)], asked.work / f"scored-{count}")
    out = asked.work / f"student-{number}"
    began = time.process_time()
    distil(
        DistilConfig(
            run=str(part), student=model, out=str(out), epochs=int(epochs), device="cpu", learning_rate=asked.rate
        )
    )
    spent = time.process_time() - began
    return spent, load_scorer(ScoreSettings(str(out), (), engine=STUDENT, student=str(out / STUDENT_FILE)))


def part_of(run: Run, settings: RunConfig, shards: Sequence[Shard], place: Path) -> Path:
    """A run over some of the shards, with their scores."""
    folder = place / "corpus"
    folder.mkdir(parents=True, exist_ok=True)
    for shard in shards:
        if not (folder / f"{shard.name}{shard.format}").exists():
            shutil.copyfile(shard.path, folder / f"{shard.name}{shard.format}")
    direction = {"queries": None, "contrast": None, "direction": str(run.direction(settings.behaviour))}
    config = changed(settings, corpus=str(folder), out=str(place / "run"), **direction)
    part = create_run(config, present(folder))
    direct(part, config)
    part.scores.mkdir(exist_ok=True)
    for source in (run.engine, *(shard.output(run.scores) for shard in shards)):
        if not (part.scores / source.name).exists():
            shutil.copyfile(source, part.scores / source.name)
    return part.root


def present(folder: Path) -> list[Shard]:
    from ifcurate.corpus.shards import known, list_shards

    return [known(shard) for shard in list_shards(str(folder))]


def changed(settings: RunConfig, **given: Any) -> RunConfig:
    return RunConfig.model_validate({**settings.model_dump(), **given})


def report_time(name: str, passes: int, loaded: LoadedScorer, truth: Truth, most: int) -> None:
    lengths = np.array([len(each) for each in loaded.encode(truth.texts)])
    some = truth.texts[: max(1, int(np.searchsorted(np.cumsum(lengths), most)))]
    scored(loaded, some[:8])  # finds its steps
    began = time.process_time()
    tokens = len(scored(loaded, some))
    print(f"| {name} | {passes} | | {(time.process_time() - began) / tokens * 1e6:,.0f} | | |", flush=True)


def report(name: str, passes: int, spent: float, loaded: LoadedScorer, truth: Truth, most: int) -> None:
    scored(loaded, truth.texts[:8])
    began = time.process_time()
    found = scored(loaded, truth.texts)
    rate = (time.process_time() - began) / len(found) * 1e6
    correlation = rank_correlation(found, truth.influence)
    overlap = top_overlap(found, truth.influence, TOP)
    print(f"| {name} | {passes} | {spent:,.0f} | {rate:,.0f} | {correlation:.3f} | {overlap:.1%} |", flush=True)


def scored(loaded: LoadedScorer, texts: Sequence[str]) -> NDArray[np.float32]:
    """Influence of all tokens, tokenizing included."""
    scores, _ = loaded.score(loaded.encode(texts), [str(number) for number in range(len(texts))])
    return np.concatenate([of_document.influence[0] for of_document in scores])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="scored run; shards without scores are not needed")
    parser.add_argument("--students", nargs="+", default=[], help="MODEL:EPOCHS:SHARDS")
    parser.add_argument("--rival", help="a small model that computes influence itself")
    parser.add_argument("--queries")
    parser.add_argument("--contrast")
    parser.add_argument("--tried", type=int, default=4, help="number of the shard that is tried, from 0")
    parser.add_argument(
        "--tokens", type=int, default=100_000, help="that are tried, of the first documents of the shard"
    )
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate of the students")
    parser.add_argument("--timed", type=int, default=30_000, help="tokens that the exact engine scores for its time")
    parser.add_argument("--work", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
