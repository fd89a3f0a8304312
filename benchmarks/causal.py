"""Which tokens teach a behaviour? Every arm leaves out as many as it scores highest, and is trained without them.

All arms start from one checkpoint that never saw the documents, train on the same ones with the same steps, and differ
in the tokens that carry no loss: the top share by each arm's score. Printed: how far the loss of held-out queries rises
above that of the arm without random tokens, on ordinary text too, the ratio of every arm to EK-FAC's best, and beside
it how well the arm finds what people labelled. Intervals (95 %) over queries and, where there are several, seeds.
Every direction, score and trained piece is kept in OUT: what is there is not made again, so that a stopped benchmark
goes on, several processes may share it once the scores are there, and `--arms`, `--shares` and `--seeds` add to it.

    ifcurate train --data TWELVE_SHARDS --config-name LAB --tokenizer LAB --out BASE --context 256 \\
        --tokens-per-step 4096 --learning-rate 1e-3 --num-train-epochs 1
    python benchmarks/causal.py OUT --base BASE --corpus SHARD ... --queries TOXIC --contrast SAFE --held-out CLEAN

Scores of another tool for the same documents (OUT/documents.parquet), one float a token, join in with
`--scores NAME=FILE`, a Parquet file with one list a document.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from retrained import masks, table, text
from retrained.documents import Documents, documents
from retrained.influence import ADAM, IDENTITY, WHITENED, Attribution, Variant
from retrained.pieces import Piece, Retraining
from rich.console import Console
from rich.table import Table

from ifcurate.annotation.reader import MarkedDocument
from ifcurate.evaluation.bootstrap import Interval
from ifcurate.evaluation.held_out_queries import HeldOutQueries, hold_out
from ifcurate.evaluation.retraining import ordinary_texts, query_texts
from ifcurate.influence.queries import Query, read_queries
from ifcurate.model.checkpoints import context_length, embedding_rows, load_causal_lm, load_tokenizer, start_token
from ifcurate.model.windows import encode_documents

NONE, RANDOM = "none", "random"
START, END = "start", "end"
RANKED = "-ranked"
"""Of an arm whose tokens Algorithm 1 selects."""
LABEL, LABEL_COLUMN = "tweet_toxic", "meta.source"
ALL = 1 << 30
NEAR_DUPLICATE = 0.8

DAMPINGS = (0.1, 1.0, 10.0)
VARIANTS = {
    END: (
        Variant("identity", IDENTITY),
        Variant("no-contrast", contrast=False),
        Variant("position", alignment="position"),
        *(Variant(f"{solver}-{damping:g}", solver, damping) for solver in ("ekfac", "cg") for damping in DAMPINGS),
        *(Variant(f"astra-{damping:g}", "astra", damping) for damping in DAMPINGS),
        Variant("cg-10-by-block", "cg", 10.0, by_block=True),
        Variant("adam", ADAM),
        Variant("adam-no-contrast", ADAM, contrast=False),
        *(Variant(f"whitened-{damping:g}", WHITENED, damping) for damping in DAMPINGS[:2]),
        *(Variant(f"ekfac-{damping:g}{RANKED}", damping=damping) for damping in DAMPINGS),
    ),
    START: tuple(
        Variant(f"{solver}-{damping:g}-{START}", solver, damping)
        for solver, damping in (("ekfac", 0.1), ("ekfac", 1.0), ("cg", 1.0))
    ),
}
"""By the checkpoint that influence is taken at: what every arm starts from, or the arm with all tokens at its end."""
EKFAC_ARMS = tuple(f"ekfac-{damping:g}" for damping in DAMPINGS)
TEXT_ARMS = ("words", "bm25", "classifier")


@dataclass(frozen=True)
class Study:
    """The command line, and what follows from it."""

    asked: argparse.Namespace
    foreign: dict[str, Path] = field(default_factory=dict)

    @cached_property
    def documents(self) -> Documents:
        """Scored and trained on."""
        asked = self.asked
        return documents(
            asked.out / "documents.parquet", asked.corpus, load_tokenizer(asked.base), asked.tokens, LABEL_COLUMN, 0
        )

    @cached_property
    def queries(self) -> list[list[Query]]:
        """Those that directions are made of: of the behaviour, and of its contrast."""
        return [read_queries(file, self.asked.most_queries, 0) for file in (self.asked.queries, self.asked.contrast)]

    @cached_property
    def held_out(self) -> HeldOutQueries:
        """Those that the loss is measured on."""
        known = set(self.documents.texts)
        candidates = read_queries(self.asked.queries, ALL, 0)
        used = [query for side in self.queries for query in side]
        return hold_out(candidates, self.asked.queries, used, known.__contains__, NEAR_DUPLICATE, 1000, 0)

    @cached_property
    def retraining(self) -> Retraining:
        """What all pieces share."""
        asked = self.asked
        tokenizer, model = load_tokenizer(asked.base), load_causal_lm(asked.base)
        context = min(asked.context, context_length(model, None))
        clean = pq.read_table(asked.held_out, columns=["text"])["text"].to_pylist()[: asked.held_out_documents]
        unmarked = [
            MarkedDocument(encoding.token_ids, np.zeros(len(encoding), np.uint8))
            for encoding in encode_documents(tokenizer, clean)
        ]
        return Retraining(
            asked.base,
            asked.out,
            self.documents,
            query_texts(self.held_out.queries, tokenizer, context, asked.queries, embedding_rows(model)),
            ordinary_texts(unmarked, start_token(tokenizer), context, asked.held_out),
            context,
            asked.learning_rate,
        )

    def none(self, seed: int) -> Piece:
        """The arm with all tokens; its first model is kept, as influence is taken there."""
        return self.retraining.piece(NONE, seed, np.zeros(int(self.documents.lengths.sum()), bool), keep=seed == 0)

    @property
    def arms(self) -> list[str]:
        """All there are but the random one."""
        return [*TEXT_ARMS, *(variant.name for variants in VARIANTS.values() for variant in variants), *self.foreign]

    @cached_property
    def scores(self) -> dict[str, NDArray[np.float32]]:
        """One value a token, by arm: those of the arms that are asked for, and of any that are done."""
        found = {name: self._kept(name, make) for name, make in self._text_arms().items()}
        self.none(0)
        for at, checkpoint in ((END, str(self.retraining.model(NONE, 0))), (START, self.asked.base)):
            attribution = Attribution(checkpoint, self.asked.out / at, self.documents, *self.queries, 0)
            attribution.folder.mkdir(exist_ok=True)
            wanted = [each for each in VARIANTS[at] if each.name in self.asked.arms or attribution.has(each)]
            found |= attribution.scores(wanted)
        for name, file in self.foreign.items():
            column = pq.read_table(file).column(0)
            found[name] = column.combine_chunks().flatten().to_numpy().astype(np.float32)
        return found

    def _text_arms(self) -> dict[str, Callable[[], NDArray[np.float32]]]:
        return {
            "words": lambda: text.words(self.documents, self.asked.words),
            "bm25": lambda: text.bm25(self.documents, self.queries[0]),
            "classifier": lambda: text.classifier(self.documents, self.asked.classifier),
        }

    def _kept(self, name: str, make: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
        file = self.asked.out / f"{name}.npy"
        if not file.is_file():
            np.save(file, make())
        return np.load(file)

    def mask(self, arm: str, share: float, seed: int) -> NDArray[np.bool_]:
        """The top share of all tokens by the arm's score, or Algorithm 1's."""
        tokens = int(self.documents.lengths.sum())
        if arm == RANDOM:
            return masks.top(np.zeros(tokens, np.float32), round(share * tokens), seed)
        scores = self.scores[arm]
        if len(scores) != tokens or not np.isfinite(scores).all():
            raise SystemExit(f"{arm}: has {np.isfinite(scores).sum():,} finite scores for {tokens:,} tokens")
        if arm.endswith(RANKED):
            return masks.ranked(scores, self.documents, round(share * tokens))
        return masks.top(scores, round(share * tokens), seed)

    def piece(self, arm: str, share: float, seed: int) -> Piece:
        """One model without the arm's tokens."""
        return self.retraining.piece(f"{arm}-{share:g}", seed, self.mask(arm, share, seed))


