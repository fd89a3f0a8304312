"""Bergson's own token scores (EleutherAI, PyPI `bergson` 2.5.1) of rows that ifcurate scores too, in ifcurate's terms.

It imports nothing of ifcurate and runs in an environment of its own, since Bergson wants transformers 5 or newer:

    python3 -m venv ENV && uv pip install --python ENV/bin/python bergson==2.5.1
    uv pip uninstall --python ENV/bin/python torchaudio
    ENV/bin/python benchmarks/bergson_scores.py --model MODEL --behaviour-queries toxic.jsonl \
        --contrast-queries safe.jsonl --rows rows.parquet --method ekfac --work WORK --out scores.parquet

(Bergson asks for torchaudio and never imports it, but transformers does where it is there, and fails where it was built
for another CUDA than torch.) No GPU is needed, nor triton.

**What is computed** is Bergson's EK-FAC pipeline (`bergson ekfac`) with `token_influence: output`: the mean gradient of
the behaviour's queries less that of the contrast's (`query.contrast`), the inverse of EK-FAC factors with `--damping` x
the mean eigenvalue of each layer added (`damped_inverse`), and every token's loss derived along that direction in
forward mode. `--method astra` refines the direction over the rows by Bergson's ASTRA, `cg` by its conjugate gradients.
Factors are fitted on a sample of the windows, which the pipeline does not offer: Bergson's `hessian` command makes
them, and the pipeline, resumed, finds that step done. WORK keeps factors and query gradient, which all methods and
dampings for the same inputs share, and a folder for each of those; the same command continues one that was stopped.

**Alignment and sign**: Bergson's entry t of a sequence is the derivative of the loss on its token t + 1, and token 0 is
our start token, so value j of a window belongs to its token j as label, as in ifcurate. Positive: training on the token
makes the behaviour likelier. On both sides the direction is H^-1 of a loss's gradient, so that no sign is turned.

**What differs from ifcurate**: attention is eager; float32 throughout, the query gradient's sum too; labels for the
curvature are drawn by torch's generator, seeded here. A sequence of Bergson's holds the last token too, so `--context`
must be below the model's positions. ASTRA's step size is not found but given (0.01 is Bergson's). Bergson does not
notice one that is too long; here it is refused where the objectives that Bergson logs, of the first, every 50th and the
last step, each of another minibatch, rise above zero and the first. They are in the summary.
One thing of Bergson's is replaced: without a GPU, `astra` and `cg` write into the read-only file of the direction they
start from, and the process dies of it (segmentation fault), so they are handed copies (`writable_rows`).

OUT is Parquet of one column, `influence` (list<float32>): a list a row, in the order of ROWS, a value a token. What
made it and what that cost is in its metadata (key `bergson`) and on the last line printed. Other scores than finite
are refused.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from bergson.build import build_query
from bergson.cli.commands import Ekfac, Hessian
from bergson.config.config import (
    AstraConfig,
    DataConfig,
    DistributedConfig,
    HessianConfig,
    HessianPipelineConfig,
    IndexConfig,
    InversionConfig,
    PreprocessConfig,
    QuerySetConfig,
    ScoreConfig,
)
from bergson.data import load_scores
from bergson.hessians.astra import Astra
from bergson.utils.logger import get_logger
from bergson_inputs import Rows, start_of, write_queries, write_sample, write_windows
from transformers import AutoConfig, AutoTokenizer

TESTED = "2.5.1"
SCORED_TOGETHER = 8
"""Windows a batch in scoring: as quick as more, and far from memory's end."""
NO_LIMIT = int(np.iinfo(np.int64).max)
"""Of `token_batch_size`: Bergson refuses anything between the model's positions and this."""
SOLVERS = {"astra": "sgd", "cg": "cg"}


@dataclass
class Costs:
    """Seconds of each step: by the clock, and of this process's CPU time."""

    clock: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def of(self, step: str) -> Iterator[None]:
        clock, cpu = time.perf_counter(), time.process_time()
        yield
        self.clock[step] = round(time.perf_counter() - clock, 2)
        self.cpu[step] = round(time.process_time() - cpu, 2)


