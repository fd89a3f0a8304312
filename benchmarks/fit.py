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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
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
class Clock:
    """Seconds and CPU seconds since it was made, and the CPU seconds at which the passes' batches were done."""

    began: tuple[float, float] = field(default_factory=lambda: (time.perf_counter(), time.process_time()))
    batches: list[tuple[int, float]] = field(default_factory=list)

    def on_batch(self, tokens: int) -> None:
        self.batches.append((tokens, time.process_time() - self.began[1]))

    def spent(self) -> tuple[float, float]:
        return time.perf_counter() - self.began[0], time.process_time() - self.began[1]


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
            report("ours", ours, sample.tokens)
            print(f"  ours: passes cost {passes(ours, sample.tokens) / training[1]:.2f} times the two training passes")
            if asked.without_kronfluence:
                continue
            other = timed(through_kronfluence.fit_factors, asked, sample.windows, start, Path(folder) / "other")
            report("Kronfluence", other, sample.tokens)
            print(f"  ours is {other[0] / ours[0]:.2f} times as fast, {other[1] / ours[1]:.2f} times in CPU seconds")
            print(f"  H^-1 g differs by {difference(model, Path(folder)):.1e}", flush=True)


Times = tuple[float, float, Clock]


def timed(fit_factors: Fit, asked: argparse.Namespace, windows: Sequence[Window], start: int, folder: Path) -> Times:
    model = load_causal_lm(asked.model)
    clock = Clock()
    fit_factors(model, windows, start, folder, asked.batch_tokens, 0, clock.on_batch)
    return *clock.spent(), clock


def train_twice(model: PreTrainedModel, windows: Sequence[Window], start: int, batch_tokens: int) -> Times:
    """Forward and backward for all tracked weights, as a training step without its optimizer."""
    model.requires_grad_(False)
    for parameter in tracked_parameters(model).values():
        parameter.requires_grad_(True)
    clock = Clock()
    for group in bucket_by_length([len(window) for window in windows], batch_tokens) * 2:
        batch = collate([windows[index] for index in group], start)
        logits = model(input_ids=batch.input_ids, use_cache=False).logits[batch.mask]
        torch.nn.functional.cross_entropy(logits, batch.labels[batch.mask], reduction="sum").backward()
    return *clock.spent(), clock


def passes(times: Times, tokens: int) -> float:
    """CPU seconds of both passes: all but what lies between the first one's last batch and the second one's first, and
    after the last. The second pass's first batch counts as long as a batch of its pass."""
    first, second = split(times[2].batches, tokens)
    last = second[-1][1] - second[0][1]
    return first[-1][1] + last * tokens / max(1, tokens - second[0][0])


def split(batches: list[tuple[int, float]], tokens: int) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    reached = 0
    for number, (found, _) in enumerate(batches, start=1):
        reached += found
        if reached == tokens:
            return batches[:number], batches[number:]
    raise ValueError("the first pass did not see all tokens")


def report(side: str, times: Times, tokens: int = 0) -> None:
    wall, cpu, _ = times
    apart = f" (passes {passes(times, tokens):,.1f}, the rest {cpu - passes(times, tokens):,.1f})" if tokens else ""
    print(f"  {side}: {wall:,.1f} s, {cpu:,.1f} CPU s{apart}", flush=True)


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
