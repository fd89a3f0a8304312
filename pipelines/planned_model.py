"""The model and the material of a plan: what its configuration says, and windows of its corpus and queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ifcurate.influence.query_gradient import QueryWindow, query_windows
from ifcurate.influence.query_sets import read_query_sets
from ifcurate.influence.settings import DirectionSettings
from ifcurate.model.checkpoints import check_vocabulary, context_length, embedding_rows, load_tokenizer
from ifcurate.model.outlines import outline
from ifcurate.model.settings import ModelSettings
from ifcurate.model.windows import Window, split_into_windows
from ifcurate.planning.shapes import ModelShape, shape_of
from ifcurate.planning.tokens import CorpusSample

ASSUMED_QUERIES = 1000
"""Of both sides together, where none are given."""
ASSUMED_QUERY_TOKENS = 32


@dataclass(frozen=True)
class PlannedModel:
    """A model of which no weight is read.

    Attributes:
        name: folder or Hub id.
        outline: on the device `meta`, its experts opened.
        shape: of it.
        tokenizer: its own.
        context: tokens a window.
        embeddings: rows of the embedding.
    """

    name: str
    outline: PreTrainedModel
    shape: ModelShape
    tokenizer: PreTrainedTokenizerFast
    context: int
    embeddings: int


def planned_model(config: ModelSettings) -> PlannedModel:
    """What of a model can be known from its configuration.

    Raises:
        InputError: the model or its tokenizer cannot be used.
    """
    tokenizer = load_tokenizer(config.model, config.revision, config.trust, config.stored)
    model = outline(config.model, config.revision, config.trust, config.stored)
    check_vocabulary(tokenizer, model)
    context = context_length(model, config.context, config.overlap)
    embeddings = embedding_rows(model)
    return PlannedModel(config.model, model, shape_of(model), tokenizer, context, embeddings)


@dataclass(frozen=True)
class PlannedQueries:
    """Windows of the queries, and whether they are assumed because none were given."""

    windows: list[QueryWindow]
    assumed: bool

    @property
    def tokens(self) -> int:
        """That are read, prompts too."""
        return sum(len(query.window) for query in self.windows)


def planned_queries(
    config: DirectionSettings, model: PlannedModel, overlap: int, seed: int, fitted: Sequence[Window]
) -> PlannedQueries:
    """The windows of the queries; without any, beginnings of the sample's windows in their place.

    Raises:
        InputError: the queries cannot be used.
    """
    if not config.query_files:
        each = [
            Window(row, 0, fitted[row % len(fitted)].token_ids[:ASSUMED_QUERY_TOKENS]) for row in range(ASSUMED_QUERIES)
        ]
        return PlannedQueries([QueryWindow(window, len(window) // 2) for window in each], assumed=True)
    files = [file for query_set in read_query_sets(config, seed) for file in query_set.values()]
    found = [
        query_windows(file.queries, model.tokenizer, model.context, file.source, model.embeddings, overlap)
        for file in files
    ]
    return PlannedQueries([window for of_file in found for window in of_file.windows], assumed=False)


def scored_windows(sample: CorpusSample, context: int, overlap: int, wanted: int) -> list[Window]:
    """Windows of documents of the sample, about `wanted` tokens, every document of the corpus equally likely.

    Documents stand for different numbers of others; here each is taken as often as that.
    """
    drawn = [document for document in sample.drawn if len(document.encoding)]
    total = sum(document.weight for document in drawn)
    mean = sum(document.weight * len(document.encoding) for document in drawn) / total
    step = max(total / max(1.0, wanted / mean), 1e-9)
    chosen, reached, following = [], 0.0, step / 2
    for document in sorted(drawn, key=lambda each: len(each.encoding)):
        reached += document.weight
        while following < reached:
            chosen.append(document.encoding)
            following += step
    return split_into_windows(chosen, context, overlap)
