"""One trained model a piece: from the common checkpoint, without some tokens, and its losses on held-out text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel

from ifcurate.annotation.schema import mask_column
from ifcurate.config import build
from ifcurate.corpus.parquet import attach
from ifcurate.evaluation.fluency import Reader
from ifcurate.evaluation.retraining import HeldOutTexts
from ifcurate.files import finishing, remove, write_text
from ifcurate.model.checkpoints import load_causal_lm, load_tokenizer
from ifcurate.model.hashes import hash_tokenizer
from ifcurate.model.ranks import Ranks
from ifcurate.pipelines.train import train
from ifcurate.training.config import TrainConfig
from retrained.documents import Documents

LEFT_OUT = "left_out"
ROWS_A_STEP = 16
BATCH_TOKENS = 4096


class Piece(BaseModel):
    """Summed loss in nats of every held-out query and ordinary text, and what training took."""

    left_out: int
    steps: int
    seconds: float
    queries: list[float]
    ordinary: list[float]


@dataclass(frozen=True)
class Retraining:
    """What every piece shares; all of it is kept in `folder`."""

    base: str
    folder: Path
    documents: Documents
    queries: HeldOutTexts
    ordinary: HeldOutTexts
    context: int
    learning_rate: float

    def piece(self, name: str, seed: int, mask: NDArray[np.bool_], keep: bool = False) -> Piece:
        """The piece `name`: read, or trained without the tokens of `mask`, bool [tokens of the documents]."""
        file, model = self.file(name, seed), self.model(name, seed)
        if not file.is_file():
            trained = train(self._training(model, self._rows(name, seed, mask), bool(mask.any()), seed))
            reader = Reader(load_causal_lm(str(model)), BATCH_TOKENS, Ranks(0, 1, "cpu"))
            found = Piece(
                left_out=int(mask.sum()),
                steps=trained.steps,
                seconds=trained.seconds,
                queries=self.queries.nats(reader, "queries").tolist(),
                ordinary=self.ordinary.nats(reader, "ordinary").tolist(),
            )
            write_text(file, found.model_dump_json() + "\n")
            if not keep:
                remove(model)
        return Piece.model_validate_json(file.read_text(encoding="utf-8"))

    def file(self, name: str, seed: int) -> Path:
        """Where a piece's losses are."""
        return self.folder / "pieces" / f"{name}-seed{seed}.json"

    def model(self, name: str, seed: int) -> Path:
        """Where a piece is trained, and stays if it is kept."""
        return self.folder / "models" / f"{name}-seed{seed}"

    def _rows(self, name: str, seed: int, mask: NDArray[np.bool_]) -> Path:
        """The documents with their mask, as `ifcurate train` reads them."""
        path = self.folder / "rows" / f"{name}-seed{seed}.parquet"
        ids = [encoding.token_ids for encoding in self.documents.encodings]
        columns = {
            "token_ids": pa.array(ids, pa.list_(pa.int32())),
            mask_column(LEFT_OUT): pa.array(self.documents.split(mask), pa.list_(pa.bool_())),
        }
        table = pa.table(columns)
        made = {LEFT_OUT: {"tokenizer_hash": hash_tokenizer(load_tokenizer(self.base))}}
        with finishing(path) as part:
            pq.write_table(table.replace_schema_metadata(attach(table.schema, made).metadata), part)
        return path

    def _training(self, out: Path, rows: Path, masked: bool, seed: int) -> TrainConfig:
        tokens_per_step = ROWS_A_STEP * self.context
        given = {
            "data": str(rows),
            "out": str(out),
            "model": self.base,
            "context": self.context,
            "penalty": [f"{LEFT_OUT}=0"] if masked else [],
            "max_steps": int(self.documents.lengths.sum()) // tokens_per_step,
            "tokens_per_step": tokens_per_step,
            "learning_rate": self.learning_rate,
            "watch": False,
            "device": "cpu",
            "seed": seed,
        }
        return build(TrainConfig, given)
