"""Tokens a second on a CPU in float32: finite differences, Kronfluence's per-token scores, and the limit of two passes.

    python benchmarks/cpu_scoring.py [--threads 2] [--rounds 5]

GPT-NeoX of 70 M parameters (6 layers, width 512, vocabulary 50,304) with random weights, windows of 512 tokens. Every
round runs all sides one after the other on the same windows; medians are printed. Each side's peak memory is that of
a process of its own. That ours and Kronfluence's compute the same is checked by their sums over windows.

Kronfluence takes as many windows at once as memory holds, unless told otherwise: here all 16. It is fastest by one
window, on a CPU, so it is measured both ways; `--kronfluence-batches 1 2 4 16` measures what lies between.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time

import torch
from sides import (
    Side,
    batches_of,
    engine_side,
    kronfluence_side,
    plain_side,
    query_direction,
    random_model,
    random_windows,
)  # fmt: skip

from ifcurate.influence.engines.calibration import calibrate
from ifcurate.influence.engines.choice import build_engine

OURS, PLAIN = "ours", "two plain passes"
KRONFLUENCE = "kronfluence by "
LENGTH = 512


def main() -> None:
    asked = arguments()
    torch.set_num_threads(asked.threads)
    if asked.only:
        prepare(asked.only, asked)()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    references = [f"{KRONFLUENCE}{count}" for count in asked.kronfluence_batches]
    names = [OURS, *references, PLAIN]
    memory = {name: peak_memory(name, asked) for name in names}
    sides = {name: prepare(name, asked) for name in names}
    wall: dict[str, list[float]] = {name: [] for name in names}
    busy: dict[str, list[float]] = {name: [] for name in names}
    for round_number in range(asked.rounds + 1):
        sums = {}
        for name, side in sides.items():
            began, began_busy = time.perf_counter(), time.process_time()
            sums[name] = side()
            if round_number:  # the first one warms up
                wall[name].append(time.perf_counter() - began)
                busy[name].append(time.process_time() - began_busy)
    tokens = asked.windows * LENGTH
    print(f"{tokens:,} tokens a round, {asked.rounds} rounds, {asked.threads} threads; medians")
    print(f"{'side':<17} {'tokens/s':>9} {'tokens/CPU s':>13} {'peak MiB':>9}")
    for name in names:
        rates = (tokens / statistics.median(times[name]) for times in (wall, busy))
        print(f"{name:<17} {next(rates):>9,.0f} {next(rates):>13,.0f} {memory[name] / 1024:>9,.0f}")
    for name in names[1:]:
        print(
            f"{against(name, wall):.2f} times as fast as {name}, {against(name, busy):.2f} in CPU time, "
            f"with {memory[OURS] / memory[name]:.0%} of its memory"
        )
    error = max(float((sums[OURS] - sums[name]).norm() / sums[name].norm()) for name in references)
    print(f"sums over windows differ from Kronfluence's by {error:.1e} (relative)")


def against(name: str, times: dict[str, list[float]]) -> float:
    """How many times as fast as another side ours is, in the median round."""
    return statistics.median(other / ours for ours, other in zip(times[OURS], times[name], strict=True))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--windows", type=int, default=16)
    parser.add_argument("--batch", type=int, default=16, help="windows a batch, for ours")
    parser.add_argument(
        "--kronfluence-batches", type=int, nargs="+", default=[16, 1], help="windows a batch, for Kronfluence"
    )
    parser.add_argument("--plain-batch", type=int, default=4, help="windows a batch, for plain passes")
    parser.add_argument("--only", help="run one side once and print its peak memory in KiB")
    return parser.parse_args()


def prepare(name: str, asked: argparse.Namespace) -> Side:
    model = random_model("pythia-70m")
    windows = random_windows(asked.windows, LENGTH, model.config.vocab_size)
    if name.startswith(KRONFLUENCE):
        return kronfluence_side(model, windows, int(name.removeprefix(KRONFLUENCE)))
    if name == PLAIN:
        return plain_side(model, batches_of(windows, asked.plain_batch, "cpu"))
    if name != OURS:
        raise SystemExit(f"option --only: {name!r} is no side; give {OURS!r}, {PLAIN!r} or '{KRONFLUENCE}1'.")
    directions = [query_direction(model)]
    steps = calibrate(model, directions, batches_of(windows, 1, "cpu")[0])
    return engine_side(
        build_engine("finite-difference", model, directions, steps), batches_of(windows, asked.batch, "cpu")
    )


def peak_memory(name: str, asked: argparse.Namespace) -> int:
    words = [sys.executable, __file__, "--only", name]
    for option in ("threads", "windows", "batch", "plain_batch"):
        words += [f"--{option.replace('_', '-')}", str(getattr(asked, option))]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


if __name__ == "__main__":
    main()
