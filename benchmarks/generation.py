"""Completions a second: `ifcurate eval` against a loop that calls `generate` prompt by prompt, in one run.

Both sides draw the same number of completions of the same prompts with the same settings, turn by turn over blocks of
prompts, so that whatever else the machine does falls on both. The loop gets all completions of a prompt from one call
(`num_return_sequences`); with --single it makes one call a completion, as simpler scripts do.

    python benchmarks/generation.py --model MODEL --prompts PROMPTS.jsonl
"""

from __future__ import annotations

import argparse
import random
import time

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ifcurate.cli.quiet import quieten
from ifcurate.evaluation.generation import Completer, SamplingSettings, encode_prompts, plan_batches
from ifcurate.evaluation.prompts import read_prompts
from ifcurate.evaluation.sampling import prompt_keys
from ifcurate.model.checkpoints import context_length, load_causal_lm, load_tokenizer

PROMPTS_PER_BATCH = 16


def loop(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    texts: list[str],
    settings: SamplingSettings,
    single: bool,
) -> int:
    """Completions that the loop drew."""
    drawn = 0
    calls, sequences = (settings.completions, 1) if single else (1, settings.completions)
    for text in texts:
        inputs = tokenizer(text, return_tensors="pt").to(model.device)
        for _ in range(calls):
            with torch.inference_mode():
                output = model.generate(
                    **inputs,
                    do_sample=True,
                    top_p=settings.top_p,
                    top_k=0,
                    temperature=settings.temperature,
                    max_new_tokens=settings.max_new_tokens,
                    num_return_sequences=sequences,
                    pad_token_id=tokenizer.eos_token_id,
                )
            drawn += len(tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
    return drawn


def ours(
    completer: Completer, tokenizer: PreTrainedTokenizerFast, texts: list[str], settings: SamplingSettings, room: int
) -> int:
    """Completions that ifcurate drew."""
    encoded = encode_prompts(tokenizer, texts, prompt_keys(texts, settings.seed), room)
    batches = plan_batches([len(prompt.token_ids) for prompt in encoded], PROMPTS_PER_BATCH)
    return sum(len(some) for batch in batches for some in completer.complete([encoded[index] for index in batch]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--prompts", required=True)
    parser.add_argument("--count", type=int, default=96, help="prompts, drawn at random")
    parser.add_argument("--blocks", type=int, default=3, help="turns that each side takes")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--single", action="store_true", help="the loop makes one call a completion")
    arguments = parser.parse_args()

    quieten()
    model, tokenizer = load_causal_lm(arguments.model, device=arguments.device), load_tokenizer(arguments.model)
    settings = SamplingSettings()
    room = context_length(model, None) - settings.max_new_tokens
    completer = Completer(model, tokenizer, settings)
    prompts = [prompt.text for prompt in read_prompts(arguments.prompts).prompts]
    texts = random.Random(0).sample(prompts, arguments.count)
    blocks = [texts[first :: arguments.blocks] for first in range(arguments.blocks)]

    loop(model, tokenizer, texts[:1], settings, arguments.single), ours(completer, tokenizer, texts[:2], settings, room)
    seconds, drawn = {"loop": 0.0, "ifcurate": 0.0}, {"loop": 0, "ifcurate": 0}
    for block in blocks:
        for side in seconds:
            began = time.perf_counter()
            if side == "loop":
                drawn[side] += loop(model, tokenizer, block, settings, arguments.single)
            else:
                drawn[side] += ours(completer, tokenizer, block, settings, room)
            seconds[side] += time.perf_counter() - began
    for side, spent in seconds.items():
        print(f"{side:>9}: {drawn[side]:,} completions in {spent:.1f} s, {drawn[side] / spent:,.0f} completions/s")
    print(f"    ratio: {seconds['loop'] / seconds['ifcurate']:.1f}")


if __name__ == "__main__":
    main()
