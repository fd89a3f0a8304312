"""Tokens a second on one GPU in bfloat16: compiled and eager forward mode, and Kronfluence's per-token scores.

    python benchmarks/gpu_scoring.py [--shapes pythia-160m llama-3.2-1b] [--rounds 5] [--peak-tflops 989]
    python benchmarks/gpu_scoring.py --trained MODEL --corpus CORPUS --direction FILE

Random weights, windows of 2,048 tokens. Every round runs all sides one after the other on the same windows, after a
round that warms up and compiles; medians are printed. Each side has the largest batch that fits, found by halving.
A side's peak memory counts what it holds itself: its weights, directions and activations. Utilisation counts the
matrix products of three forward passes inside the blocks and of two through the head, of the peak that is given.
With `--trained`: how far scores in bfloat16 are those in float32, on a model, a corpus and a direction of yours.

`--device cpu --shapes tiny --length 128 --windows 4 --batch-tokens 256` shows that it runs where there is no GPU.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from sides import (
    SHAPES,
    Side,
    kronfluence_side,
    query_direction,
    random_model,
    random_windows,
    scorer_side,
)  # fmt: skip
from transformers import PreTrainedModel

from ifcurate.corpus.shards import list_shards
from ifcurate.influence.engines.compiled import CompiledForwardMode
from ifcurate.influence.engines.forward_mode import ForwardMode
from ifcurate.influence.loading import LoadedScorer, load_scorer
from ifcurate.influence.sample import sample_windows
from ifcurate.influence.scorer import Scorer
from ifcurate.influence.settings import ScoreSettings
from ifcurate.model.batching import OneWindowARow, PackedRows
from ifcurate.model.devices import GPU_BATCH_TOKENS, forbid_reduced_precision, is_out_of_memory
from ifcurate.model.layers import tracked_linears
from ifcurate.model.windows import Encoding, Window

GPU_SHAPES = ("pythia-160m", "pythia-410m", "pythia-1b", "llama-3.2-1b")
KRONFLUENCE_WINDOWS = 32
"""Windows a batch that Kronfluence is tried with first."""
SELECTED = 0.02
"""Share of tokens whose overlap is told."""


def main() -> None:
    asked = arguments()
    if asked.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("there is no CUDA device here; run this on a machine with a GPU, or give --device cpu to see it run.")
    forbid_reduced_precision()
    if asked.trained:
        compare_precisions(asked)
        return
    if asked.device.startswith("cuda"):
        print(f"{torch.cuda.get_device_name(asked.device)}, torch {torch.__version__}")
    for shape in asked.shapes:
        measure(shape, asked)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=GPU_SHAPES, choices=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--windows", type=int, default=64)
    parser.add_argument("--length", type=int, default=2048, help="tokens a window")
    parser.add_argument("--batch-tokens", type=int, default=GPU_BATCH_TOKENS, help="of forward mode, halved if need be")
    parser.add_argument("--peak-tflops", type=float, default=989, help="dense bfloat16; default: H100 and H200")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--trained", help="folder or Hub id of a trained model: compare precisions on it")
    parser.add_argument("--corpus", help="what it scores")
    parser.add_argument("--direction", help="file of the direction it scores along")
    parser.add_argument("--tokens", type=int, default=1 << 20, help="of the corpus, drawn at random")
    asked = parser.parse_args()
    if asked.trained and not (asked.corpus and asked.direction):
        parser.error("--trained needs --corpus and --direction")
    return asked


@dataclass
class Measured:
    """A side with its times (seconds, the first includes compiling), the bytes it holds and its peak."""

    side: Side
    held: int
    seconds: list[float] = field(default_factory=list)
    peak: int = 0
    sums: torch.Tensor = field(default_factory=lambda: torch.zeros(0))

    @property
    def median(self) -> float:
        """Without the first round."""
        return statistics.median(self.seconds[1:])


def measure(shape: str, asked: argparse.Namespace) -> None:
    windows = random_windows(asked.windows, asked.length, SHAPES[shape].vocab_size)
    makers: dict[str, Callable[[], Side]] = {
        "jvp": lambda: forward_side(shape, windows, asked, compiled=False),  # after Kronfluence, which empties caches
        "compiled-jvp": lambda: forward_side(shape, windows, asked, compiled=True),
        "kronfluence": lambda: largest_kronfluence_side(shape, windows, asked.device),
    }
    print(f"\n{shape}: {asked.windows} windows of {asked.length:,} tokens, bfloat16, {asked.rounds} rounds; medians")
    sides = {}
    for name, make in makers.items():
        before = memory(asked.device)
        side = make()
        sides[name] = Measured(side, memory(asked.device) - before)
    for _ in range(asked.rounds + 1):
        for measured in sides.values():
            run_once(measured, asked.device, sum(other.held for other in sides.values()) - measured.held)
    report(sides, asked, flops_per_token(random_model(shape, torch.bfloat16), asked.length))
    sides.clear()
    torch.compiler.reset()
    gc.collect()


def forward_side(shape: str, windows: list[Window], asked: argparse.Namespace, compiled: bool) -> Side:
    model = random_model(shape, torch.bfloat16, asked.device)
    directions = [query_direction(model)]
    engine = CompiledForwardMode(model, directions) if compiled else ForwardMode(model, directions)
    batching = PackedRows(0, asked.length) if compiled else OneWindowARow(0)
    return scorer_side(Scorer(engine, 1, asked.length, batching, asked.batch_tokens, asked.device), windows)


def largest_kronfluence_side(shape: str, windows: list[Window], device: str) -> Side:
    """Kronfluence with the largest batch that fits; a model it ran out of memory with is not used again."""
    count = min(KRONFLUENCE_WINDOWS, len(windows))
    while True:
        try:
            kronfluence_side(random_model(shape, torch.bfloat16, device), windows[:count], count)()
            break
        except RuntimeError as error:
            if not is_out_of_memory(error) or count == 1:
                raise
        count //= 2
        gc.collect()
    gc.collect()
    print(f"kronfluence: {count} windows a batch")
    return kronfluence_side(random_model(shape, torch.bfloat16, device), windows, count)


def run_once(measured: Measured, device: str, held_by_others: int) -> None:
    on_gpu = device.startswith("cuda")
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    measured.sums = measured.side()
    if on_gpu:
        torch.cuda.synchronize()
        measured.peak = max(measured.peak, torch.cuda.max_memory_allocated() - held_by_others)
    measured.seconds.append(time.perf_counter() - began)


def memory(device: str) -> int:
    gc.collect()
    return torch.cuda.memory_allocated() if device.startswith("cuda") else 0


def flops_per_token(model: PreTrainedModel, length: int) -> int:
    """Of exact scoring along one direction: see this file's beginning."""
    blocks = sum(linear.weight.numel() for linear in tracked_linears(model).values())
    config = model.config
    head_width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    keys = (length + 1) / 2  # on average
    attention = 2 * config.num_hidden_layers * config.num_attention_heads * head_width * keys
    head = config.vocab_size * config.hidden_size
    return int(2 * (3 * (blocks + attention) + 2 * head))


