"""What `ifcurate plan` says before a run against what the run takes, on three pairs of model and corpus.

    python benchmarks/plan.py --model MODEL --corpus CORPUS --queries FILE --contrast FILE [--rounds 3] [--only NAME]

The pairs are MODEL with documents of CORPUS as they are; a Llama shape of random weights with long documents, made of
several; and a GPT-2 shape with short ones, cut from them. Every round plans and annotates each pair, in processes of
one worker and one thread. Printed are medians over the rounds of both, stage by stage: seconds on the clock, and CPU
seconds, which do not depend on what else the machine does; then tokens, bytes on disk and peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, LlamaConfig

from ifcurate.corpus.shards import list_shards

STAGES = ("fit", "direct", "score", "select", "write")
SECONDS_AN_HOUR = 3600
TEXT = "text"

TAKEN = """
import json, resource, sys, time
from unittest import mock
from ifcurate.config import build
from ifcurate.pipelines import annotate as recipe
from ifcurate.pipelines.run_config import RunConfig

took = {}

def clocked(name, work):
    def run(*given, **named):
        began = time.perf_counter(), time.process_time()
        found = work(*given, **named)
        took[name] = time.perf_counter() - began[0], time.process_time() - began[1]
        return found
    return run

config = build(RunConfig, json.loads(sys.argv[1]))
names = ("fit", "direct", "score", "select", "write")
with mock.patch.multiple(recipe, **{name: clocked(name, getattr(recipe, name)) for name in names}):
    summary = recipe.annotate(config)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"took": took, "tokens": summary.selections[0].tokens, "peak": peak}))
