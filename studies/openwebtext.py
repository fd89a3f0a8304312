"""The billion tokens of OpenWebText that IF-Guide was published with, as text: `python studies/openwebtext.py OUT`.

The published data are chunks of 2,048 token ids; a chunk becomes a document. Needs the network.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import load_dataset
from transformers import AutoTokenizer

from ifcurate.files import finishing

CHUNKS, TOKENIZER = "ztcoalson/openwebtext-gptneox-2048-chunks", "EleutherAI/pythia-160m"
CHUNKS_A_SHARD = 4096


def main(out: Path) -> None:
    """Write `openwebtext/*.parquet` and `validation.parquet` below `out`; shards that are there are left alone."""
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    chunks = load_dataset(CHUNKS)
    for first in range(0, len(chunks["train"]), CHUNKS_A_SHARD):
        last = min(first + CHUNKS_A_SHARD, len(chunks["train"]))
        shard = out / "openwebtext" / f"train-{first // CHUNKS_A_SHARD:05d}.parquet"
        if not shard.is_file():
            write(tokenizer.batch_decode(chunks["train"][first:last]["input_ids"]), shard)
    write(tokenizer.batch_decode(chunks["validation"]["input_ids"]), out / "validation.parquet")


def write(texts: list[str], file: Path) -> None:
    """One document a row."""
    with finishing(file) as part:
        pq.write_table(pa.table({"text": pa.array(texts, pa.string())}), part)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
