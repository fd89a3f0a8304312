"""The documents that every arm scores and trains on, drawn once and kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from ifcurate.corpus.shards import list_shards
from ifcurate.files import finishing
from ifcurate.model.windows import Encoding, encode_documents

SCHEMA = pa.schema(
    {
        "text": pa.string(),
        "label": pa.string(),
        "token_ids": pa.list_(pa.int32()),
        "starts": pa.list_(pa.int32()),
        "ends": pa.list_(pa.int32()),
    }
)


@dataclass(frozen=True)
class Documents:
    """Texts, their labels and tokens, in the order in which they were drawn."""

    texts: list[str]
    labels: list[str]
    encodings: list[Encoding]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each document."""
        return np.array([len(encoding) for encoding in self.encodings])

    def labelled(self, label: str) -> NDArray[np.bool_]:
        """Whether each token of the corpus lies in a document with this label."""
        return np.repeat(np.array(self.labels) == label, self.lengths)

    def split(self, values: NDArray) -> list[NDArray]:
        """One value a token of the corpus, cut into documents."""
        return np.split(values, np.cumsum(self.lengths)[:-1])


def documents(
    file: Path, shards: Sequence[str], tokenizer: PreTrainedTokenizerFast, tokens: int, label_column: str, seed: int
) -> Documents:
    """Random documents of `shards` with `tokens` tokens in all, the last one whole: read from `file`, or drawn."""
    if not file.is_file():
        rows = [row for shard in shards for row in _rows(shard, label_column)]
        drawn = _draw([rows[index] for index in np.random.default_rng(seed).permutation(len(rows))], tokenizer, tokens)
        with finishing(file) as part:
            pq.write_table(drawn, part)
    stored = pq.read_table(file, schema=SCHEMA).to_pydict()
    arrays = zip(*(stored[name] for name in ("token_ids", "starts", "ends")), strict=True)
    encodings = [Encoding(*(np.array(values, np.int32) for values in row)) for row in arrays]
    return Documents(stored["text"], stored["label"], encodings)


def _rows(source: str, label_column: str) -> Iterator[tuple[str, str]]:
    for shard in list_shards(source):
        table = pq.read_table(shard.path)
        column, *fields = label_column.split(".")
        labels = pc.struct_field(table.column(column), fields) if fields else table.column(column)
        yield from zip(table.column("text").to_pylist(), labels.to_pylist(), strict=True)


def _draw(rows: Sequence[tuple[str, str]], tokenizer: PreTrainedTokenizerFast, tokens: int) -> pa.Table:
    drawn: list[dict[str, object]] = []
    held = 0
    for text, label in rows:
        if held >= tokens:
            break
        (encoding,) = encode_documents(tokenizer, [text])
        if not len(encoding):
            continue
        held += len(encoding)
        ids, starts, ends = encoding.token_ids, encoding.starts, encoding.ends
        drawn.append({"text": text, "label": label, "token_ids": ids, "starts": starts, "ends": ends})
    return pa.Table.from_pylist(drawn, SCHEMA)
