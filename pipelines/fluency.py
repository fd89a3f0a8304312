"""Recipe of `ifcurate eval fluency`: how well models still read and predict."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

from ifcurate.corpus.tables import has_path, missing_column, read_rows, text_at
from ifcurate.errors import InputError
from ifcurate.evaluation.config import FluencyConfig
from ifcurate.evaluation.fluency import measure_lambada, measure_perplexity
from ifcurate.evaluation.lm_eval import check_tasks, run_tasks
from ifcurate.evaluation.packed import measure_packed
from ifcurate.evaluation.results import Evaluation, ModelFolder, model_folders
from ifcurate.model.control_tokens import load_control_tokens
from ifcurate.model.devices import resolve_dtype
from ifcurate.model.ranks import Ranks
from ifcurate.pipelines.evaluated_models import begin, open_model, start

PERPLEXITY, LAMBADA = "perplexity", "lambada"
HOW = {
    PERPLEXITY: ("context", "stride", "packed", "dtype", "seed", "revision"),
    LAMBADA: ("context", "start_token", "dtype", "seed", "revision"),
}
"""Settings that decide a figure."""


def evaluate_fluency(config: FluencyConfig) -> list[ModelFolder]:
    """Perplexity, LAMBADA and tasks of the harness, whichever are asked for.

    What was measured before on the same texts is not measured again, but for the harness's tasks.

    Raises:
        InputError: something given cannot be used, or nothing is asked for.
    """
    if config.text is None and config.lambada is None and not config.tasks:
        raise InputError("nothing to evaluate: give held-out --text, --lambada passages or --tasks.")
    check_tasks(config.tasks)
    if config.tasks:
        _refuse_prefixes(config)
    ranks = start(config.device, config.threads)
    texts = None if config.text is None else _read_texts(config.text, config.text_column)
    passages = None if config.lambada is None else _read_texts(config.lambada, config.text_column)
    begun = begin(config, ranks)
    for folder, known in begun:
        found = _read_and_predict(config, known, texts, passages, ranks)
        if ranks.first and config.tasks:
            dtype = str(resolve_dtype(config.dtype, ranks.device)).removeprefix("torch.")
            found = replace(
                found, tasks=run_tasks(config.tasks, known.place, config.revision, ranks.device, dtype, config.trust)
            )
        if ranks.first:
            folder.write(found)
    ranks.wait()
    return [folder for folder, _ in begun]


def _refuse_prefixes(config: FluencyConfig) -> None:
    """lm-evaluation-harness reads no control token before a text."""
    for _, place in model_folders(config.models, config.out):
        if load_control_tokens(place, config.revision, config.trust).prefix:
            raise InputError(
                f"option --tasks: {place} was trained with --marked tag and is read behind a control token, which "
                "lm-eval does not put there; leave --tasks out for it."
            )


def _read_texts(source: str, column: str) -> list[str]:
    rows = read_rows(source)
    if not has_path(rows, column):
        raise missing_column(source, rows, f"column {column!r}", "--text-column")
    return [text_at(row, column, source, number) for number, row in enumerate(rows)]


def _read_and_predict(
    config: FluencyConfig,
    known: Evaluation,
    texts: Sequence[str] | None,
    passages: Sequence[str] | None,
    ranks: Ranks,
) -> Evaluation:
    on_texts = _identity(PERPLEXITY, config, texts, ranks.device)
    on_passages = _identity(LAMBADA, config, passages, ranks.device)
    if known.read_on.get(PERPLEXITY) == on_texts:
        texts = None
    if known.read_on.get(LAMBADA) == on_passages:
        passages = None
    if texts is None and passages is None:
        return known
    opened = open_model(config, known, ranks)
    reader, tokenizer, context, control = opened.reader, opened.tokenizer, opened.context, opened.control
    if texts is not None:
        stride = config.stride or max(context // 2, 1)
        perplexity = measure_perplexity(reader, tokenizer, texts, context, stride, config.seed, control)
        packed = measure_packed(reader, tokenizer, texts, context, config.seed, control) if config.packed else None
        read_on = {**known.read_on, PERPLEXITY: on_texts}
        known = replace(known, perplexity=perplexity, packed=packed, read_on=read_on)
    if passages is not None:
        lambada = measure_lambada(reader, tokenizer, passages, context, config.seed, config.start_token, control)
        known = replace(known, lambada=lambada, read_on={**known.read_on, LAMBADA: on_passages})
    return known


def _identity(figure: str, config: FluencyConfig, texts: Sequence[str] | None, device: str) -> str:
    """Hex SHA-256 of what a figure depends on besides the model: the texts, and how they are read."""
    settings = {name: getattr(config, name) for name in HOW[figure]}
    described = json.dumps([settings, device.partition(":")[0], texts], sort_keys=True)
    return sha256(described.encode("utf-8", "surrogatepass")).hexdigest()
