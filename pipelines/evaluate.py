"""Evaluate models: complete, classify and measure; read and predict; keep everything beside everything else."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from transformers import PreTrainedTokenizerFast

from ifcurate.corpus.parquet import metadata_of
from ifcurate.corpus.tables import has_path, missing_column, named_place, read_rows, table_name, text_at
from ifcurate.errors import InputError
from ifcurate.evaluation.backends.engine import load_engine
from ifcurate.evaluation.classifiers import load_classifier
from ifcurate.evaluation.classifiers.base import Classifier
from ifcurate.evaluation.completions import generate, prompts_of, score
from ifcurate.evaluation.config import EvaluationConfig, FluencyConfig, ModelsConfig, RecognitionConfig, ToxicityConfig
from ifcurate.evaluation.fluency import Reader, measure_lambada, measure_perplexity
from ifcurate.evaluation.labelled_texts import read_labelled
from ifcurate.evaluation.lm_eval import check_tasks, run_tasks
from ifcurate.evaluation.metrics import measure
from ifcurate.evaluation.packed import measure_packed
from ifcurate.evaluation.prompts import PromptSet, read_prompts, sample_prompts
from ifcurate.evaluation.recognition import Question, measure_recognition
from ifcurate.evaluation.results import (
    EVALUATION_FILE,
    Evaluation,
    Generation,
    ModelFolder,
    Speed,
    ToxicityResult,
    model_folders,
)
from ifcurate.files import clear
from ifcurate.model.checkpoints import check_vocabulary, context_length, load_causal_lm, load_tokenizer
from ifcurate.model.control_tokens import ControlTokens, load_control_tokens
from ifcurate.model.devices import resolve_batch_tokens, resolve_dtype
from ifcurate.model.ranks import Ranks, find_ranks
from ifcurate.model.stored_hash import hash_stored
from ifcurate.model.trust import NOBODY, Trust
from ifcurate.pipelines.available import NO_CLASSIFIER, available


def evaluate_toxicity(config: ToxicityConfig) -> list[ModelFolder]:
    """Complete the prompts with each model, classify the completions, and measure; continues a stopped run.

    Raises:
        InputError: something given cannot be used.
    """
    ranks = _start(config.device, config.threads)
    prompt_sets = _read_prompt_sets(config)
    begun = _begin(config, ranks)
    for folder, known in begun:
        _complete(config, folder, known, prompt_sets, ranks)
    classifier = load_classifier(config.classifier, config.label, ranks.device, config.trust)
    for folder, _ in begun:
        for prompts in prompt_sets:
            _measure(folder, prompts.name, classifier, config.seed, ranks)
    return [folder for folder, _ in begun]


def evaluate_saved(
    folders: Sequence[ModelFolder], spec: str, label: str | None, device: str, seed: int, trust: Trust = NOBODY
) -> None:
    """Classify saved completions of every prompt set with another classifier, such as ToxiGen's for implicit toxicity.

    Raises:
        InputError: a folder holds no completions, or the classifier cannot be loaded.
    """
    ranks = find_ranks(device)
    classifier = load_classifier(spec, label, ranks.device, trust)
    for folder in folders:
        for prompts in folder.all_completions():
            _measure(folder, prompts, classifier, seed, ranks)


def evaluate_fluency(config: FluencyConfig) -> list[ModelFolder]:
    """Perplexity, LAMBADA and tasks of the harness, whichever are asked for.

    Raises:
        InputError: something given cannot be used, or nothing is asked for.
    """
    if config.text is None and config.lambada is None and not config.tasks:
        raise InputError("nothing to evaluate: give held-out --text, --lambada passages or --tasks.")
    check_tasks(config.tasks)
    if config.tasks:
        _refuse_prefixes(config)
    ranks = _start(config.device, config.threads)
    texts = None if config.text is None else _read_texts(config.text, config.text_column)
    passages = None if config.lambada is None else _read_texts(config.lambada, config.text_column)
    begun = _begin(config, ranks)
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


def evaluate_recognition(config: RecognitionConfig) -> list[ModelFolder]:
    """Ask every model whether labelled texts show the behaviour.

    Raises:
        InputError: something given cannot be used.
    """
    ranks = _start(config.device, config.threads)
    name, source = named_place(config.texts)
    labelled = read_labelled(
        source, config.split, config.text_column, config.label_column, config.positive, config.negative
    )
    question = Question(config.question, (config.yes, config.no), config.as_message)
    begun = _begin(config, ranks)
    for folder, known in begun:
        opened = _open(config, known, ranks)
        found = measure_recognition(
            opened.reader, opened.tokenizer, labelled, question, opened.context, config.seed, opened.control
        )
        if ranks.first:
            folder.write(replace(known, recognition={**known.recognition, name or table_name(source): found}))
    ranks.wait()
    return [folder for folder, _ in begun]


def evaluate_all(config: EvaluationConfig) -> list[ModelFolder]:
    """Toxicity, implicit toxicity and fluency, of all that can be had; what was skipped stands in the results.

    Raises:
        InputError: something given cannot be used, or cannot be had and `skip_missing` is not set.
    """
    config, skipped = available(config)
    ranks = _start(config.device, config.threads)
    begun = _begin(config, ranks)
    config = config.model_copy(update={"overwrite": False})  # what was there before is gone
    if config.prompts:
        evaluate_toxicity(config)
    folders = [folder for folder, _ in begun]
    if config.prompts and config.implicit_classifier != NO_CLASSIFIER:
        evaluate_saved(folders, config.implicit_classifier, None, config.device, config.seed, config.trust)
    if config.text is not None or config.lambada is not None or config.tasks:
        evaluate_fluency(config)
    if ranks.first:
        for folder, known in begun:
            folder.write(replace(folder.read_or_begin(known.place, known.model_hash), skipped=skipped))
    ranks.wait()
    return folders


def _start(device: str, threads: int | None) -> Ranks:
    if threads is not None:
        torch.set_num_threads(threads)
    return find_ranks(device)


def _begin(config: ModelsConfig, ranks: Ranks) -> list[tuple[ModelFolder, Evaluation]]:
    """Every model's folder, made its own, and what is known of that very model."""
    begun = []
    for folder, place in model_folders(config.models, config.out):
        if config.overwrite and ranks.first:
            clear(folder.path, EVALUATION_FILE)
        ranks.wait()
        known = folder.read_or_begin(place, hash_stored(place, config.revision, config.trust))
        if ranks.first:
            folder.write(known)
        begun.append((folder, known))
    ranks.wait()
    return begun


