"""What the penalty costs: PenalizedTrainer with a mask against transformers' own Trainer without one, on the same rows.

Every measurement is a process of its own, the sides take turns, and the first steps do not count. Prints the median
seconds a step (wall clock, and processor time, which other processes on the machine disturb less), peak memory, and
the overhead as the median over pairs of neighbouring runs.

    python benchmarks/training.py [--model MODEL] [--steps 20] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GPTNeoXConfig,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from ifcurate.annotation.reader import MarkedDocument
from ifcurate.training.packing import Delimiters, PackedTokens, PaddingCollator, token_dtype, write_stream
from ifcurate.training.token_columns import LOSS_WEIGHTS
from ifcurate.training.trainer import PenalizedTrainer

SIDES = ("transformers", "ifcurate")
WARM_UP_STEPS = 3
MARKED_SHARE = 0.02
MEBIBYTE = 1 << 20


class Stopwatch(TrainerCallback):
    """Wall and processor seconds of the steps after the first ones."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.processor: list[float] = []

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.wall.append(time.perf_counter() - self._wall)
        self.processor.append(time.process_time() - self._processor)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder or Hub id whose configuration is trained; default: 7 M parameters")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--side", choices=SIDES)
    given = parser.parse_args()
    if given.side:
        print(json.dumps(measure(given)))
        return
    runs: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for number in range(given.rounds):
        for side in SIDES if number % 2 else SIDES[::-1]:
            command = [sys.executable, *sys.argv, "--side", side]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            runs[side].append(json.loads(output.splitlines()[-1]))
    show(runs)


def measure(given: argparse.Namespace) -> dict[str, float]:
    set_seed(0)
    default = GPTNeoXConfig(
        vocab_size=8192, hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024
    )
    config = AutoConfig.from_pretrained(given.model) if given.model else default
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    stopwatch, on_gpu = Stopwatch(), torch.cuda.is_available()
    with tempfile.TemporaryDirectory() as folder:
        steps = WARM_UP_STEPS + given.steps
        rows = random_rows(Path(folder), config.vocab_size, steps * given.rows, given.length)
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=given.rows,
            bf16=on_gpu,
            report_to="none",
            save_strategy="no",
            logging_steps=10,
            disable_tqdm=True,
            remove_unused_columns=False,
            dataloader_pin_memory=on_gpu,
        )
        collator = PaddingCollator(0)
        settings = {"model": model, "args": arguments, "train_dataset": rows, "callbacks": [stopwatch]}
        if given.side == "ifcurate":
            trainer: Trainer = PenalizedTrainer(**settings, data_collator=collator)
        else:
            trainer = Trainer(**settings, data_collator=lambda batch: without_weights(collator(batch)))
        trainer.train()
    peak = torch.cuda.max_memory_allocated() if on_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "wall": statistics.median(stopwatch.wall[WARM_UP_STEPS:]),
        "processor": statistics.median(stopwatch.processor[WARM_UP_STEPS:]),
        "memory": peak / MEBIBYTE,
    }


def random_rows(folder: Path, vocabulary: int, count: int, length: int) -> PackedTokens:
    generator = np.random.default_rng(0)
    size = count * (length - 1)
    document = MarkedDocument(
        generator.integers(1, vocabulary, size).astype(np.int32),
        (generator.random(size) < MARKED_SHARE).astype(np.uint8),
    )
    dtype = token_dtype(vocabulary)
    write_stream([document], Delimiters(0, None), dtype, folder)
    return PackedTokens(folder, dtype, [1.0], length)


def without_weights(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: values for name, values in batch.items() if name != LOSS_WEIGHTS}


def show(runs: dict[str, list[dict[str, float]]]) -> None:
    table = Table("", *SIDES, "overhead")
    for column in table.columns[1:]:
        column.justify = "right"
    units = {"wall": "seconds a step", "processor": "processor seconds a step", "memory": "peak memory, MiB"}
    for name, unit in units.items():
        ours, theirs = ([run[name] for run in runs[side]] for side in reversed(SIDES))
        overhead = statistics.median(one / other - 1 for one, other in zip(ours, theirs, strict=True))
        cells = [f"{statistics.median(values):.4g}" for values in (theirs, ours)]
        table.add_row(unit, *cells, f"{overhead:+.1%}")
    Console().print(table)


if __name__ == "__main__":
    main()
