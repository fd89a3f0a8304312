"""How far are a token's stored loss and its loss on the rows of a training apart?

`annotate --with-loss` reads every document on its own, in windows of the scoring context; a training reads documents
joined end to end, in rows of its own context. `npo` and `base+NATS` compare with either. Printed: how much the losses
of the same tokens under the same model differ, and how much that changes the gradient of `npo`; and how much
a loss changes where the end of a text is left out of the softmax, as `--spare end` does and stored losses cannot.

    python benchmarks/stored_losses.py MODEL TEXTS [--tokens N] [--scored-in LENGTH] [--trained-in LENGTH]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from transformers import PreTrainedModel

from ifcurate.annotation.reader import MarkedDocument
from ifcurate.corpus.shards import list_shards, open_shard
from ifcurate.model.checkpoints import context_length, embedding_rows, load_causal_lm, load_tokenizer, start_token
from ifcurate.model.windows import Encoding, collate, encode_documents, split_into_windows
from ifcurate.training.packing import INPUT_IDS, Delimiters, PackedTokens, token_dtype, write_stream

BETA = 0.1
ROWS = 8

Floats = NDArray[np.float64]


def main() -> None:
    """Score the same tokens both ways and print what differs."""
    asked = arguments()
    model = load_causal_lm(asked.model, None, torch.float32, "cpu").eval()
    tokenizer = load_tokenizer(asked.model)
    start, end = start_token(tokenizer), int(tokenizer.eos_token_id)
    documents = read_documents(asked.texts, asked.model, asked.tokens)
    windows = split_into_windows(documents, asked.scored_in or context_length(model, None))
    stored, without_end = [], []
    for first in range(0, len(windows), ROWS):
        batch = collate(windows[first : first + ROWS], start)
        whole, spared = losses(model, batch.input_ids, batch.labels, end)
        stored.append(whole[batch.mask])
        without_end.append(spared[batch.mask])
    scored, scored_spared = torch.cat(stored).numpy(), torch.cat(without_end).numpy()
    packed = packed_losses(model, documents, Delimiters(start, None if start == end else end), asked.trained_in, end)
    print(f"{len(scored):,} tokens of {len(documents):,} documents, rows of {asked.trained_in} tokens")
    report("packed instead of stored", packed, scored)
    report("end of text left out", scored_spared, scored)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("texts")
    parser.add_argument("--tokens", type=int, default=10_000)
    parser.add_argument("--scored-in", type=int, help="context of the scoring; default: the model's")
    parser.add_argument("--trained-in", type=int, default=256, help="tokens of a row of the training")
    return parser.parse_args()


def read_documents(texts: str, model: str, tokens: int) -> list[Encoding]:
    """The first documents of a corpus, whole, until they have `tokens` tokens."""
    documents: list[Encoding] = []
    tokenizer = load_tokenizer(model)
    for shard in list_shards(texts):
        for batch in open_shard(shard).batches(["text"], ROWS):
            for encoding in encode_documents(tokenizer, batch.column("text").to_pylist()):
                if sum(map(len, documents)) >= tokens:
                    return documents
                documents.append(encoding)
    return documents


@torch.inference_mode()
def losses(
    model: PreTrainedModel, input_ids: torch.Tensor, labels: torch.Tensor, end: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of each label `[rows, length]` (position t predicts label t), with the end token and without it."""
    logits = model(input_ids=input_ids).logits
    whole = functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
    logits[..., end] = -torch.inf
    return whole, functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none")


def packed_losses(
    model: PreTrainedModel, documents: Sequence[Encoding], delimiters: Delimiters, length: int, end: int
) -> Floats:
    """The losses of the documents' tokens on packed rows, in their order."""
    dtype = token_dtype(embedding_rows(model))
    marked = [MarkedDocument(each.token_ids, np.ones(len(each), np.uint8)) for each in documents]
    found: list[Floats] = []
    with TemporaryDirectory() as folder:
        write_stream(marked, delimiters, dtype, Path(folder))
        rows = PackedTokens(Path(folder), dtype, [0.0], length)
        for row in (rows[index] for index in range(len(rows))):
            tokens, own = torch.from_numpy(row[INPUT_IDS])[None], row["loss_weights"][1:] <= 0
            found.append(losses(model, tokens[:, :-1], tokens[:, 1:], end)[0][0].numpy()[own])
    return np.concatenate(found)


def report(name: str, other: Floats, stored: Floats) -> None:
    """Print how two losses of the same tokens differ."""
    difference = np.abs(other - stored)
    median, high, highest = np.quantile(difference, [0.5, 0.95, 0.99])
    relative = np.abs(1 - gradient_share(stored - other))
    print(
        f"{name}: mean {np.mean(other - stored):+.4f}, absolute mean {difference.mean():.4f}, median {median:.4f}, "
        f"95 % below {high:.4f}, 99 % below {highest:.4f} nats; npo's gradient where p = p_ref changes by "
        f"{relative.mean():.2%} in the mean, 95 % below {np.quantile(relative, 0.95):.2%}"
    )


def gradient_share(shift: Floats) -> Floats:
    """Gradient of `npo` where its reference is off by `shift` nats, over that where it is not."""
    return 2 / (1 + np.exp(-BETA * shift))


if __name__ == "__main__":
    main()
