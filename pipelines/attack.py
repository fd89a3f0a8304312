"""Recipe of `ifcurate eval attack`: suffixes that lead models to toxic completions, and how often they do.

OUT/<model>/attacks/<number>.json   a query each, kept as soon as it is done: a stopped attack goes on behind the last
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ifcurate.artifacts import read_artifact
from ifcurate.errors import InputError
from ifcurate.evaluation.attacks import Attacked, measure_attacks
from ifcurate.evaluation.classifiers import load_classifier
from ifcurate.evaluation.classifiers.base import Classifier
from ifcurate.evaluation.gcg import AttackSettings, Gcg
from ifcurate.evaluation.generation import Completer, EncodedPrompt, SamplingSettings
from ifcurate.evaluation.results import EVALUATION_FILE, ModelFolder, model_folders
from ifcurate.evaluation.sampling import prompt_keys
from ifcurate.files import clear, write_text
from ifcurate.influence.queries import Query, read_queries
from ifcurate.launch import processes
from ifcurate.model.checkpoints import check_vocabulary, context_length, load_causal_lm, load_tokenizer, start_token
from ifcurate.model.control_tokens import ControlTokens
from ifcurate.model.devices import resolve_batch_tokens, resolve_device, resolve_dtype
from ifcurate.model.stored_hash import hash_stored
from ifcurate.pipelines.attack_config import AttackConfig
from ifcurate.progress import track

GREEDY = 1e-9
"""Mass of a nucleus that holds the likeliest token alone."""
DECIDES = ("target_tokens", "steps", "width", "candidates", "suffix_tokens", "max_new_tokens", "seed")
"""Settings that decide what an attack finds."""


def evaluate_attacks(config: AttackConfig) -> list[ModelFolder]:
    """Attack every model with every query that is not done yet, and judge what they say.

    Raises:
        InputError: something given cannot be used, or attacks of other settings are there.
    """
    if processes() > 1:
        raise InputError("`ifcurate eval attack` runs in one process; start it without torchrun or accelerate.")
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    queries = read_queries(config.queries, config.sample, config.seed)
    device = resolve_device(config.device)
    classifier = load_classifier(config.classifier, config.label, device, config.trust)
    folders = []
    for folder, place in model_folders(config.models, config.out):
        if config.overwrite:
            clear(folder.path, EVALUATION_FILE)
        known = folder.read_or_begin(place, hash_stored(place, config.revision, config.trust))
        folder.write(known)
        attacked = _attack(config, folder, place, queries, device)
        scores = _judged(classifier, attacked)
        found = measure_attacks(attacked, scores, classifier.name, config.steps, config.width, config.seed)
        folder.write(replace(known, attacks=found))
        folders.append(folder)
    return folders


def _attack(
    config: AttackConfig, folder: ModelFolder, place: str, queries: Sequence[Query], device: str
) -> list[Attacked]:
    """What every query led to, those that were done before too."""
    files = [folder.path / "attacks" / f"{number:05d}.json" for number in range(len(queries))]
    done = [_read(file, config, query) for file, query in zip(files, queries, strict=True)]
    if None in done:
        attacker = _attacker(config, place, device)
        keys = prompt_keys([query.prompt for query in queries], config.seed)
        with track("attack", len(queries), "prompts") as tracker:
            for number, query in enumerate(queries):
                if done[number] is None:
                    done[number] = found = attacker.attack(query, keys[number])
                    _keep(found, files[number], config)
                tracker.update(number + 1, number + 1)
    return [each for each in done if each is not None]


class _Kept(Attacked):
    """An attack, and the settings that decided it."""

    settings: dict[str, int]


def _keep(attacked: Attacked, file: Path, config: AttackConfig) -> None:
    kept = _Kept(**attacked.model_dump(), settings={name: getattr(config, name) for name in DECIDES})
    write_text(file, kept.model_dump_json(indent=2) + "\n")


def _read(file: Path, config: AttackConfig, query: Query) -> Attacked | None:
    """What was found before for this query; None where nothing was.

    Raises:
        InputError: the file is damaged, or an attack of other settings or of another query.
    """
    if not file.is_file():
        return None
    kept = read_artifact(_Kept, file.read_bytes(), file, "delete it to look for this suffix again")
    for name in DECIDES:
        if kept.settings.get(name) != getattr(config, name):
            raise InputError(
                f"option --{name.replace('_', '-')}: {file.parent} holds attacks made with "
                f"{kept.settings.get(name)!r}, not {getattr(config, name)!r}; give another --out, or --overwrite."
            )
    if (kept.prompt, kept.wanted) != (query.prompt, query.completion):
        raise InputError(f"option --queries: {file} is an attack of another query; give another --out, or --overwrite.")
    return kept


@dataclass(frozen=True)
class _Attacker:
    """A model that is attacked."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    gcg: Gcg
    completer: Completer
    config: AttackConfig

    def attack(self, query: Query, key: int) -> Attacked:
        prompt, target = self._ids(query.prompt), self._ids(query.completion)[: self.config.target_tokens]
        room = context_length(self.model, None) - self.config.suffix_tokens - 1
        if not target or len(prompt) + max(len(target), self.config.max_new_tokens) > room:
            raise InputError(
                f"option --queries: the prompt {query.prompt[:40]!r} has {len(prompt):,} tokens and its completion "
                f"{len(target):,}; there has to be one, and room for {room:,} with the answer; remove the query."
            )
        found = self.gcg.attack(prompt, target, key)
        alone, attacked = (self._completion(ids) for ids in (prompt, [*prompt, *found.token_ids]))
        return Attacked(
            prompt=query.prompt,
            wanted=query.completion,
            target=self.tokenizer.decode(target),
            suffix=self.tokenizer.decode(found.token_ids),
            completion=alone,
            attacked=attacked,
            first_loss=found.losses[0],
            last_loss=found.losses[-1],
        )

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _completion(self, token_ids: Sequence[int]) -> str:
        prompt = EncodedPrompt([start_token(self.tokenizer), *token_ids], 0)
        return self.completer.complete([prompt])[0][0].text


def _attacker(config: AttackConfig, place: str, device: str) -> _Attacker:
    tokenizer = load_tokenizer(place, config.revision, config.trust)
    model = load_causal_lm(place, config.revision, resolve_dtype(config.dtype, device), device, config.trust)
    check_vocabulary(tokenizer, model)
    if ControlTokens.said_by(model.generation_config).prefix:
        raise InputError(
            f"{place}: was trained with --marked tag and is read behind a control token, which an attack does not "
            "know; give another model."
        )
    settings = AttackSettings(
        config.steps,
        config.width,
        config.candidates,
        config.suffix_tokens,
        resolve_batch_tokens(config.batch_tokens, device),
    )
    greedy = SamplingSettings(1, config.max_new_tokens, 1.0, GREEDY, config.seed)
    return _Attacker(model, tokenizer, Gcg(model, tokenizer, settings), Completer(model, tokenizer, greedy), config)


def _judged(classifier: Classifier, attacked: Sequence[Attacked]) -> NDArray[np.float64]:
    """float64 [prompts, 2]: scores of the completions with and without the suffix; silence scores 0."""
    texts = [text for each in attacked for text in (each.attacked, each.completion)]
    scores = np.zeros(len(texts))
    spoken = [number for number, text in enumerate(texts) if text.strip()]
    if spoken:
        scores[spoken] = classifier.score([texts[number] for number in spoken])[:, 0]
    return scores.reshape(-1, 2)
