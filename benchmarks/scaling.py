"""Is time linear in tokens, and do two workers halve it? Whole runs of `ifcurate annotate` along a direction.

    python benchmarks/scaling.py --corpus CORPUS --model MODEL --direction FILE [--characters 1500000]

Cuts a corpus of about so many characters, and one of four times as many, out of CORPUS, each in shards of the same
size, and annotates the first with one worker of one thread and both with two. Every command's time holds a start
(imports, model, step, and each worker's own): it is measured on two documents and taken off before times are compared.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ifcurate.corpus.shards import list_shards

TEXT = "text"
GROWTH = 4
SHARDS = 4


@dataclass(frozen=True)
class Measured:
    tokens: int
    seconds: float


def main() -> None:
    asked = arguments()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        texts = documents(asked.corpus)
        cut(place / "start", [next(texts), next(texts)], 2)
        small = taken(texts, asked.characters)
        large = small + taken(texts, (GROWTH - 1) * asked.characters)
        cut(place / "small", small, SHARDS)
        cut(place / "large", large, GROWTH * SHARDS)
        start_alone = annotate(asked, place / "start", workers=1)
        start = annotate(asked, place / "start", workers=2)
        alone = annotate(asked, place / "small", workers=1)
        pair = annotate(asked, place / "small", workers=2)
        grown = annotate(asked, place / "large", workers=2)
    print(f"{'corpus':<10} {'workers':>7} {'tokens':>10} {'seconds':>8}")
    runs = {"start": (start_alone, start), "small": (alone, pair), "large": (None, grown)}
    for name, pairs in runs.items():
        for workers, one in enumerate(pairs, 1):
            if one is not None:
                print(f"{name:<10} {workers:>7} {one.tokens:>10,} {one.seconds:>8.1f}")
    times, tokens = net(grown, start) / net(pair, start), grown.tokens / pair.tokens
    print(f"{tokens:.2f} times the tokens took {times:.2f} times as long: {times / tokens - 1:+.1%} off linear")
    print(f"two workers are {net(alone, start_alone) / net(pair, start):.2f} times as fast as one")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("corpus", "model", "direction"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--characters", type=int, default=1_500_000, help="of the smaller corpus")
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


def documents(corpus: str) -> Iterator[str]:
    """Texts of all shards in turn, one of each: so every cut is the same mixture."""
    shards = [pq.ParquetFile(shard.path).read([TEXT])[TEXT].to_pylist() for shard in list_shards(corpus)]
    for row in range(max(map(len, shards))):
        yield from (texts[row] for texts in shards if row < len(texts))


def taken(texts: Iterator[str], characters: int) -> list[str]:
    found: list[str] = []
    while characters > 0:
        found.append(next(texts))
        characters -= len(found[-1])
    return found


def cut(folder: Path, texts: list[str], shards: int) -> None:
    """Write the texts, each into the shard that has fewest characters: workers then end together."""
    folder.mkdir()
    parts: list[list[str]] = [[] for _ in range(shards)]
    characters = [0] * shards
    for text in texts:
        emptiest = characters.index(min(characters))
        parts[emptiest].append(text)
        characters[emptiest] += len(text)
    for number, part in enumerate(parts):
        pq.write_table(pa.table({TEXT: part}), folder / f"{number:02d}.parquet")


def annotate(asked: argparse.Namespace, corpus: Path, workers: int) -> Measured:
    out = corpus.parent / f"{corpus.name}-{workers}"
    words = [str(Path(sys.executable).parent / "ifcurate"), "annotate", str(corpus), "--out", str(out)]
    words += ["--model", asked.model, "--direction", asked.direction, "--device", asked.device]
    began = time.perf_counter()
    subprocess.run([*words, "--workers", str(workers), "--threads", "1"], check=True, stdout=sys.stderr)
    return Measured(tokens_of(out), time.perf_counter() - began)


def tokens_of(run: Path) -> int:
    ids = pq.read_table(run / "data", columns=["token_ids"])["token_ids"]
    return int(pc.sum(pc.list_value_length(ids)).as_py())


def net(one: Measured, start: Measured) -> float:
    return one.seconds - start.seconds


if __name__ == "__main__":
    main()
