"""From an annotated corpus to the files of another training stack: what `ifcurate export` does."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field
from transformers import PreTrainedTokenizerFast

from ifcurate.annotation.reader import RUN_FILE, AnnotatedCorpus
from ifcurate.config import PROVENANCE_KEY, Config, read_yaml, save
from ifcurate.corpus.shards import corpus_fingerprint
from ifcurate.errors import InputError
from ifcurate.export.datatrove import DatatroveExporter
from ifcurate.export.huggingface import HuggingFaceExporter
from ifcurate.export.mds import MdsExporter
from ifcurate.export.megatron import MegatronExporter
from ifcurate.export.olmo import OlmoExporter
from ifcurate.export.weights import Exporter, WeightedDocument, weighted
from ifcurate.files import PART_SUFFIX
from ifcurate.model.checkpoints import load_tokenizer
from ifcurate.provenance import versions
from ifcurate.training.packing import token_dtype, weight_table
from ifcurate.training.penalty import parse_penalties

EXPORT_FILE = "export.yaml"
EXPORTERS: dict[str, Callable[[Path, np.dtype[Any], Iterable[float]], Exporter]] = {
    "datatrove": DatatroveExporter,
    "olmo": OlmoExporter,
    "megatron": MegatronExporter,
    "mds": MdsExporter,
    "hf": HuggingFaceExporter,
}


class Format(str, Enum):
    """Names of the formats."""

    DATATROVE = "datatrove"
    OLMO = "olmo"
    MEGATRON = "megatron"
    MDS = "mds"
    HF = "hf"


class ExportConfig(Config):
    """Settings of an export; names are those of the options and of `export.yaml`."""

    data: str = Field(description="run folder, or folder, glob or Hub data set with the annotated columns")
    out: str = Field(description="a new folder for the export")
    format: Format = Field(description="datatrove, olmo, megatron, mds or hf")
    tokenizer: str | None = Field(None, description="folder or Hub id; default: that of the run's model")
    revision: str | None = Field(None, description="its branch, tag or commit on the Hub")
    text_column: str = Field("text", description="column that holds the documents")
    behaviour: list[str] = Field(["toxic"], description="behaviours that a bare --penalty number is for")
    penalty: list[str] = Field(["1"], description="BEHAVIOUR=LAMBDA, or LAMBDA for all")


@dataclass
class ExportSummary:
    """What was written: documents, tokens (EOS included), tokens that carry a penalty, and the sum of all weights."""

    documents: int = 0
    tokens: int = 0
    penalised: int = 0
    weight_sum: float = 0.0

    def counting(self, documents: Iterable[WeightedDocument]) -> Iterator[WeightedDocument]:
        """Pass documents through and count them."""
        for document in documents:
            self.documents += 1
            self.tokens += len(document.token_ids)
            self.penalised += int((document.weights <= 0).sum())
            self.weight_sum += float(document.weights.sum(dtype=float))
            yield document


def export(config: ExportConfig, say: Callable[[str], None] = print) -> ExportSummary:
    """Write the corpus in `config.format`; the folder `config.out` appears when it is complete.

    Every document keeps its place and ends with the tokenizer's EOS token, which has weight 1.

    Raises:
        InputError: the folder is in use, the format cannot hold a penalty, or see `AnnotatedCorpus`.
    """
    out = Path(config.out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"option --out: {out} is in use; give a new folder.")
    tokenizer, penalties = _tokenizer(config), parse_penalties(config.penalty, config.behaviour)
    corpus = AnnotatedCorpus(config.data, list(penalties), tokenizer, config.text_column)
    part = out.with_name(out.name + PART_SUFFIX)
    shutil.rmtree(part, ignore_errors=True)
    try:
        exporter = EXPORTERS[config.format.value](part, token_dtype(len(tokenizer)), penalties.values())
        part.mkdir(parents=True)
        summary = _write(corpus, exporter, list(penalties.values()), _end_token(tokenizer))
        corpus.require_marks()
        save(config, part / EXPORT_FILE, {**versions(), "corpus": corpus_fingerprint(corpus.shards())})
        part.replace(out)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    for behaviour, count in corpus.counts.items():
        say(count.sentence(behaviour))
    say(f"{config.format.value} carries {exporter.carries}")
    return summary


def _write(corpus: AnnotatedCorpus, exporter: Exporter, penalties: list[float], end: int) -> ExportSummary:
    summary, table = ExportSummary(), weight_table(penalties)
    for shard in corpus.shards():
        exporter.write(shard.name, summary.counting(weighted(corpus.documents_of(shard), table, end)))
    exporter.finish()
    return summary


def _tokenizer(config: ExportConfig) -> PreTrainedTokenizerFast:
    run_file = Path(config.data) / RUN_FILE
    if config.tokenizer is not None:
        return load_tokenizer(config.tokenizer, config.revision)
    if not run_file.is_file():
        raise InputError("option --tokenizer is required where --data is no run; give a folder or Hub id.")
    settings = {name: value for name, value in read_yaml(run_file).items() if name != PROVENANCE_KEY}
    return load_tokenizer(str(settings["model"]), settings.get("revision"))


def _end_token(tokenizer: PreTrainedTokenizerFast) -> int:
    if tokenizer.eos_token_id is None:
        raise InputError(f"{tokenizer.name_or_path}: has no EOS token to end documents with; set one.")
    return int(tokenizer.eos_token_id)
