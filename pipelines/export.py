"""From an annotated corpus to the files of another training stack: what `ifcurate export` does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from ifcurate.annotation.reader import RUN_FILE, AnnotatedCorpus, MarkedDocument
from ifcurate.config import PROVENANCE_KEY, build, read_provenance, read_yaml, save
from ifcurate.corpus.shards import corpus_fingerprint
from ifcurate.errors import InputError
from ifcurate.export import EXPORTERS
from ifcurate.export.config import ExportConfig
from ifcurate.export.weights import Exporter, WeightedDocument, weighted
from ifcurate.files import clear, finishing_folder, remove_parts_of
from ifcurate.model.checkpoints import load_tokenizer, vocabulary_size
from ifcurate.progress import log
from ifcurate.provenance import versions
from ifcurate.registry import load
from ifcurate.training.forms import parse_penalties
from ifcurate.training.packing import token_dtype, weight_table
from ifcurate.training.token_columns import influence_weights

EXPORT_FILE = "export.yaml"
SUMMARY = "summary"
"""Key of what was counted, in its provenance."""


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


def export(config: ExportConfig) -> ExportSummary:
    """Write the corpus in `config.format`; the folder `config.out` appears when it is complete.

    Every document keeps its place and ends with the tokenizer's EOS token, which has weight 1.

    Raises:
        InputError: the folder is in use, the format cannot hold a penalty, or see `AnnotatedCorpus`.
    """
    out = Path(config.out)
    if config.overwrite:
        clear(out, EXPORT_FILE)
    tokenizer, penalties = _tokenizer(config), parse_penalties(config.penalty, config.behaviour)
    by_influence = config.penalty_weights == "influence"
    corpus = AnnotatedCorpus(config.data, list(penalties), tokenizer, config.text_column, with_strengths=by_influence)
    fingerprint = corpus_fingerprint(corpus.shards())
    if (done := _finished(out, config, fingerprint)) is not None:
        log.info(f"{out}: is written already; --overwrite writes anew")
        return done
    remove_parts_of(out)
    with finishing_folder(out) as part:
        exporter: Exporter = load(EXPORTERS[config.format])(
            part, token_dtype(vocabulary_size(tokenizer)), penalties.values()
        )
        weights_of = _by_influence(corpus, penalties) if by_influence else _by_marks(penalties)
        summary = _write(corpus, exporter, weights_of, _end_token(tokenizer))
        corpus.require_marks()
        save(config, part / EXPORT_FILE, {**versions(), "corpus": fingerprint, SUMMARY: asdict(summary)})
    for behaviour, count in corpus.counts.items():
        log.info(count.sentence(behaviour))
    log.info(f"{config.format} carries {exporter.carries}")
    return summary


def _finished(out: Path, config: ExportConfig, fingerprint: dict[str, Any]) -> ExportSummary | None:
    """What the same export counted when it was made in `out`; None where `out` is free.

    Raises:
        InputError: `out` holds something else, or another export.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    file = out / EXPORT_FILE
    if not file.is_file():
        raise InputError(f"option --out: {out} is in use by something else; give a new folder.")
    stored = build(ExportConfig, {"out": config.out}, file)
    for name, value in config.model_dump().items():
        if value != getattr(stored, name):
            raise InputError(
                f"option --{name.replace('_', '-')}: {out} was made with {getattr(stored, name)!r}, not {value!r}; "
                "give another --out, or --overwrite."
            )
    made_from = read_provenance(file, "corpus", SUMMARY)
    if made_from["corpus"] != fingerprint:
        raise InputError(f"option DATA: {config.data} is not what {out} was made from; give another --out.")
    return ExportSummary(**made_from[SUMMARY])


WeightsOf = Callable[[MarkedDocument], NDArray[np.float32]]


def _by_marks(penalties: Mapping[str, float]) -> WeightsOf:
    table = weight_table(list(penalties.values()))
    return lambda document: table[document.marks]


def _by_influence(corpus: AnnotatedCorpus, penalties: Mapping[str, float]) -> WeightsOf:
    """Reads the corpus once more, for the mean."""
    return influence_weights(replace(corpus), list(penalties.values())).of


def _write(corpus: AnnotatedCorpus, exporter: Exporter, weights_of: WeightsOf, end: int) -> ExportSummary:
    summary = ExportSummary()
    for shard in corpus.shards():
        exporter.write(shard.name, summary.counting(weighted(corpus.documents_of(shard), weights_of, end)))
    exporter.finish()
    return summary


def _tokenizer(config: ExportConfig) -> PreTrainedTokenizerFast:
    run_file = Path(config.data) / RUN_FILE
    if config.tokenizer is not None:
        return load_tokenizer(config.tokenizer, config.revision, config.trust)
    if not run_file.is_file():
        raise InputError("option --tokenizer is required where --data is no run; give a folder or Hub id.")
    settings = {name: value for name, value in read_yaml(run_file).items() if name != PROVENANCE_KEY}
    return load_tokenizer(str(settings["model"]), settings.get("revision"), config.trust)


def _end_token(tokenizer: PreTrainedTokenizerFast) -> int:
    if tokenizer.eos_token_id is None:
        raise InputError(f"{tokenizer.name_or_path}: has no EOS token to end documents with; set one.")
    return int(tokenizer.eos_token_id)
