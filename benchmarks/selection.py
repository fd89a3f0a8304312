"""How fast a corpus of any size is selected from, and in how much memory.

    python benchmarks/selection.py --out FOLDER --tokens 10000000 100000000 1000000000 [--plot selection.svg]
    python benchmarks/selection.py --out FOLDER --tokens 1000000000 --tokens-a-shard 100000
    python benchmarks/selection.py --out FOLDER --tokens 750000000 --one-shard

Score files are drawn: documents of about a hundred tokens, heavy-tailed influence, higher in some of them, ranges of
characters one after the other. `DISTINCT` of them are drawn, and a larger corpus has several names for each (hard
links), so that its files are read as often as they are named; or they are written one after the other into a single
shard. Every size is selected from in a process of its own. Printed: bytes a token, seconds, tokens a second, peak
memory, and how far from linear the largest is.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ifcurate.corpus.documents import ID
from ifcurate.corpus.parquet import ParquetReader
from ifcurate.selection.quantile import Histogram
from ifcurate.selection.scores import (
    DIRECTIONS,
    FLOAT_LIST,
    HISTOGRAMS,
    INT_LIST,
    TOKEN_ENDS,
    TOKEN_IDS,
    TOKEN_STARTS,
    Sidecar,
    influence_column,
    sidecar_schema,
    writing_scores,
)

BEHAVIOUR = "toxic"
DISTINCT = 20
TOKENS_A_DOCUMENT = 100
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
    parser.add_argument("--tokens-a-shard", type=int, default=5_000_000)
    parser.add_argument("--one-shard", action="store_true", help="write all of them into one")
    parser.add_argument("--plot", type=Path, help="SVG of seconds against tokens")
    asked = parser.parse_args()
    size = asked.tokens_a_shard
    drawn = asked.out / f"drawn-{size}"
    for number in range(min(DISTINCT, -(-max(asked.tokens) // size))):
        if not (file := drawn / f"{number:03}.parquet").is_file():
            draw(file, number, size)
    files = sorted(drawn.glob("*.parquet"))
    found = []
    for tokens in asked.tokens:
        corpus = asked.out / f"corpus-{tokens}-{'one' if asked.one_shard else size}"
        (join if asked.one_shard else link)(files, -(-tokens // size), corpus)
        found.append(measured(corpus, asked.out / "selection"))
    first, last = found[0], found[-1]
    times, longer = (last[what] / first[what] for what in ("tokens", "seconds"))
    print(f"{times:,.1f} times the tokens took {longer:,.1f} times as long")
    if asked.plot:
        plot(found, asked.plot)


def draw(file: Path, seed: int, size: int) -> None:
    generator = np.random.default_rng(seed)
    lengths = generator.lognormal(0, 1, max(1, size // TOKENS_A_DOCUMENT))
    lengths = np.maximum(1, lengths * (size / lengths.sum())).astype(np.int64)
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
        sink.describe(said(histogram))


def said(histogram: Histogram) -> dict[str, Any]:
    """The footer of a score file."""
    direction = {"direction_hash": sha256(b"drawn").hexdigest(), "relative_error": None}
    return {HISTOGRAMS: {BEHAVIOUR: histogram.to_text()}, DIRECTIONS: {BEHAVIOUR: direction}}


def link(files: Sequence[Path], count: int, corpus: Path) -> None:
    """A corpus of `count` shards."""
    corpus.mkdir(exist_ok=True)
    for number in range(count):
        name = corpus / f"{number:05}.parquet"
        if not name.exists():
            os.link(files[number % len(files)], name)


def join(files: Sequence[Path], count: int, corpus: Path) -> None:
    """A corpus of one shard, in which are `count`."""
    corpus.mkdir(exist_ok=True)
    shard, histogram = corpus / "one.parquet", Histogram()
    if shard.exists():
        return
    with writing_scores(shard, sidecar_schema([BEHAVIOUR], with_loss=False)) as sink:
        for number in range(count):
            file = files[number % len(files)]
            histogram.merge(Sidecar(file.stem, file, BEHAVIOUR).histogram())
            for batch in ParquetReader(str(file)).batches():
                sink.write(batch)
        sink.describe(said(histogram))


def lists(offsets: np.ndarray, values: np.ndarray, kind: pa.DataType) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values), type=kind)


def measured(corpus: Path, selection: Path) -> dict[str, float]:
    command = [sys.executable, "-c", CHILD, str(corpus), str(selection)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    files = list(corpus.iterdir())
    size = sum(file.stat().st_size for file in files)
    print(
        f"{found['tokens']:>15,} tokens, {found['documents']:>12,} documents, {len(files):>6,} shards, "
        f"{size / found['tokens']:.2f} bytes a token: {found['seconds']:,.1f} s, "
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
