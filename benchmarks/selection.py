"""How fast a corpus of any size is selected from, and in how much memory.

    python benchmarks/selection.py --out FOLDER --tokens 10000000 100000000 1000000000 [--plot selection.svg]

Score files are drawn, of some five million tokens each: documents of about a hundred tokens, heavy-tailed influence,
higher in some of them, ranges of characters one after the other. `DISTINCT` of them are drawn, and a larger corpus has
several names for each (hard links), so that its files are read as often as they are named. Every size is selected from
in a process of its own. Printed: seconds, tokens a second, peak memory, and how far from linear the largest is.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa

from ifcurate.corpus.documents import ID
from ifcurate.selection.quantile import Histogram
from ifcurate.selection.scores import (
    DIRECTIONS,
    FLOAT_LIST,
    HISTOGRAMS,
    INT_LIST,
    TOKEN_ENDS,
    TOKEN_IDS,
    TOKEN_STARTS,
    influence_column,
    sidecar_schema,
    writing_scores,
)

BEHAVIOUR = "toxic"
DISTINCT = 20
TOKENS_A_SHARD, DOCUMENTS_A_SHARD = 5_000_000, 50_000
ROWS = 2_000
"""Documents that are written at a time, as scoring does."""
CHILD = """
import json, sys, time
from pathlib import Path
from ifcurate.selection.algorithm import select
from ifcurate.selection.settings import SelectionSettings
files = sorted(Path(sys.argv[1]).glob("*.parquet"))
began, used = time.perf_counter(), time.process_time()
found = select([(file.stem, file) for file in files], SelectionSettings(), Path(sys.argv[2]))
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"tokens": found.tokens, "documents": found.documents, "seconds": time.perf_counter() - began,
                  "cpu": time.process_time() - used, "peak": peak / 1024, "tau": found.tau}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tokens", type=int, nargs="+", default=[10_000_000, 100_000_000, 1_000_000_000])
    parser.add_argument("--plot", type=Path, help="SVG of seconds against tokens")
    asked = parser.parse_args()
    drawn = asked.out / "drawn"
    for number in range(min(DISTINCT, -(-max(asked.tokens) // TOKENS_A_SHARD))):
        if not (file := drawn / f"{number:03}.parquet").is_file():
            draw(file, number)
    found = [measured(asked.out, drawn, tokens) for tokens in asked.tokens]
    first, last = found[0], found[-1]
    times, longer = (last[what] / first[what] for what in ("tokens", "seconds"))
    print(f"{times:,.1f} times the tokens took {longer:,.1f} times as long")
    if asked.plot:
        plot(found, asked.plot)


def draw(file: Path, seed: int) -> None:
    generator = np.random.default_rng(seed)
    lengths = generator.lognormal(0, 1, DOCUMENTS_A_SHARD)
    lengths = np.maximum(1, lengths * (TOKENS_A_SHARD / lengths.sum())).astype(np.int64)
    total, behaviour = int(lengths.sum()), influence_column(BEHAVIOUR)
    harm = np.repeat(generator.gamma(0.3, 1.0, len(lengths)), lengths)
    values = (generator.standard_t(4, total) * (0.2 + harm)).astype(np.float32)
    sizes = generator.integers(1, 9, total)
    rows = np.append(0, np.cumsum(lengths))
    reached = np.append(0, np.cumsum(sizes))
    ends = (reached[1:] - np.repeat(reached[rows[:-1]], lengths)).astype(np.int32)
    token_ids = (generator.zipf(1.3, total) % 50_000).astype(np.int32)
    histogram = Histogram()
    histogram.add(values)
    schema = sidecar_schema([BEHAVIOUR], with_loss=False)
    with writing_scores(file, schema) as sink:
        for first in range(0, len(lengths), ROWS):
            part = rows[first : first + ROWS + 1]
            tokens, offsets = slice(part[0], part[-1]), part - part[0]
            columns = {
                ID: pa.array([f"{seed}:{row}" for row in range(first, first + len(offsets) - 1)]),
                TOKEN_IDS: lists(offsets, token_ids[tokens], INT_LIST),
                TOKEN_STARTS: lists(offsets, (ends - sizes)[tokens].astype(np.int32), INT_LIST),
                TOKEN_ENDS: lists(offsets, ends[tokens], INT_LIST),
                behaviour: lists(offsets, values[tokens], FLOAT_LIST),
            }
            sink.write(pa.RecordBatch.from_pydict(columns, schema=schema))
        direction = {"direction_hash": sha256(b"drawn").hexdigest(), "relative_error": None}
        sink.describe({HISTOGRAMS: {BEHAVIOUR: histogram.to_text()}, DIRECTIONS: {BEHAVIOUR: direction}})


def lists(offsets: np.ndarray, values: np.ndarray, kind: pa.DataType) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values), type=kind)


def measured(out: Path, drawn: Path, tokens: int) -> dict[str, float]:
    corpus = out / f"corpus-{tokens}"
    corpus.mkdir(exist_ok=True)
    files = sorted(drawn.glob("*.parquet"))
    for number in range(-(-tokens // TOKENS_A_SHARD)):
        link = corpus / f"{number:05}.parquet"
        if not link.exists():
            os.link(files[number % len(files)], link)
    time.sleep(1)
    command = [sys.executable, "-c", CHILD, str(corpus), str(out / f"selection-{tokens}")]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    print(
        f"{found['tokens']:>15,} tokens, {found['documents']:>12,} documents: {found['seconds']:,.1f} s, "
        f"{found['cpu']:,.1f} CPU s, {found['tokens'] / found['seconds'] / 1e6:,.1f} M tokens/s, "
        f"{found['peak']:,.0f} MiB, tau {found['tau']:.9g}",
        flush=True,
    )
    return found


def plot(found: list[dict[str, float]], file: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    tokens, seconds = [each["tokens"] for each in found], [each["seconds"] for each in found]
    axes.loglog(tokens, seconds, "o-", label="select")
    axes.loglog(tokens, [seconds[0] * each / tokens[0] for each in tokens], "--", color="grey", label="linear")
    axes.set(xlabel="tokens", ylabel="seconds")
    axes.legend()
    figure.savefig(file, metadata={"Date": None})


if __name__ == "__main__":
    main()