def main() -> None:
    given = parse()
    torch.set_num_threads(given.threads)
    if version("bergson") != TESTED:
        raise SystemExit(f"bergson {version('bergson')} is installed; this was written for {TESTED}: install that.")
    positions = AutoConfig.from_pretrained(given.model).max_position_embeddings
    if given.context >= positions:
        raise SystemExit(f"--context {given.context}: Bergson reads one token more; give at most {positions - 1}.")
    claim(given)
    rows = pq.read_table(given.rows, columns=["token_ids"]).column(0).to_pylist()
    windows = write_windows(
        rows, start_of(AutoTokenizer.from_pretrained(given.model)), given.context, given.work / "windows"
    )
    costs = Costs()
    if not (given.work / "query").exists():
        with costs.of("query gradients"):
            differentiate_queries(given)
    if not (given.work / "hessian" / "kfac").exists():
        with costs.of("factors"):
            fit(windows, given)
    with costs.of("direction and scores"), writable_rows(), objectives() as found:
        run = attribute(given)
    summary = {
        "bergson": TESTED, "torch": torch.__version__, "method": given.method, "damping": given.damping,
        "inputs": fingerprint(given), "steps": given.steps, "step_size": given.step_size,
        "step_windows": given.step_windows, "objectives": found, "tokens": sum(map(len, rows)),
        "windows": len(windows), "seconds": costs.clock, "cpu_seconds": costs.cpu,
    }  # fmt: skip
    write_scores(run / "scores", rows, len(windows), summary, given.out)
    print(json.dumps(summary))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a checkpoint with its tokenizer")
    parser.add_argument("--behaviour-queries", type=Path, required=True, help="JSON Lines of prompt and completion")
    parser.add_argument("--contrast-queries", type=Path, required=True, help="the same, of the contrast")
    parser.add_argument("--rows", type=Path, required=True, help="Parquet with a column token_ids, a list a document")
    parser.add_argument("--context", type=int, default=256, help="tokens a window, the start token not counted")
    parser.add_argument("--method", choices=("ekfac", *SOLVERS), required=True)
    parser.add_argument("--damping", type=float, default=0.1, help="x the mean eigenvalue of each layer")
    parser.add_argument("--query-mean", choices=("token", "query"), default="token")
    parser.add_argument("--factor-tokens", type=int, default=65_536, help="of the windows that factors are fitted on")
    parser.add_argument("--steps", type=int, default=80, help="of astra and cg")
    parser.add_argument("--step-size", type=float, default=0.01, help="of astra")
    parser.add_argument("--step-windows", type=int, default=16, help="that one of astra's steps, or all of cg's, read")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, required=True, help="folder for what other methods and dampings share")
    parser.add_argument("--out", type=Path, required=True, help="Parquet file of the scores")
    return parser.parse_args()


def fingerprint(given: argparse.Namespace) -> dict[str, Any]:
    """What the shared files of a work folder depend on; files by their SHA-256."""
    files = {"model": sorted(Path(given.model).glob("*.safetensors"))}
    files |= {name: [getattr(given, name)] for name in ("behaviour_queries", "contrast_queries", "rows")}
    hashes = {name: [sha256(file.read_bytes()).hexdigest() for file in paths] for name, paths in files.items()}
    return hashes | {name: getattr(given, name) for name in ("context", "query_mean", "factor_tokens", "seed")}


def claim(given: argparse.Namespace) -> None:
    """Refuse a work folder of other inputs."""
    given.work.mkdir(parents=True, exist_ok=True)
    file, mine = given.work / "inputs.json", fingerprint(given)
    if file.exists() and (theirs := json.loads(file.read_text())) != mine:
        other = ", ".join(name for name in mine if theirs.get(name) != mine[name])
        raise SystemExit(f"--work {given.work}: holds factors for other inputs ({other}); give another folder.")
    file.write_text(json.dumps(mine))


def index(given: argparse.Namespace, run: str, dataset: str = "windows") -> IndexConfig:
    """What all of Bergson's steps share, for one that reads `dataset` and writes `run`, both in the work folder."""
    return IndexConfig(
        run_path=str(given.work / run),
        overwrite=True,
        model=given.model,
        data=DataConfig(dataset=str(given.work / dataset)),
        distributed=DistributedConfig(nproc_per_node=1),
        include_bias=True,
        attribute_tokens=dataset == "windows",
        token_batch_size=given.context + 1,
    )


