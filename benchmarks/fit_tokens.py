"""How much text the curvature needs: scores from factors fitted on N tokens against scores from at least 8 N tokens.

    python benchmarks/fit_tokens.py --corpus CORPUS --model MODEL --queries FILE --contrast FILE

One query gradient, one sample of the corpus for all sizes (each is the beginning of the next, and what `fit.py` draws),
one sample of other windows that every direction scores. Printed for each size: rank correlation with the reference, the
share of the reference's top 2 % of tokens that are in its own top 2 %, and the CPU seconds that fitting took.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from ifcurate.corpus.shards import list_shards
from ifcurate.influence.curvature.fit import fit_factors
from ifcurate.influence.curvature.inverse import precondition
from ifcurate.influence.direction import Direction
from ifcurate.influence.engines.calibration import best_steps
from ifcurate.influence.engines.finite_difference import OneSidedDifference
from ifcurate.influence.queries import read_queries
from ifcurate.influence.query_gradient import query_gradient, query_windows
from ifcurate.influence.sample import sample_windows
from ifcurate.model.checkpoints import context_length, load_causal_lm, load_tokenizer, start_token
from ifcurate.model.windows import Window, bucket_by_length, collate

BATCH_TOKENS = 4096
WITHIN = 0.02
"""The default is the smallest size whose rank correlation and overlap are within this share of the best measured."""


def main() -> None:
    asked = arguments()
    torch.set_num_threads(asked.threads)
    tokenizer, model = load_tokenizer(asked.model), load_causal_lm(asked.model)
    start, context = start_token(tokenizer), context_length(model, None)
    shards = list_shards(asked.corpus)
    total = asked.reference + asked.scored
    windows = sample_windows(shards, "text", None, tokenizer, context, total, seed=0).windows
    fitted, scored = first_tokens(windows, asked.reference), windows[::-1]
    scored = first_tokens(scored, asked.scored)
    difference = query_difference(asked, model, tokenizer, context, start)

    directions, costs = [], []
    for size in [*asked.sizes, asked.reference]:
        kept = asked.kept / str(size) if asked.kept else None
        began = time.process_time()
        if kept and kept.is_dir():
            directions.append(solve(difference, kept, f"kept_{size}"))
            costs.append("fitted before")
        else:
            directions.append(fit(asked.model, first_tokens(fitted, size), start, difference))
            costs.append(f"{time.process_time() - began:,.0f} CPU s")
        print(f"{size:,} tokens: {costs[-1]}", flush=True)

    report(asked.sizes, score(model, directions, scored, start), costs)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("corpus", "model", "queries", "contrast"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[2048, 4096, 8192, 16_384])
    parser.add_argument("--reference", type=int, default=131_072)
    parser.add_argument("--kept", type=Path, help="factors fitted before, as benchmarks/fit.py --keep leaves them")
    parser.add_argument("--scored", type=int, default=100_000)
    parser.add_argument("--max-queries", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def first_tokens(windows: list[Window], tokens: int) -> list[Window]:
    ends = np.cumsum([len(window) for window in windows])
    return windows[: int(np.searchsorted(ends, tokens)) + 1]


def query_difference(asked, model, tokenizer, context: int, start: int) -> dict[str, torch.Tensor]:
    sides = []
    for source in (asked.queries, asked.contrast):
        found = query_windows(read_queries(source, asked.max_queries, 0), tokenizer, context, source)
        sides.append(query_gradient(model, found.windows, start, BATCH_TOKENS).tensors)
    return {name: sides[0][name] - sides[1][name] for name in sides[0]}


def fit(model: str, windows: list[Window], start: int, difference: dict[str, torch.Tensor]) -> Direction:
    with tempfile.TemporaryDirectory() as folder:
        factors = Path(folder) / "factors"
        fit_factors(load_causal_lm(model), windows, start, factors, BATCH_TOKENS, seed=0)
        return solve(difference, factors, f"fit_{len(windows)}")


def solve(difference: dict[str, torch.Tensor], factors: Path, behaviour: str) -> Direction:
    return Direction(precondition(difference, factors, "heuristic", "cpu"), {"behaviour": behaviour})


def score(model, directions: list[Direction], windows: list[Window], start: int) -> np.ndarray:
    groups = bucket_by_length([len(window) for window in windows], BATCH_TOKENS)
    batches = [collate([windows[index] for index in group], start) for group in groups]
    steps = best_steps(model, directions, batches[0], "one-sided")
    print("error of one-sided differences:", ", ".join(f"{step.error:.2%}" for step in steps))
    engine = OneSidedDifference(model, directions, [step.relative for step in steps])
    began = time.process_time()
    influence = torch.cat([engine.score(batch).influence for batch in batches], dim=1).numpy()
    per_pass = influence.shape[1] * (len(directions) + 1) / (time.process_time() - began)
    print(f"scoring: {per_pass / 2:,.0f} tokens a CPU s along one direction (two passes)", flush=True)
    return influence


def ranks(values: np.ndarray) -> np.ndarray:
    result = np.empty(len(values))
    result[np.argsort(values, kind="stable")] = np.arange(len(values))
    return result


def report(sizes: list[int], influence: np.ndarray, costs: list[str]) -> None:
    reference = influence[-1]
    top = max(1, len(reference) // 50)
    best = set(np.argpartition(reference, -top)[-top:].tolist())
    correlations, overlaps = [], []
    for size, scores, cost in zip(sizes, influence[:-1], costs, strict=False):
        correlations.append(float(np.corrcoef(ranks(scores), ranks(reference))[0, 1]))
        overlaps.append(len(best & set(np.argpartition(scores, -top)[-top:].tolist())) / top)
        print(f"{size:>9,}  rank correlation {correlations[-1]:.4f}  overlap {overlaps[-1]:.3f}  {cost}")
    enough = (1 - WITHIN) * np.array([max(correlations), max(overlaps)])
    chosen = next(
        size
        for size, correlation, overlap in zip(sizes, correlations, overlaps, strict=True)
        if correlation >= enough[0] and overlap >= enough[1]
    )
    print(f"smallest size within {WITHIN:.0%} of the best of these, in both: {chosen:,}")


if __name__ == "__main__":
    main()
