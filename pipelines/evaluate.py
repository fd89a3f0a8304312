"""Recipes of `ifcurate eval toxicity`, `implicit` and `all`: complete, classify and measure; what is known is kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from ifcurate.corpus.parquet import metadata_of
from ifcurate.errors import InputError
from ifcurate.evaluation.backends.engine import load_engine
from ifcurate.evaluation.classifiers import load_classifier
from ifcurate.evaluation.classifiers.base import Classifier
from ifcurate.evaluation.completions import generate, prompts_of, score
from ifcurate.evaluation.config import EvaluationConfig, ToxicityConfig
from ifcurate.evaluation.metrics import measure
from ifcurate.evaluation.prompts import PromptSet, read_prompts, sample_prompts
from ifcurate.evaluation.results import (
    Evaluation,
    Generation,
    ModelFolder,
    Speed,
    ToxicityResult,
)
from ifcurate.model.ranks import Ranks, find_ranks
from ifcurate.model.trust import NOBODY, Trust
from ifcurate.pipelines.available import NO_CLASSIFIER, available
from ifcurate.pipelines.evaluated_models import begin, start
from ifcurate.pipelines.fluency import evaluate_fluency


def evaluate_toxicity(config: ToxicityConfig) -> list[ModelFolder]:
    """Complete the prompts with each model, classify the completions, and measure; continues a stopped run.

    Raises:
        InputError: something given cannot be used.
    """
    ranks = start(config.device, config.threads)
    prompt_sets = _read_prompt_sets(config)
    begun = begin(config, ranks)
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


def evaluate_all(config: EvaluationConfig) -> list[ModelFolder]:
    """Toxicity, implicit toxicity and fluency, of all that can be had; what was skipped stands in the results.

    Raises:
        InputError: something given cannot be used, or cannot be had and `skip_missing` is not set.
    """
    config, skipped = available(config)
    ranks = start(config.device, config.threads)
    begun = begin(config, ranks)
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
