"""Scoring step: the influence of every token, beside the document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

from ifcurate.influence.settings import ScoreSettings
from ifcurate.pipelines.heartbeat import Pulse
from ifcurate.pipelines.steps.read_shards import ROW, SHARD
from ifcurate.selection.scores import LOSS, TOKEN_ENDS, TOKEN_IDS, TOKEN_STARTS, influence_column

if TYPE_CHECKING:
    from ifcurate.influence.loading import LoadedScorer

CHARACTERS_PER_GROUP = 1 << 21
"""Documents are scored in groups of about so many characters: enough of them to batch by length without padding."""


class ScoreTokens(PipelineStep):
    """Adds `token_ids`, `token_starts`, `token_ends` and `<behaviour>_influence` to every document's metadata.

    Lists of plain numbers, one a token, so that any writer can store them; empty for an empty text. The model is
    loaded once a process, at the first document.

    Args:
        settings: see `ScoreSettings`.
        with_loss: also add `loss`, each token's own loss in nats.
        pulse: progress within the shards of `ReadShards`, watched by the recipe.
    """

    name = "🧲 Token influence"
    type = "🧮 - SCORER"
    _requires_dependencies = ("torch", "transformers", "kronfluence")

    def __init__(self, settings: ScoreSettings, with_loss: bool = False, pulse: Pulse | None = None) -> None:
        super().__init__()
        self.settings = settings
        self.with_loss = with_loss
        self.pulse = pulse

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """The same documents in the same order."""
        for group in _groups(data):
            with self.track_time("group"):
                self._score(_loaded(self.settings), group)
            yield from group

    def _score(self, loaded: LoadedScorer, group: list[Document]) -> None:
        encodings = loaded.encode([document.text for document in group])
        on_batch = self._on_batch(group, sum(map(len, encodings)))
        scored, work = loaded.score(encodings, [document.id for document in group], on_batch)
        self.stat_update("tokens", value=work.tokens, unit="group")
        self.stat_update("positions", value=work.positions, unit="group")
        self.stat_update("halvings", value=work.halvings, unit="group")
        for document, encoding, scores in zip(group, encodings, scored, strict=True):
            document.metadata[TOKEN_IDS] = encoding.token_ids.tolist()
            document.metadata[TOKEN_STARTS] = encoding.starts.tolist()
            document.metadata[TOKEN_ENDS] = encoding.ends.tolist()
            for behaviour, influence in zip(loaded.behaviours, scores.influence, strict=True):
                document.metadata[influence_column(behaviour)] = influence.tolist()
            if self.with_loss:
                document.metadata[LOSS] = scores.loss.tolist()

    def _on_batch(self, group: list[Document], tokens: int) -> Callable[[int], None]:
        if self.pulse is None:
            return lambda tokens: None
        first = group[0].metadata
        return self.pulse.group(first[SHARD], first[ROW], len(group), tokens)


def _groups(data: Iterable[Document]) -> Iterator[list[Document]]:
    """Consecutive documents of about `CHARACTERS_PER_GROUP` characters, never of two shards."""
    group: list[Document] = []
    characters = 0
    for document in data:
        elsewhere = group and document.metadata.get(SHARD) != group[0].metadata.get(SHARD)
        if group and (elsewhere or characters >= CHARACTERS_PER_GROUP):
            yield group
            group, characters = [], 0
        group.append(document)
        characters += len(document.text)
    if group:
        yield group


@lru_cache(maxsize=1)
def _loaded(settings: ScoreSettings) -> LoadedScorer:
    """The model and directions of `settings`, kept from task to task of a worker process."""
    from ifcurate.influence.loading import load_scorer

    return load_scorer(settings)
