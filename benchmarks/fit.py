"""What fitting the curvature costs: our own passes, Kronfluence's, and two ordinary training passes over the same text.

    python benchmarks/fit.py --corpus CORPUS --model MODEL --tokens 4096 16384 32768

Every side in the same run, on the same windows, with the same sampled labels and the same threads. Printed for each
number of tokens: seconds and CPU seconds of every side, the latter of passes and decompositions apart, the ratios, and
how far both sides' H^-1 g are from each other at the heuristic damping (relative, Euclidean).
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from kronfluence.analyzer import Analyzer
from transformers import PreTrainedModel

from ifcurate.corpus.shards import list_shards
from ifcurate.influence.curvature import fit, through_kronfluence
from ifcurate.influence.curvature.inverse import precondition
from ifcurate.influence.direction import Direction
from ifcurate.influence.sample import sample_windows
from ifcurate.machine import cores
from ifcurate.model.checkpoints import context_length, load_causal_lm, load_tokenizer, start_token
from ifcurate.model.layers import tracked_parameters
from ifcurate.model.windows import Window, bucket_by_length, collate

Fit = Callable[..., None]


@dataclass
class Times:
    """Seconds, and CPU seconds, of which `decompositions` went into eigenvectors."""

    seconds: float = 0.0
    cpu: float = 0.0
    decompositions: float = 0.0

    @property
    def passes(self) -> float:
        """CPU seconds of all but the decompositions."""
        return self.cpu - self.decompositions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--tokens", type=int, nargs="+", default=[4096, 16_384, 32_768])
    parser.add_argument("--batch-tokens", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--without-kronfluence", action="store_true", help="our own passes and training alone")
    parser.add_argument("--keep", type=Path, help="folder that our factors are kept in, by number of tokens")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    tokenizer, model = load_tokenizer(asked.model), load_causal_lm(asked.model)
    context, start = context_length(model, None), start_token(tokenizer)
    for tokens in asked.tokens:
        shards = list_shards(asked.corpus)
        sample = sample_windows(shards, "text", None, tokenizer, context, tokens, seed=0)
        print(f"{sample.tokens:,} tokens in {len(sample.windows):,} windows, {asked.threads} threads", flush=True)
        training = train_twice(load_causal_lm(asked.model), sample.windows, start, asked.batch_tokens)
        report("two training passes", training)
        with tempfile.TemporaryDirectory() as folder:
            ours = timed(fit.fit_factors, asked, sample.windows, start, Path(folder) / "ours")
            if asked.keep:
                shutil.copytree(Path(folder) / "ours", asked.keep / str(tokens))
            report("ours", ours)
            print(f"  ours: passes cost {ours.passes / training.cpu:.2f} times the two training passes")
            if asked.without_kronfluence:
                continue
            other = timed(through_kronfluence.fit_factors, asked, sample.windows, start, Path(folder) / "other")
            report("Kronfluence", other)
            faster = other.seconds / ours.seconds, other.cpu / ours.cpu
            print(f"  ours is {faster[0]:.2f} times as fast, {faster[1]:.2f} times in CPU seconds")
            print(f"  H^-1 g differs by {difference(model, Path(folder)):.1e}", flush=True)


def timed(fit_factors: Fit, asked: argparse.Namespace, windows: Sequence[Window], start: int, folder: Path) -> Times:
    model = load_causal_lm(asked.model)
    with measured() as times:
        fit_factors(model, windows, start, folder, asked.batch_tokens, 0)
    return times


def train_twice(model: PreTrainedModel, windows: Sequence[Window], start: int, batch_tokens: int) -> Times:
    """Forward and backward for all tracked weights, as a training step without its optimizer."""
    model.requires_grad_(False)
    for parameter in tracked_parameters(model).values():
        parameter.requires_grad_(True)
    with measured() as times:
        for group in bucket_by_length([len(window) for window in windows], batch_tokens) * 2:
            batch = collate([windows[index] for index in group], start)
            logits = model(input_ids=batch.input_ids, use_cache=False).logits[batch.mask]
            torch.nn.functional.cross_entropy(logits, batch.labels[batch.mask], reduction="sum").backward()
    return times


@contextmanager
def measured() -> Iterator[Times]:
    """Adds up what is spent inside, and apart what is spent in either side's decompositions."""
    times = Times()
    ours, other = fit.decompose_covariances, Analyzer.perform_eigendecomposition

    def apart(decompose: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            began = time.process_time()
            found = decompose(*arguments, **named)
            times.decompositions += time.process_time() - began
            return found

        return counted

    began = time.perf_counter(), time.process_time()
    with (
        mock.patch.object(fit, "decompose_covariances", apart(ours)),
        mock.patch.object(Analyzer, "perform_eigendecomposition", apart(other)),
    ):
        yield times
    times.seconds, times.cpu = time.perf_counter() - began[0], time.process_time() - began[1]


def report(side: str, times: Times) -> None:
    apart = f" (decompositions {times.decompositions:,.1f})" if times.decompositions else ""
    print(f"  {side}: {times.seconds:,.1f} s, {times.cpu:,.1f} CPU s{apart}", flush=True)


def difference(model: PreTrainedModel, folder: Path) -> float:
    torch.manual_seed(0)
    gradient = {name: torch.randn_like(parameter) for name, parameter in tracked_parameters(model).items()}
    ours, other = (
        Direction(precondition(gradient, folder / name, "heuristic", "cpu"), {}) for name in ("ours", "other")
    )
    moved = {name: ours.tensors[name] - other.tensors[name] for name in gradient}
    return Direction(moved, {}).norm() / other.norm()


if __name__ == "__main__":
    main()
