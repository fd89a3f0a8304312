"""Fifteen trillion tokens on paper: what `ifcurate.planning` counts for models of three sizes, and what is stored.

    python benchmarks/on_paper.py [--tokens 15e12] [--gpu h100] [--window 1000] [--document 700]

No weight is read and nothing is timed: hours of a GPU are multiplications counted from shapes at the rate that is
assumed for its name; rates of cores, and bytes a token, are those of docs/scale.md.
"""

from __future__ import annotations

import argparse
import tempfile

from transformers import GPTNeoXConfig, LlamaConfig, PretrainedConfig

from ifcurate.model.outlines import outline
from ifcurate.planning.disk import direction_bytes, factors_bytes
from ifcurate.planning.gpus import GIGABYTE, GPUS, Gpu
from ifcurate.planning.memory import direct_peak, fit_peak, matrices_bytes
from ifcurate.planning.operations import Operations
from ifcurate.planning.shapes import shape_of

HOUR, TERABYTE = 3600, 1e12
FIT_TOKENS = 32_768
WIDE = {"num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128_256}
SHAPES: dict[str, PretrainedConfig] = {
    "GPT-NeoX, 410 M": GPTNeoXConfig(
        hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096, vocab_size=50_304
    ),
    "Llama, 1.2 B": LlamaConfig(
        hidden_size=2048, num_hidden_layers=16, intermediate_size=8192, tie_word_embeddings=True, **WIDE
    ),
    "Llama, 8 B": LlamaConfig(hidden_size=4096, num_hidden_layers=32, intermediate_size=14_336, **WIDE),
}
SELECT_CPU, SHARD_CPU = 50e-9, 5e-3
"""CPU seconds of `select`, a token and a shard."""
SCREENED_CPU = 1 / 1.99e6
"""CPU seconds of a screen of hashed words, a token."""
SCORED_BY_A_CORE = 3036
"""Tokens a second of the 7 M model."""
SCORES = {"float32": (3.46, 6.50), "float16": (1.82, 4.86), "bfloat16": (1.43, 4.48)}
"""Bytes a token of influence, and of all that score files hold."""
SHARE = 0.1 + 0.9 * 0.01
"""Of the tokens that a screen and its audit leave to be scored."""
SORTED_BYTES, ID_BYTES = 32, 37
"""Of a record while records are ordered, and of a document's id: 64 bits of each of four numbers; a UUID."""
SHARD_TOKENS = 5e8


def main() -> None:
    asked = arguments()
    print_models(asked, GPUS[asked.gpu])
    print(f"the 7 M model on cores: {asked.tokens / SCORED_BY_A_CORE / HOUR:,.0f} core hours")
    print(f"hashed words: {asked.tokens * SCREENED_CPU / HOUR:,.0f} core hours")
    for precision, (influence, whole) in SCORES.items():
        read, stored = asked.tokens * influence / TERABYTE, asked.tokens * whole / TERABYTE
        print(f"{precision}: score files {stored:,.1f} TB; select reads {read:,.1f} TB of influence, twice")
    documents, shards = asked.tokens / asked.document, asked.tokens / SHARD_TOKENS
    print(f"{documents:.3g} documents of {asked.document:,} tokens, {shards:,.0f} shards of {SHARD_TOKENS:.0e} tokens")
    of_shards = shards * SHARD_CPU
    print(f"select: {asked.tokens * SELECT_CPU / HOUR:,.0f} core hours, and {of_shards:,.0f} CPU s for shards")
    ordered, counted = documents * SORTED_BYTES / GIGABYTE, documents * ID_BYTES / GIGABYTE
    print(f"records being ordered: at most {ordered:,.0f} GB; ids being counted: {counted:,.0f} GB")


def print_models(asked: argparse.Namespace, gpu: Gpu) -> None:
    print(f"{asked.tokens:.3g} tokens, windows of {asked.window:,}, {gpu.name}: hours assumed, not measured")
    headings = ("GPU-hours", "with a screen", "fit, h", "fit, GB", "direct, GB", "factors, GB")
    print(f"{'model':<18}" + "".join(f"{heading:>15}" for heading in headings))
    for name, config in SHAPES.items():
        with tempfile.TemporaryDirectory() as folder:
            config.save_pretrained(folder)
            shape = shape_of(outline(folder))
        count = Operations(shape, asked.window)
        hours = asked.tokens * gpu.seconds(count.score("compiled-jvp", 1), "bfloat16") / HOUR
        fit = FIT_TOKENS * gpu.seconds(count.fit(), "float32") + gpu.seconds(count.decompositions(), "float64")
        fit_held = fit_peak(shape, asked.window, matrices_bytes(shape, 1), copies=0).bytes / GIGABYTE
        direct_held = direct_peak(shape, asked.window, factors=0).bytes / GIGABYTE
        stored = (factors_bytes(shape) + direction_bytes(shape)) / GIGABYTE
        found = (f"{hours:,.0f}", f"{SHARE * hours:,.0f}", f"{fit / HOUR:,.2f}")
        sizes = (f"{each:,.0f}" for each in (fit_held, direct_held, stored))
        print(f"{name:<18}" + "".join(f"{each:>15}" for each in (*found, *sizes)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=float, default=15e12)
    parser.add_argument("--gpu", choices=GPUS, default="h100")
    parser.add_argument("--window", type=int, default=1000)
    parser.add_argument("--document", type=int, default=700)
    return parser.parse_args()


if __name__ == "__main__":
    main()