def _read_prompt_sets(config: ToxicityConfig) -> list[PromptSet]:
    sets: list[PromptSet] = []
    for source in config.prompts:
        prompts = read_prompts(
            source,
            split=config.split,
            text_column=config.prompt_column,
            toxicity_column=config.toxicity_column,
            group_column=config.group_column,
            toxic_from=config.toxic_from,
        )
        if prompts.name in {known.name for known in sets}:
            raise InputError(f"option --prompts: two sets are called {prompts.name!r}; name one with NAME=PROMPTS.")
        sets.append(sample_prompts(prompts, config.sample, config.seed, config.balanced))
    return sets


def _complete(
    config: ToxicityConfig, folder: ModelFolder, known: Evaluation, prompt_sets: Sequence[PromptSet], ranks: Ranks
) -> None:
    """Completions of all prompt sets by one model; how many prompts were cut, and how fast it was, is stored."""
    engine = load_engine(config, known.place, ranks.device)
    for prompts in prompt_sets:
        encoded = engine.encode(prompts, config)
        began = time.monotonic()
        file = folder.completions(prompts.name)
        drawn = generate(file, prompts, encoded, engine.complete, engine.prompts_per_batch, engine.provenance, ranks)
        if drawn:
            speed = Speed(drawn, time.monotonic() - began)
            cut = sum(prompt.tokens_cut > 0 for prompt in encoded)
            known = replace(known, generations={**known.generations, prompts.name: Generation(speed, cut)})
    if ranks.first:
        folder.write(known)
    ranks.wait()


def _measure(folder: ModelFolder, prompts: str, classifier: Classifier, seed: int, ranks: Ranks) -> None:
    file = folder.completions(prompts)
    scores = score(file, classifier, ranks)
    if ranks.first:
        table = file.read()
        texts = table.column("completions").to_pylist()
        toxicity = measure(prompts_of(table), scores, classifier.labels, seed, texts)
        shortest = int(metadata_of(table.schema)["min_new_tokens"])
        result = ToxicityResult(prompts, classifier.name, classifier.labels[0], scores.shape[1], shortest, toxicity)
        folder.write(folder.read().with_toxicity(result))
    ranks.wait()


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
    if texts is None and passages is None:
        return known
    opened = _open(config, known, ranks)
    reader, tokenizer, context, control = opened.reader, opened.tokenizer, opened.context, opened.control
    if texts is not None:
        stride = config.stride or max(context // 2, 1)
        perplexity = measure_perplexity(reader, tokenizer, texts, context, stride, config.seed, control)
        packed = measure_packed(reader, tokenizer, texts, context, config.seed, control) if config.packed else None
        known = replace(known, perplexity=perplexity, packed=packed)
    if passages is not None:
        known = replace(
            known,
            lambada=measure_lambada(reader, tokenizer, passages, context, config.seed, config.start_token, control),
        )
    return known


@dataclass(frozen=True)
class _Opened:
    """A model that reads: its tokenizer, the tokens of a window, and those that steer it."""

    reader: Reader
    tokenizer: PreTrainedTokenizerFast
    context: int
    control: ControlTokens


def _open(config: FluencyConfig | RecognitionConfig, known: Evaluation, ranks: Ranks) -> _Opened:
    tokenizer = load_tokenizer(known.place, config.revision, config.trust)
    model = load_causal_lm(
        known.place, config.revision, resolve_dtype(config.dtype, ranks.device), ranks.device, config.trust
    )
    check_vocabulary(tokenizer, model)
    reader = Reader(model, resolve_batch_tokens(config.batch_tokens, ranks.device), ranks)
    control = ControlTokens.said_by(model.generation_config)
    return _Opened(reader, tokenizer, context_length(model, config.context), control)