@dataclass(frozen=True)
class Row:
    """One arm at one share: rises in nats a token, over the arm without as many random tokens."""

    arm: str
    share: float
    seeds: int
    queries: Interval
    ordinary: Interval
    to_ekfac: Interval
    detection: table.Detection


def main() -> None:
    asked = arguments()
    torch.set_num_threads(asked.threads)
    asked.out.mkdir(parents=True, exist_ok=True)
    foreign = dict(pair.split("=", 1) for pair in asked.scores)
    study = Study(asked, {name: Path(file) for name, file in foreign.items()})
    asked.arms = asked.arms if asked.arms is not None else study.arms
    for seed in asked.seeds:
        for share in asked.shares:
            for arm in asked.arms:
                study.none(seed)
                study.piece(RANDOM, share, seed)
                study.piece(arm, share, seed)
    for share in asked.shares:
        if any(_is_done(study, arm, share, 0) for arm in EKFAC_ARMS):
            show(study, share)
        else:
            print(f"top {share:.0%}: no arm of {', '.join(EKFAC_ARMS)} is finished, which the others are compared with")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--base", required=True, help="checkpoint that every arm starts from")
    parser.add_argument("--corpus", required=True, nargs="+", help="shards that it never saw")
    parser.add_argument("--queries", required=True)
    parser.add_argument("--contrast", required=True)
    parser.add_argument("--held-out", required=True, help="Parquet file of ordinary text")
    parser.add_argument("--held-out-documents", type=int, default=100)
    parser.add_argument("--words", type=Path, required=True, help="word list, one a line")
    parser.add_argument("--classifier", default="profanity-check")
    parser.add_argument("--scores", nargs="*", default=[], metavar="NAME=FILE")
    parser.add_argument("--most-queries", type=int, default=500, help="of either side that directions are made of")
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--shares", type=float, nargs="*", default=[0.02, 0.01])
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--arms", nargs="*", help="default: all")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def show(study: Study, share: float) -> None:
    """The table of whatever is finished, and the same as JSON."""
    rows = results(study, share)
    table_ = Table(
        "left out",
        "seeds",
        "rise on held-out queries",
        "on ordinary text",
        "over EK-FAC's best",
        "precision",
        "recall",
        "AUPRC",
        title=f"top {share:.0%}",
    )
    for row in sorted(rows, key=lambda row: -row.queries.value):
        found = row.detection
        cells = [_cell(row.queries), _cell(row.ordinary), _cell(row.to_ekfac, 2)]
        shares = [f"{value:.3f}" for value in (found.precision, found.recall, found.auprc)]
        table_.add_row(row.arm, str(row.seeds), *cells, *shares)
    Console(width=160).print(table_)
    described = json.dumps([asdict(row) for row in rows], indent=2)
    (study.asked.out / f"results-{share:g}.json").write_text(described + "\n", encoding="utf-8")


