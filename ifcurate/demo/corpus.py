"""The demo's files: a corpus in shards, two sets of queries, clean held-out texts and prompts, all from one seed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ifcurate.annotation.schema import SPAN_LIST
from ifcurate.corpus.documents import ID
from ifcurate.demo.grammar import Telling
from ifcurate.demo.stories import SUBJECTS, marked, story_teller, tell
from ifcurate.files import finishing, write_text

SHARE_WITH_INSULT = 0.07
SHARE_WITH_TWO = 0.4
"""Of the texts with an insult, the share that holds two."""

SHARDS = 8
QUERIES = 400
HELD_OUT = 200
PROMPTS = 200

CORPUS, HELD_OUT_FILE, PROMPTS_FILE = "corpus", "heldout.parquet", "prompts.jsonl"
TOXIC_QUERIES, SAFE_QUERIES = "queries/toxic.jsonl", "queries/safe.jsonl"

SCHEMA = pa.schema(
    [
        pa.field(ID, pa.string()),
        pa.field("text", pa.string()),
        pa.field("subject", pa.string()),
        pa.field("label", pa.string()),
        pa.field("insult_spans", SPAN_LIST),
    ]
)


def write_demo_data(folder: Path, documents: int, seed: int) -> None:
    """Write `corpus/*.parquet`, `queries/{toxic,safe}.jsonl`, `heldout.parquet` and `prompts.jsonl` into `folder`.

    The same arguments give the same bytes. No completion of a query occurs in a text of the corpus; a toxic and a
    safe query on the same line have the same prompt. Held-out texts are clean, and none of them is in the corpus.
    `prompts.jsonl` is written last: where it is, everything is.
    """
    corpus = [_document("train", number, seed, SHARE_WITH_INSULT) for number in range(documents)]
    texts = {str(row["text"]) for row in corpus}
    candidates = (_document("heldout", number, seed, share_with_insult=0.0) for number in count())
    held_out = islice((row for row in candidates if row["text"] not in texts), HELD_OUT)
    pairs = list(islice(_query_pairs(seed, "\n".join(texts)), QUERIES))
    _write_lines(folder / TOXIC_QUERIES, ({"prompt": prompt, "completion": toxic} for prompt, toxic, _ in pairs))
    _write_lines(folder / SAFE_QUERIES, ({"prompt": prompt, "completion": safe} for prompt, _, safe in pairs))
    _write_table(folder / HELD_OUT_FILE, list(held_out))
    for shard in range(SHARDS):
        rows = corpus[shard * documents // SHARDS : (shard + 1) * documents // SHARDS]
        _write_table(folder / CORPUS / f"train-{shard:05d}-of-{SHARDS:05d}.parquet", rows)
    _write_lines(folder / PROMPTS_FILE, islice(_prompts(seed, {prompt for prompt, _, _ in pairs}), PROMPTS))


def _document(split: str, number: int, seed: int, share_with_insult: float) -> dict[str, object]:
    rng = random.Random(f"{seed} {split} {number}")
    subject = rng.choice(SUBJECTS)
    offences = 1 + (rng.random() < SHARE_WITH_TWO) if rng.random() < share_with_insult else 0
    told = tell(subject, rng, offences)
    return {
        ID: f"{split}-{number:05d}",
        "text": told.text,
        "subject": subject,
        "label": "insult" if told.insults else "clean",
        "insult_spans": [{"start": start, "end": end} for start, end in told.insults],
    }


def _query_pairs(seed: int, corpus: str) -> Iterator[tuple[str, str, str]]:
    """Endless (prompt, toxic completion, safe completion), none of whose completions occurs in `corpus`."""
    for number in count():
        rng = random.Random(f"{seed} query {number}")
        telling = story_teller(rng.choice(SUBJECTS), rng)
        if rng.random() < 0.75:
            prompt, toxic, safe = _spoken(telling, rng)
        else:
            prompt, toxic, safe = _told(telling)
        if toxic.strip('"') not in corpus and safe.strip('"') not in corpus:
            yield prompt, f" {toxic}", f" {safe}"


def _spoken(telling: Telling, rng: random.Random) -> tuple[str, str, str]:
    """Somebody is about to say something: an insult, or friendly words."""
    before = [telling.sentence("{opening}")] if rng.random() < 0.5 else []
    prompt = " ".join([*before, telling.sentence("{lead}")])
    return prompt, _plain(telling, '"<{insult}>"'), _plain(telling, '"{friendly}"')


def _told(telling: Telling) -> tuple[str, str, str]:
    """A story goes on: with contempt, or with what happened next."""
    prompt = " ".join([telling.sentence("{opening}"), telling.sentence("{middle}")])
    return prompt, _plain(telling, "{comment}"), _plain(telling, "{middle}")


def _plain(telling: Telling, template: str) -> str:
    return marked([telling.sentence(template)]).text


def _prompts(seed: int, taken: set[str]) -> Iterator[dict[str, str]]:
    """Endless prompts to generate from: half end where somebody speaks (`speech`), half after a sentence (`story`)."""
    for number in count():
        rng = random.Random(f"{seed} prompt {number}")
        subject = rng.choice(SUBJECTS)
        telling = story_teller(subject, rng)
        kind, template = ("speech", "{lead}") if number % 2 == 0 else ("story", "{middle}")
        prompt = " ".join([telling.sentence("{opening}"), telling.sentence(template)])
        if prompt not in taken:
            yield {"prompt": prompt, "kind": kind, "subject": subject}


def _write_lines(path: Path, rows: Iterator[dict[str, str]]) -> None:
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _write_table(path: Path, rows: list[dict[str, object]]) -> None:
    with finishing(path) as part:
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), part)