"""


@dataclass(frozen=True)
class Pair:
    name: str
    model: Path
    corpus: Path


def main() -> None:
    asked = arguments()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for pair in made(asked, place):
            if asked.only in (None, pair.name):
                rounds = [one_round(asked, pair, place / f"{pair.name}-{number}") for number in range(asked.rounds)]
                report(pair, [planned for planned, _ in rounds], [taken for _, taken in rounds])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "corpus", "queries", "contrast"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--max-queries", type=int, default=300)
    parser.add_argument("--fit-tokens", type=int, default=16_384)
    parser.add_argument("--characters", type=int, default=600_000, help="of the corpora of the second and third pair")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("as-is", "long", "short"))
    return parser.parse_args()


def made(asked: argparse.Namespace, place: Path) -> Iterator[Pair]:
    texts = documents(asked.corpus)
    yield Pair("as-is", Path(asked.model), written(place / "corpus", taken(texts, 2 * asked.characters), shards=3))
    shapes = {
        "long": LlamaConfig(
            vocab_size=8192,
            hidden_size=320,
            intermediate_size=896,
            num_hidden_layers=12,
            num_attention_heads=5,
            num_key_value_heads=5,
            max_position_embeddings=768,
            bos_token_id=0,
            eos_token_id=0,
        ),
        "short": GPT2Config(vocab_size=8192, n_embd=288, n_layer=8, n_head=6, n_positions=160),
    }
    for name, config in shapes.items():
        found = taken(texts, asked.characters)
        cut = joined(found, 12_000) if name == "long" else pieces(found, 140)
        yield Pair(
            name, random_model(asked.model, config, place / f"model-{name}"), written(place / name, cut, shards=2)
        )


def documents(corpus: str) -> Iterator[str]:
    """Texts of all shards in turn, one of each."""
    shards = [pq.ParquetFile(shard.path).read([TEXT])[TEXT].to_pylist() for shard in list_shards(corpus)]
    for row in range(max(map(len, shards))):
        yield from (texts[row] for texts in shards if row < len(texts))


def taken(texts: Iterator[str], characters: int) -> list[str]:
    found: list[str] = []
    while characters > 0:
        found.append(next(texts))
        characters -= len(found[-1])
    return found


def joined(texts: Sequence[str], characters: int) -> list[str]:
    found = [""]
    for text in texts:
        if len(found[-1]) > characters:
            found.append("")
        found[-1] += text + "\n\n"
    return found


def pieces(texts: Sequence[str], characters: int) -> list[str]:
    return [text[first : first + characters] for text in texts for first in range(0, len(text), characters)]


def written(folder: Path, texts: Sequence[str], shards: int) -> Path:
    folder.mkdir()
    for number in range(shards):
        pq.write_table(pa.table({TEXT: texts[number::shards]}), folder / f"{number}.parquet")
    return folder


def random_model(tokenizer: str, config: LlamaConfig | GPT2Config, folder: Path) -> Path:
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)
    return folder


def one_round(asked: argparse.Namespace, pair: Pair, out: Path) -> tuple[dict, dict]:
    settings = {
        "corpus": str(pair.corpus),
        "model": str(pair.model),
        "queries": asked.queries,
        "contrast": asked.contrast,
        "max_queries": asked.max_queries,
        "fit_tokens": asked.fit_tokens,
        "workers": 1,
    }
    words = [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", str(value))][2:]
    program = Path(sys.executable).parent / "ifcurate"
    planned = json.loads(output([str(program), "plan", str(pair.corpus), *words, "--json"]))
    taken = json.loads(output([sys.executable, "-c", TAKEN, json.dumps({**settings, "out": str(out)})]))
    taken["disk"] = {
        name: bytes_in(out / folder) for name, folder in (("factors", "factors"), ("score files", "scores"))
    }
    return planned, taken


def output(words: list[str]) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        words, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    return done.stdout.splitlines()[-1] if words[1] == "-c" else done.stdout


def bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.suffix in (".safetensors", ".parquet"))


def report(pair: Pair, planned: Sequence[dict], taken: Sequence[dict]) -> None:
    tokens = planned[0]["corpus"]["tokens"]
    model = planned[0]["model"]
    print(f"\n{pair.name}: {model['parameters']:,} parameters, windows of {model['context']:,}")
    low, high, truth = tokens["low"], tokens["high"], taken[0]["tokens"]
    print(f"  tokens {tokens['value']:,.0f} [{low:,.0f}, {high:,.0f}], in truth {truth:,}")
    print(f"  {'stage':<8}{'CPU s planned':>15}{'taken':>9}{'off':>8}   {'s planned':>10}{'taken':>9}{'off':>8}")
    rows: dict[str, list[list[float]]] = {stage: columns(stage, planned, taken) for stage in STAGES}
    rows["all"] = [
        [sum(each) for each in zip(*(rows[stage][side] for stage in STAGES), strict=True)] for side in range(4)
    ]
    for stage, sides in rows.items():
        cpu_planned, cpu, clock_planned, clock = (statistics.median(side) for side in sides)
        print(
            f"  {stage:<8}{cpu_planned:>15,.1f}{cpu:>9,.1f}{cpu_planned / cpu - 1:>+8.0%}   "
            f"{clock_planned:>10,.1f}{clock:>9,.1f}{clock_planned / clock - 1:>+8.0%}"
        )
    peak = max(stage["bytes"] for stage in planned[0]["memory"])
    print(f"  peak memory: planned {peak >> 20:,} MiB, taken {taken[0]['peak'] >> 20:,} MiB")
    for files in planned[0]["disk"]:
        if files["what"] in taken[0]["disk"]:
            print(
                f"  {files['what']}: planned {files['bytes']['value']:,.0f}, taken {taken[0]['disk'][files['what']]:,}"
            )
    sys.stdout.flush()


def columns(stage: str, planned: Sequence[dict], taken: Sequence[dict]) -> list[list[float]]:
    """CPU seconds planned and taken, then seconds on the clock, each of all rounds."""
    said = [next(each for each in plan["stages"] if each["name"] == stage) for plan in planned]
    return [
        [SECONDS_AN_HOUR * each["device_hours"]["value"] for each in said],
        [each["took"][stage][1] for each in taken],
        [SECONDS_AN_HOUR * each["hours"]["value"] for each in said],
        [each["took"][stage][0] for each in taken],
    ]


if __name__ == "__main__":
    main()
