"""Does the memory of `ifcurate attach` grow with the corpus? Corpora larger than the memory it may use.

    python benchmarks/attach.py [--documents 50000 200000 800000] [--characters 2000] [--limit 1024]

For each size a corpus is drawn, and annotations of its documents in another order: id, hash of the text, mask, spans
and influence of every token, about a quarter as many tokens as characters. `attach` runs in a process of its own whose
data segment (RLIMIT_DATA: heap and everything else that is private and writable) may take `--limit` MiB. Printed: texts
and annotations in memory's own form, peak of anonymous memory (RssAnon, looked at every 10 ms) and of all resident
memory (VmHWM, with pages of files, which the system takes back when it needs them), seconds, and rows matched. Each
row of the result is compared with what was drawn for its document. Linux only.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ifcurate.annotation.published import TEXT_HASH
from ifcurate.annotation.schema import annotation_fields, score_column
from ifcurate.corpus.parquet import attach as saying
from ifcurate.corpus.parquet import writing_parquet
from ifcurate.corpus.text_hash import hash_text

SHARDS = 16
ROWS = 1024
CHARACTERS_A_TOKEN = 4
FIELDS = annotation_fields("toxic")
SAID = {
    "toxic": {
        "version": "0",
        "tokenizer_hash": "0" * 64,
        "alignment": "label",
        "sign": "positive teaches the behaviour",
        "unit": "nats",
    }
}
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Peak:
    """Of one process, in MiB and seconds."""

    anonymous: float
    resident: float
    seconds: float


class Drawn:
    """Documents that are drawn: a piece each of one long text."""

    def __init__(self, count: int, characters: int) -> None:
        draw = np.random.default_rng(0)
        letters = np.frombuffer(b"etaoin shrdlu cmfwyp vbgkjqxz", np.uint8)
        self.source = draw.choice(letters, 16 << 20).tobytes().decode()
        self.lengths = np.minimum(draw.lognormal(np.log(characters) - 0.5, 1, count), 100_000).astype(np.int64) + 1
        self.starts = draw.integers(0, len(self.source) - 100_001, count)
        self.order = draw.permutation(count)
        """Of the annotations."""

    def texts(self, numbers: Ints) -> list[str]:
        starts, lengths = self.starts[numbers].tolist(), self.lengths[numbers].tolist()
        return [self.source[start : start + length] for start, length in zip(starts, lengths, strict=True)]

    def documents(self, numbers: Ints) -> pa.RecordBatch:
        return pa.RecordBatch.from_pydict({"id": ids(numbers), "text": self.texts(numbers)})

    def annotations(self, numbers: Ints) -> pa.RecordBatch:
        """The score of a document is its number; one token in fifty is marked."""
        tokens = -(-self.lengths[numbers] // CHARACTERS_A_TOKEN)
        rows = np.append(0, np.cumsum(tokens)).astype(np.int32)
        influence = np.random.default_rng(int(numbers[0])).standard_normal(rows[-1]).astype(np.float32)
        mask = np.arange(rows[-1]) % 50 == 0
        marked = np.flatnonzero(mask)
        places = ((marked - rows[np.searchsorted(rows, marked, "right") - 1]) * CHARACTERS_A_TOKEN).astype(np.int32)
        spans = pa.StructArray.from_arrays([pa.array(places), pa.array(places + 1)], ["start", "end"])
        columns = [
            pa.array(ids(numbers)),
            pa.array([hash_text(text) for text in self.texts(numbers)]),
            pa.ListArray.from_arrays(rows, pa.array(influence)),
            pa.ListArray.from_arrays(rows, pa.array(mask)),
            pa.ListArray.from_arrays(np.searchsorted(marked, rows).astype(np.int32), spans),
            pa.array(tokens.astype(np.int32)),
            pa.array(numbers.astype(np.float32)),
            pa.array(np.zeros(len(numbers), np.float32)),
        ]
        fields = [pa.field("id", pa.string()), pa.field(TEXT_HASH, pa.string()), *FIELDS]
        return pa.RecordBatch.from_arrays(columns, schema=saying(pa.schema(fields), SAID))


def main() -> None:
    asked = arguments()
    print(
        f"{'documents':>9} {'texts':>7} {'annotations':>11} {'anonymous':>9} {'resident':>8} {'seconds':>7} {'rows':>7}"
    )
    for count in asked.documents:
        with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
            place = Path(folder)
            drawn = Drawn(count, asked.characters)
            texts = write(place / "corpus", drawn, np.arange(count), drawn.documents)
            annotations = write(place / "published" / "annotations", drawn, drawn.order, drawn.annotations)
            peak = attached(place, asked.limit)
            rows = compared(place / "out")
            print(
                f"{count:>9,} {texts / 2**20:>7,.0f} {annotations / 2**20:>11,.0f} {peak.anonymous:>9,.0f} "
                f"{peak.resident:>8,.0f} {peak.seconds:>7.1f} {rows:>7,}",
                flush=True,
            )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, nargs="+", default=[50_000, 200_000, 800_000])
    parser.add_argument("--characters", type=int, default=2_000, help="of a document, in the mean")
    parser.add_argument("--limit", type=int, default=1024, help="MiB that the process may take")
    parser.add_argument("--folder", help="where corpora and results are for a while")
    return parser.parse_args()


def ids(numbers: Ints) -> list[str]:
    return [f"document-{number}" for number in numbers.tolist()]


def write(folder: Path, drawn: Drawn, numbers: Ints, make: object) -> int:
    """Shards of what `make` makes of documents; the bytes of it in memory."""
    size = 0
    folder.mkdir(parents=True)
    assert callable(make)
    schema = make(numbers[:1]).schema
    for shard, part in enumerate(np.array_split(numbers, SHARDS)):
        with writing_parquet(folder / f"part-{shard:02}.parquet", schema) as sink:
            for first in range(0, len(part), ROWS):
                batch = make(part[first : first + ROWS])
                size += batch.nbytes
                sink.write(batch)
    return size


def attached(place: Path, limit: int) -> Peak:
    """What `ifcurate attach` takes, which is killed by the system where that is more than `limit` MiB."""
    words = ["attach", str(place / "published"), "--to", str(place / "corpus"), "--out", str(place / "out")]
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", "from ifcurate.cli import main; main()", *words],
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit << 20, limit << 20)),
    )
    anonymous = resident = 0
    while process.poll() is None:
        for line in status(process.pid):
            name, _, value = line.partition(":")
            if name == "RssAnon":
                anonymous = max(anonymous, int(value.split()[0]))
            elif name == "VmHWM":
                resident = int(value.split()[0])
        time.sleep(0.01)
    if process.returncode:
        raise SystemExit(f"attach ended with {process.returncode} within {limit} MiB")
    return Peak(anonymous / 1024, resident / 1024, time.monotonic() - began)


def status(pid: int) -> Iterator[str]:
    try:
        yield from Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return


def compared(out: Path) -> int:
    """How many documents have the annotation that was drawn for them; all of them must."""
    rows = 0
    for file in sorted(out.glob("*.parquet")):
        for batch in pq.ParquetFile(file).iter_batches(ROWS, columns=["id", score_column("toxic")]):
            for name, score in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                if name != f"document-{rows}" or score != rows:
                    raise SystemExit(f"{file}: {name} has the annotation of document {score}")
                rows += 1
    return rows


if __name__ == "__main__":
    main()