def report(sides: dict[str, Measured], asked: argparse.Namespace, flops: int) -> None:
    tokens = asked.windows * asked.length
    reference = sides["kronfluence"]
    print(f"{'side':<13} {'tokens/s':>9} {'x Kronfluence':>14} {'peak GiB':>9} {'utilisation':>12} {'compiling s':>12}")
    for name, measured in sides.items():
        rate = tokens / measured.median
        ratio = statistics.median(b / a for a, b in zip(measured.seconds[1:], reference.seconds[1:], strict=True))
        share = "" if measured is reference else f"{rate * flops / asked.peak_tflops / 1e12:.1%}"
        peak = f"{measured.peak / 2**30:.2f}" if measured.peak else "-"
        extra = max(0.0, measured.seconds[0] - measured.median)  # than later rounds
        print(f"{name:<13} {rate:>9,.0f} {ratio:>13.1f}x {peak:>9} {share:>12} {extra:>12.1f}")
    for name in ("compiled-jvp", "jvp"):
        together = torch.corrcoef(torch.stack([sides[name].sums, reference.sums]))[0, 1]
        print(f"sums over windows of {name} correlate with Kronfluence's by {float(together):.5f}")


def compare_precisions(asked: argparse.Namespace) -> None:
    exact = loaded(asked, "float32", "jvp")
    shards = list_shards(asked.corpus)
    windows = sample_windows(shards, "text", None, exact.tokenizer, exact.context, asked.tokens, seed=0).windows
    expected = influence(exact, windows)
    del exact
    rough = loaded(asked, "bfloat16", "auto")
    found = influence(rough, windows)
    count = max(1, int(SELECTED * len(expected)))
    top_expected, top_found = (set(np.argsort(-scores)[:count].tolist()) for scores in (expected, found))
    print(f"{rough.engine} in bfloat16 against jvp in float32, {len(expected):,} tokens of {asked.corpus}:")
    print(f"correlation {np.corrcoef(expected, found)[0, 1]:.5f} (at least 0.99 is wanted)")
    print(f"top {SELECTED:.0%} of tokens: {len(top_expected & top_found) / count:.1%} in common")


def loaded(asked: argparse.Namespace, dtype: str, engine: str) -> LoadedScorer:
    settings = ScoreSettings(asked.trained, (asked.direction,), engine=engine, dtype=dtype, device=asked.device)
    return load_scorer(settings)


def influence(scorer: LoadedScorer, windows: list[Window]) -> np.ndarray:
    """float64 [tokens]."""
    encodings = [Encoding(ids, ids, ids) for ids in (window.token_ids for window in windows)]
    scored, work = scorer.score(encodings, [str(number) for number in range(len(windows))])
    print(f"{scorer.engine}, {scorer.model.dtype}: {work.padding:.1%} padding, {work.halvings} halvings")
    return np.concatenate([scores.influence[0] for scores in scored]).astype(np.float64)


if __name__ == "__main__":
    main()
