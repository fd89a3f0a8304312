"""The sides that scoring benchmarks compare, each made ready to score the same windows: one call scores them all."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Sequence
from unittest import mock

import numpy as np
import torch
from kronfluence.analyzer import Analyzer, prepare_model
from kronfluence.arguments import FactorArguments, ScoreArguments
from kronfluence.utils.dataset import DataLoaderKwargs
from transformers import AutoModelForCausalLM, GPTNeoXConfig, LlamaConfig, PretrainedConfig, PreTrainedModel

from ifcurate.influence.direction import Direction
from ifcurate.influence.engines.choice import Engine
from ifcurate.influence.kronfluence_task import LanguageModelTask, as_kronfluence_batch
from ifcurate.influence.query_gradient import QueryWindow, query_gradient
from ifcurate.influence.scorer import Scorer
from ifcurate.model.layers import tracked_linears
from ifcurate.model.windows import Encoding, Window, WindowBatch, collate

QUERY_TOKENS = 16
Side = Callable[[], torch.Tensor]
"""Scores all windows and returns each window's sum of influence, float64 [windows]: what every side agrees on."""


def neox(layers: int, width: int, heads: int) -> PretrainedConfig:
    return GPTNeoXConfig(
        vocab_size=50_304, hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=4 * width, max_position_embeddings=2048, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip


def llama(vocabulary: int, layers: int, width: int, heads: tuple[int, int], inner: int, tied: bool) -> PretrainedConfig:
    """`heads`: of queries, and of keys and values."""
    return LlamaConfig(
        vocab_size=vocabulary, hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads[0],
        num_key_value_heads=heads[1], intermediate_size=inner, max_position_embeddings=131_072,
        tie_word_embeddings=tied, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip


SHAPES: dict[str, PretrainedConfig] = {
    "tiny": llama(1024, 1, 64, (4, 2), 128, tied=False),
    "pythia-70m": neox(6, 512, 8),
    "pythia-160m": neox(12, 768, 12),
    "pythia-410m": neox(24, 1024, 16),
    "pythia-1b": neox(16, 2048, 8),
    "llama-3.2-1b": llama(128_256, 16, 2048, (32, 8), 8192, tied=True),
}


def random_model(shape: str, dtype: torch.dtype = torch.float32, device: str = "cpu") -> PreTrainedModel:
    """A model of that shape with random weights: they have the speed of trained ones."""
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(SHAPES[shape], dtype=dtype).eval().to(device)


def random_windows(count: int, length: int, vocabulary: int, seed: int = 0) -> list[Window]:
    generator = np.random.default_rng(seed)
    return [Window(number, 0, generator.integers(1, vocabulary, length).astype(np.int32)) for number in range(count)]


def query(model: PreTrainedModel) -> Window:
    return random_windows(1, QUERY_TOKENS, model.config.vocab_size, seed=1)[0]


def query_direction(model: PreTrainedModel) -> Direction:
    """The gradient of one short query: the direction without any curvature."""
    found = query_gradient(model, [QueryWindow(query(model), 0)], 0, QUERY_TOKENS)
    return Direction(found.tensors, {"behaviour": "query"})


def batches_of(windows: Sequence[Window], windows_per_batch: int, device: str) -> list[WindowBatch]:
    cut = range(0, len(windows), windows_per_batch)
    return [collate(windows[first : first + windows_per_batch], 0).to(device) for first in cut]


def engine_side(engine: Engine, batches: Sequence[WindowBatch]) -> Side:
    def score() -> torch.Tensor:
        sums = []
        for batch in batches:
            influence = engine.score(batch).influence[0].double()
            sums.append(influence.reshape(batch.labels.shape).sum(1))
        return torch.cat(sums).cpu()

    return score


def scorer_side(scorer: Scorer, windows: Sequence[Window]) -> Side:
    """Scoring as the commands do it: batches made, moved, halved where memory runs out, and scores handed back."""
    documents = [Encoding(ids, ids, ids) for ids in (window.token_ids for window in windows)]
    names = [str(window.document) for window in windows]

    def score() -> torch.Tensor:
        scored, _ = scorer.score(documents, names)
        return torch.tensor([scores.influence[0].sum(dtype=np.float64) for scores in scored])

    return score


def plain_side(model: PreTrainedModel, batches: Sequence[WindowBatch]) -> Side:
    """What no finite difference can beat: two ordinary forward passes with every token's loss."""

    @torch.inference_mode()
    def twice() -> torch.Tensor:
        for batch in batches:
            for _ in range(2):
                logits = model(input_ids=batch.input_ids, use_cache=False).logits.flatten(0, 1)
                losses = torch.nn.functional.cross_entropy(logits.float(), batch.labels.flatten(), reduction="none")
        return losses

    return twice


def kronfluence_side(model: PreTrainedModel, windows: Sequence[Window], windows_per_batch: int) -> Side:
    """Kronfluence's own pipeline: per-token pairwise scores, query gradient aggregated, without curvature.

    Curvature matters to the query only, which is one short window: what is timed is scoring. All in the model's dtype.
    Wraps `model` in place.
    """
    task = LanguageModelTask(list(tracked_linears(model)))
    on_cpu = model.device.type == "cpu"
    folder = tempfile.mkdtemp()
    queries, training = [query(model)], list(windows)
    analyzer = Analyzer(
        analysis_name="benchmark", model=prepare_model(model, task), task=task, cpu=on_cpu,
        log_level=logging.ERROR, disable_tqdm=True, output_dir=folder,
    )  # fmt: skip
    collated = DataLoaderKwargs(collate_fn=lambda items: as_kronfluence_batch(collate(items, 0)))
    factors = FactorArguments(strategy="identity")
    analyzer.fit_all_factors("identity", training[:1], factor_args=factors, dataloader_kwargs=collated)
    arguments = ScoreArguments(
        aggregate_query_gradients=True, compute_per_token_scores=True, per_sample_gradient_dtype=model.dtype,
        precondition_dtype=model.dtype, score_dtype=model.dtype,
    )  # fmt: skip

    def score() -> torch.Tensor:
        with mock.patch("torch.compiler.reset"):  # it would forget what other sides have compiled
            analyzer.compute_pairwise_scores(
                scores_name="scores", factors_name="identity", query_dataset=queries, train_dataset=training,
                per_device_query_batch_size=1, per_device_train_batch_size=windows_per_batch, score_args=arguments,
                dataloader_kwargs=collated, overwrite_output_dir=True,
            )  # fmt: skip
        scores = analyzer.load_pairwise_scores("scores")["all_modules"][0]
        return scores.double().reshape(len(training), -1).sum(1) / QUERY_TOKENS

    return score
