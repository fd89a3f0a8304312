"""Small annotated shards, made here, and a word-level tokenizer and model that fit them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast

from ifcurate.annotation.schema import SPAN_LIST, mask_column, spans_column
from ifcurate.corpus.parquet import attach, metadata_of
from ifcurate.model.hashes import hash_tokenizer
from ifcurate.model.windows import encode_documents
from ifcurate.selection.scores import FLOAT_LIST, INT_LIST, LOSS, MASK_LIST, TOKEN_IDS, influence_column

WORDS = ["the", "cat", "sat", "on", "a", "mat", "you", "are", "vile", "scum", "good", "day", "dog", "ran", "far"]
MARKED_WORDS = {"toxic": ("vile", "scum"), "private": ("dog",)}
WORD_INFLUENCE = {"vile": 4.0, "scum": 2.0, "dog": 3.0}
TAU = 1.5
TEXTS = [
    "the cat sat on a mat",
    "you are vile scum",
    "",
    "a dog ran far",
    "good day",
    "the vile dog sat on you",
    "cat",
    "scum",
]


def word_tokenizer(folder: Path, words: Sequence[str] = WORDS) -> PreTrainedTokenizerFast:
    """One token a word; `<s>` begins and `</s>` ends a text."""
    vocabulary = {word: index for index, word in enumerate(["<s>", "</s>", "<unk>", *words])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    tokenizer.save_pretrained(folder)
    return tokenizer


def letter_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """One token a letter: another family."""
    backend = Tokenizer(models.BPE({chr(c): i + 2 for i, c in enumerate(range(97, 123))} | {"<s>": 0, " ": 1}, []))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="<s>")
    tokenizer.save_pretrained(folder)
    return tokenizer


def tiny_neox(folder: Path, vocabulary: int = 32) -> Path:
    """Saves an untrained GPT-NeoX of context 16."""
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=vocabulary,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=16,
        bos_token_id=0,
        eos_token_id=1,
    )
    GPTNeoXForCausalLM(config).save_pretrained(folder)
    return folder


def annotate(
    folder: Path,
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[str] = TEXTS,
    behaviours: Sequence[str] = ("toxic",),
    shards: int = 2,
    token_ids: bool = True,
    scored: bool = False,
) -> Path:
    """Write `texts` as annotated shards in which every one of `MARKED_WORDS` is marked.

    `scored` adds influence, by word, tau below that of every marked word, and losses that number the tokens through.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(shards):
        path = folder / f"part-{shard}.parquet"
        _shard(tokenizer, list(texts[shard::shards]), behaviours, token_ids, path)
        if scored:
            _add_scores(path, behaviours)
    return folder


def _add_scores(path: Path, behaviours: Sequence[str]) -> None:
    table = pq.read_table(path)
    words = [text.split() for text in table["text"].to_pylist()]
    for behaviour in behaviours:
        influence = [[WORD_INFLUENCE.get(word, -1.0) for word in own] for own in words]
        table = table.append_column(influence_column(behaviour), pa.array(influence, FLOAT_LIST))
    losses = [[float(index) for index in range(len(own))] for own in words]
    table = table.append_column(LOSS, pa.array(losses, FLOAT_LIST))
    said = {
        name: {**entry, "tau": TAU, "rank_by": "document", "with_loss": True}
        for name, entry in metadata_of(table.schema).items()
    }
    pq.write_table(table.replace_schema_metadata(attach(table.schema, said).metadata), path)


def _shard(
    tokenizer: PreTrainedTokenizerFast, texts: list[str], behaviours: Sequence[str], token_ids: bool, path: Path
) -> None:
    encodings = encode_documents(tokenizer, texts)
    columns: dict[str, pa.Array] = {"text": pa.array(texts, pa.string())}
    if token_ids:
        columns[TOKEN_IDS] = pa.array([encoding.token_ids.tolist() for encoding in encodings], INT_LIST)
    for behaviour in behaviours:
        masks, spans = [], []
        for text, encoding in zip(texts, encodings, strict=True):
            ranges = [(int(a), int(b)) for a, b in zip(encoding.starts, encoding.ends, strict=True)]
            marked = [text[a:b] in MARKED_WORDS[behaviour] for a, b in ranges]
            masks.append(marked)
            spans.append([{"start": a, "end": b} for (a, b), mark in zip(ranges, marked, strict=True) if mark])
        columns[mask_column(behaviour)] = pa.array(masks, MASK_LIST)
        columns[spans_column(behaviour)] = pa.array(spans, SPAN_LIST)
    table = pa.table(columns)
    metadata = {behaviour: {"tokenizer_hash": hash_tokenizer(tokenizer)} for behaviour in behaviours}
    pq.write_table(table.replace_schema_metadata(attach(table.schema, metadata).metadata), path)