def _cell(interval: Interval, digits: int = 4) -> str:
    return f"{interval.value:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def results(study: Study, share: float) -> list[Row]:
    """One row an arm that has a finished piece."""
    seeds = {arm: [seed for seed in range(9) if _is_done(study, arm, share, seed)] for arm in (RANDOM, *study.scores)}
    texts = {"queries": study.retraining.queries.tokens, "ordinary": study.retraining.ordinary.tokens}
    done = [arm for arm in study.scores if seeds[arm]]

    def losses(arm: str, kind: str, of: str) -> NDArray[np.float64]:
        return np.array([getattr(study.piece(arm, share, seed), kind) for seed in seeds[of]])

    found = {
        kind: table.rises(
            [losses(arm, kind, arm) for arm in done], [losses(RANDOM, kind, arm) for arm in done], tokens, 0
        )
        for kind, tokens in texts.items()
    }
    by_arm = dict(zip(done, found["queries"], strict=True))
    best = max((arm for arm in EKFAC_ARMS if arm in by_arm), key=lambda arm: by_arm[arm].value)
    labelled = study.documents.labelled(LABEL)
    rows = []
    for number, arm in enumerate(done):
        pair = [losses(name, "queries", name) for name in (arm, best)]
        bases = [losses(RANDOM, "queries", name) for name in (arm, best)]
        to_ekfac = table.ratio(*pair, *bases, texts["queries"], 0)
        detected = table.detection(study.scores[arm], study.mask(arm, share, 0), labelled)
        intervals = (found["queries"][number], found["ordinary"][number], to_ekfac)
        rows.append(Row(arm, share, len(seeds[arm]), *intervals, detected))
    return rows


def _is_done(study: Study, arm: str, share: float, seed: int) -> bool:
    return study.retraining.file(f"{arm}-{share:g}", seed).is_file()


if __name__ == "__main__":
    main()