def differentiate_queries(given: argparse.Namespace) -> None:
    """Bergson's contrastive query gradient; it has its name when the contrast is subtracted, not before."""
    tokenizer, sets = AutoTokenizer.from_pretrained(given.model), {}
    for name, file in (("behaviour", given.behaviour_queries), ("contrast", given.contrast_queries)):
        write_queries(file, tokenizer, given.context, given.query_mean, given.work / name)
        sets[name] = {"dataset": str(given.work / name), "advantage_column": "weight"}
    unfinished = given.work / "query.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    queries = QuerySetConfig(**sets["behaviour"], aggregation="mean", contrast=DataConfig(**sets["contrast"]))
    build_query(index(given, unfinished.name), queries, PreprocessConfig())
    unfinished.rename(given.work / "query")


def fit(windows: Rows, given: argparse.Namespace) -> None:
    """Bergson's EK-FAC factors from a sample of the windows."""
    write_sample(windows, given.factor_tokens, given.seed, given.work / "sample")
    torch.manual_seed(given.seed)
    Hessian(HessianConfig(method="kfac", ev_correction=True), index(given, "hessian/kfac", "sample")).execute()


def attribute(given: argparse.Namespace) -> Path:
    """Bergson's pipeline behind queries and factors: direction, refinement, scores. Returns its folder."""
    refined = given.method in SOLVERS
    steps = f"-{given.steps}x{given.step_windows}" + (f"-{given.step_size:g}" if given.method == "astra" else "")
    name = f"{given.method}-{given.damping:g}" + (steps if refined else "")
    run = given.work / name
    run.mkdir(exist_ok=True)
    if not (run / "hessian").exists():
        (run / "hessian").symlink_to(given.work.resolve() / "hessian")
    scored = index(given, name, "windows")
    scored.token_batch_size, scored.max_batch_size = NO_LIMIT, SCORED_TOGETHER
    astra = AstraConfig(
        num_steps=given.steps if refined else 0,
        solver=SOLVERS.get(given.method, "sgd"),
        lr=given.step_size,
        batch_size=given.step_windows,
        seed=given.seed,
    )
    Ekfac(
        scored,
        HessianConfig(method="kfac", ev_correction=True),
        ScoreConfig(token_influence="output"),
        PreprocessConfig(),
        HessianPipelineConfig(
            query=QuerySetConfig(path=str(given.work / "query")),
            inversion_cfg=InversionConfig(damping_factor=given.damping),
            astra=astra,
            resume=True,
        ),
    ).execute()
    return run


@contextmanager
def writable_rows() -> Iterator[None]:
    """Let Bergson's refinement change the vectors that it reads: `Tensor.to` copies nothing from CPU to CPU."""
    read = Astra._read_row

    def copied(self: Astra, *place: Any) -> dict[str, torch.Tensor]:
        return {name: vector.clone() for name, vector in read(self, *place).items()}

    with mock.patch.object(Astra, "_read_row", copied):
        yield


@contextmanager
def objectives() -> Iterator[list[float]]:
    """The objectives that ASTRA or CG logs; a solution worse than none, and than the one it began with, ends it."""
    found: list[float] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if said := re.search(r"objective (\S+)", record.getMessage()):
                found.append(float(said[1]))
                if not found[-1] <= max(found[0], 0):  # NaN too
                    raise SystemExit(f"refinement diverges ({found}); lower --step-size, or raise --damping.")

    logger, listener = get_logger("Astra"), Listener()
    logger.addHandler(listener)
    try:
        yield found
    finally:
        logger.removeHandler(listener)


def write_scores(folder: Path, rows: Rows, windows: int, summary: dict[str, Any], out: Path) -> None:
    """Bergson's scores as lists of rows: windows are in the order of rows, and leave no token out."""
    scores = load_scores(folder)
    values = np.asarray(scores.get(slice(None)), dtype=np.float32)
    if not scores.is_written() or len(scores) != windows or len(values) != summary["tokens"]:
        raise SystemExit(f"{folder}: Bergson scored {len(values)} of {summary['tokens']} tokens.")
    if not np.isfinite(values).all() or not values.any():
        raise SystemExit(f"{folder}: scores that are NaN, infinite or all zero; lower --step-size, or raise --damping.")
    influence = pa.ListArray.from_arrays(np.cumsum([0, *map(len, rows)]).astype(np.int32), values)
    table = pa.table({"influence": influence}).replace_schema_metadata({"bergson": json.dumps(summary)})
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(out.name + ".part")
    pq.write_table(table, part)
    part.replace(out)


if __name__ == "__main__":
    main()
