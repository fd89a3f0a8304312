"""Rows and queries as Bergson reads them: data sets of token ids, of which it tokenizes nothing (`bergson_scores.py`).

Both are cut as ifcurate cuts them, and each window stands behind the start token. Windows: `context` tokens of one row,
the last one shorter. Queries: prompt and completion tokenized together; tokens that cover any character of the
completion carry loss; of a query longer than `context` the completion and the end of the prompt stay; a longer
completion is split.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import PreTrainedTokenizerFast

NO_LOSS = -100
Rows = list[list[int]]


def start_of(tokenizer: PreTrainedTokenizerFast) -> int:
    found = [token for token in (tokenizer.bos_token_id, tokenizer.eos_token_id) if token is not None]
    if not found:
        raise SystemExit("the tokenizer has neither a BOS nor an EOS token to start a window with.")
    return int(found[0])


def write_windows(rows: Rows, start: int, context: int, folder: Path) -> Rows:
    """All windows of all rows, in order, to `folder`."""
    windows = [[start, *ids[first : first + context]] for ids in rows for first in range(0, len(ids), context)]
    save({"input_ids": windows}, folder)
    return windows


def write_sample(windows: Rows, tokens: int, seed: int, folder: Path) -> None:
    """Windows drawn without replacement until they hold `tokens` tokens, or all, to `folder`."""
    order = np.random.default_rng(seed).permutation(len(windows))
    before = np.cumsum([0, *(len(windows[index]) - 1 for index in order)])[:-1]
    save({"input_ids": [windows[index] for index in sorted(order[before < tokens])]}, folder)


def write_queries(file: Path, tokenizer: PreTrainedTokenizerFast, context: int, mean: str, folder: Path) -> None:
    """The queries of `file`, labelled where they carry loss, to `folder`.

    Bergson's mean is over rows of summed losses, weighted by a column: rows / completion tokens makes it the mean over
    tokens, rows / queries that over queries.
    """
    start, ids, labels = start_of(tokenizer), [], []
    queries = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    for number, query in enumerate(queries, start=1):
        tokens, first = tokenize(query["prompt"], query["completion"], tokenizer)
        if first >= len(tokens):
            raise SystemExit(f"{file}, query {number}: no completion token; give every query a completion.")
        fits = len(tokens) - first <= context
        for begin in [max(0, len(tokens) - context)] if fits else range(first, len(tokens), context):
            window, prompt = tokens[begin : begin + context], max(0, first - begin)
            ids.append([start, *window])
            labels.append([NO_LOSS] * (1 + prompt) + window[prompt:])
    counted = len(queries) if mean == "query" else sum(label != NO_LOSS for row in labels for label in row)
    save({"input_ids": ids, "labels": labels, "weight": [len(ids) / counted] * len(ids)}, folder)


def tokenize(prompt: str, completion: str, tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], int]:
    """Token ids of both, and how many of the first belong to the prompt alone."""
    encoded = tokenizer(prompt + completion, add_special_tokens=False, return_offsets_mapping=True)
    ends = np.maximum.accumulate([end for _, end in encoded["offset_mapping"]] or [0])
    return encoded["input_ids"], int(np.searchsorted(ends, len(prompt), side="right"))


def save(columns: dict[str, list[Any]], folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    Dataset.from_dict({**columns, "length": [len(ids) for ids in columns["input_ids"]]}).save_to_disk(str(folder))
