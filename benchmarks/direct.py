"""What a direction costs: its parts, beside an ordinary training pass over the same queries.

    python benchmarks/direct.py RUN

RUN has factors. Its own model and queries are used again, and nothing is written. Printed: CPU seconds of reading the
model, of both sides' gradients, of H^-1 g and of finding the steps of finite differences, and of one pass forward and
backward over the windows of the queries, each token with a loss.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel

from ifcurate.influence.curvature.inverse import precondition
from ifcurate.influence.direction import Direction
from ifcurate.influence.engines.calibration import best_steps
from ifcurate.influence.query_gradient import query_windows
from ifcurate.influence.query_sets import pull, read_query_sets
from ifcurate.model.checkpoints import context_length, load_causal_lm, load_tokenizer, start_token
from ifcurate.model.devices import CPU_BATCH_TOKENS
from ifcurate.model.layers import tracked_parameters
from ifcurate.model.windows import WindowBatch, bucket_by_length, collate
from ifcurate.pipelines.run import open_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="run with factors, made from queries")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    run, config = open_run(asked.run)
    tokenizer = load_tokenizer(config.model)
    with spent("reading the model"):
        model = load_causal_lm(config.model)
    context, start = context_length(model, config.context), start_token(tokenizer)
    (files,) = read_query_sets(config, config.seed)
    windows = [
        each.window
        for file in files.values()
        for each in query_windows(file.queries, tokenizer, context, file.source).windows
    ]
    print(f"{sum(map(len, windows)):,} tokens in {len(windows):,} windows of queries, {asked.threads} threads")
    batches = [
        collate([windows[index] for index in group], start)
        for group in bucket_by_length([len(window) for window in windows], CPU_BATCH_TOKENS)
    ]
    with spent("gradients of the queries"):
        gradient = pull(files, model, tokenizer, context, CPU_BATCH_TOKENS, config.query_mean).tensors
    with spent("H^-1 g"):
        direction = Direction(precondition(gradient, run.factors, config.damping, "cpu"), {})
    with spent("finding the step"):
        best_steps(model, [direction], batches[0], "finite-difference")
    train_once(load_causal_lm(config.model), batches)


def train_once(model: PreTrainedModel, batches: list[WindowBatch]) -> None:
    """Forward and backward for all tracked weights, as a training step without its optimizer."""
    model.requires_grad_(False)
    for parameter in tracked_parameters(model).values():
        parameter.requires_grad_(True)
    with spent("one training pass over the same windows"):
        for batch in batches:
            logits = model(input_ids=batch.input_ids, use_cache=False).logits[batch.mask]
            torch.nn.functional.cross_entropy(logits, batch.labels[batch.mask], reduction="sum").backward()


@contextmanager
def spent(what: str) -> Iterator[None]:
    """Prints the CPU seconds of what is inside."""
    began = time.process_time()
    yield
    print(f"  {what}: {time.process_time() - began:,.1f} CPU s", flush=True)


if __name__ == "__main__":
    main()
