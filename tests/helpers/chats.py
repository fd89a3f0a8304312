"""Conversations, tokenizers with chat templates, and a tiny model that reads them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from runs import KIND, RUDE, sentence
from tiny_models import VOCABULARY, tiny_model, tiny_tokenizer
from transformers import PreTrainedTokenizerFast

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TRIMMED = (
    "{{ bos_token }}{% for message in messages %}<|im_start|>{{ message['role'] }} {{ message['content'] | trim }} "
    "<|im_end|>{% endfor %}"
)
SYSTEM_LAST = (
    "{% if messages[0].role == 'system' %}{% set system = messages[0].content %}{% set rest = messages[1:] %}"
    "{% else %}{% set rest = messages %}{% endif %}"
    "{% for message in rest %}[{{ message.role }}] {{ message.content }}{% if loop.first and system is defined %}"
    " ({{ system }}){% endif %}<|im_end|>{% endfor %}"
)
THOUGHTLESS = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content.split('</think>')[-1] }}<|im_end|>"
    "{% endfor %}"
)
MARKS = ["<|im_start|>", "<|im_end|>"]


def chat_tokenizer(template: str = CHATML, texts: Sequence[str] = ("some words of a chat",)) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with two special tokens around turns."""
    tokenizer = tiny_tokenizer(list(texts), VOCABULARY - len(MARKS))
    tokenizer.add_special_tokens({"additional_special_tokens": MARKS})
    tokenizer.chat_template = template
    return tokenizer


def conversation(generator: random.Random, turns: int) -> list[dict[str, Any]]:
    """Questions, and answers of which some are rude; one in three begins with a system message."""
    messages: list[dict[str, Any]] = []
    if generator.random() < 0.3:
        messages.append({"role": "system", "content": "Answer in one sentence."})
    for _ in range(turns):
        messages.append({"role": "user", "content": sentence(generator, KIND)})
        rude = RUDE if generator.random() < 0.2 else KIND
        messages.append({"role": "assistant", "content": sentence(generator, rude)})
    return messages


def conversations(count: int, seed: int = 0) -> list[list[dict[str, Any]]]:
    """Of 0 to 3 turns."""
    generator = random.Random(seed)
    return [conversation(generator, generator.choice([0, 1, 1, 2, 3])) for _ in range(count)]


def write_chats(folder: Path, shards: Sequence[Sequence[list[dict[str, Any]]]]) -> Path:
    """Parquet shards of ids and messages."""
    folder.mkdir(parents=True, exist_ok=True)
    kind = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    first = 0
    for number, chats in enumerate(shards):
        ids = [f"c{first + row}" for row in range(len(chats))]
        first += len(chats)
        table = pa.table({"id": pa.array(ids, pa.string()), "messages": pa.array(chats, kind)})
        pq.write_table(table, folder / f"part-{number:03d}.parquet")
    return folder


def save_chat_model(folder: Path, template: str = CHATML, texts: Sequence[str] = ("words",)) -> Path:
    """A Llama of two layers with the tokenizer of a chat."""
    tiny_model("llama").save_pretrained(folder)
    chat_tokenizer(template, texts).save_pretrained(folder)
    return folder
