"""Scoring step: the influence of every token, beside the document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from numpy.typing import NDArray

from ifcurate.influence.scorer import DocumentScores
from ifcurate.influence.settings import ScoreSettings
from ifcurate.model.windows import Encoding
from ifcurate.pipelines.heartbeat import Pulse
from ifcurate.pipelines.steps.kept_groups import KeptGroups, ScoredGroup
from ifcurate.pipelines.steps.read_shards import ROW, SHARD
from ifcurate.selection.scores import LOSS, LOSS_MASK, TOKEN_ENDS, TOKEN_IDS, TOKEN_STARTS, influence_column
from ifcurate.selection.screened import WEIGHT

if TYPE_CHECKING:
    from ifcurate.annotators.loading import LoadedAnnotator, MarkSettings
    from ifcurate.influence.loading import LoadedScorer

    Settings = ScoreSettings | MarkSettings
    Loaded = LoadedScorer | LoadedAnnotator

CHARACTERS_PER_GROUP = 1 << 21
"""Documents are scored in groups of about so many characters: enough of them to batch by length without padding."""


class ScoreTokens(PipelineStep):
    """Adds `token_ids`, `token_starts`, `token_ends` and `<behaviour>_influence` to every document's metadata.

    Lists of plain numbers, one a token, so that any writer can store them; empty for an empty text. Documents whose
    metadata gives them no weight (`ChooseDocuments`) have None in place of influence. Where documents
    are messages (`settings.on`), `loss_mask` too. The model is loaded once a process, at the first document.

    Args:
        settings: see `ScoreSettings`; or `MarkSettings` of another annotator, whose marks are stored as influence is.
        with_loss: also add `loss`, each token's own loss in nats.
        pulse: progress within the shards of `ReadShards`, watched by the recipe.
        kept: where groups of the shards of `ReadShards` are kept until `WriteScores` has all of a shard, and found
            again by a step that does the work of one that was stopped.
    """

    name = "🧲 Token influence"
    type = "🧮 - SCORER"
    _requires_dependencies = ("torch", "transformers", "kronfluence")

    def __init__(
        self,
        settings: Settings,
        with_loss: bool = False,
        pulse: Pulse | None = None,
        kept: KeptGroups | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.with_loss = with_loss
        self.pulse = pulse
        self.kept = kept

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """The same documents in the same order."""
        for group, is_last in _groups(data):
            with self.track_time("group"):
                scored = self._find(group) or self._score(_loaded(self.settings), group, is_last)
                scored.attach(group)
            for label, value in vars(scored.work).items():
                self.stat_update(label, value=value, unit="group")
            yield from group

    def _find(self, group: list[Document]) -> ScoredGroup | None:
        """What a step that was stopped has kept; its work counts here, since no table has it yet."""
        found = None if self.kept is None else self.kept.find(group)
        if found is not None:
            self._on_batch(group, tokens=0)  # done, in no time
        return found

    def _score(self, loaded: Loaded, group: list[Document], is_last: bool) -> ScoredGroup:
        encodings = loaded.encode([document.text for document in group], [document.id for document in group])
        scored = np.array([document.metadata.get(WEIGHT, 1) > 0 for document in group])
        chosen = [encoding for encoding, wanted in zip(encodings, scored, strict=True) if wanted]
        names = [document.id for document, wanted in zip(group, scored, strict=True) if wanted]
        on_batch = self._on_batch(group, sum(map(len, chosen)))
        found, work = loaded.score(chosen, names, on_batch)
        scores = _beside(encodings, scored, found)
        columns: dict[str, list[NDArray[Any]]] = {
            TOKEN_IDS: [encoding.token_ids for encoding in encodings],
            TOKEN_STARTS: [encoding.starts for encoding in encodings],
            TOKEN_ENDS: [encoding.ends for encoding in encodings],
        }
        for number, behaviour in enumerate(loaded.behaviours):
            columns[influence_column(behaviour)] = [of_document.influence[number] for of_document in scores]
        if self.settings.on is not None:
            columns[LOSS_MASK] = [encoding.loss_mask for encoding in encodings]
        if self.with_loss:
            columns[LOSS] = [of_document.loss for of_document in scores]
        lengths = np.array([len(encoding) for encoding in encodings], np.int64)
        joined = {name: np.concatenate(values) for name, values in columns.items()}
        of_group = ScoredGroup(lengths, joined, work, scored)
        if self.kept is not None and not is_last:
            self.kept.keep(group, of_group)
        return of_group

    def _on_batch(self, group: list[Document], tokens: int) -> Callable[[int], None]:
        if self.pulse is None:
            return lambda tokens: None
        first = group[0].metadata
        return self.pulse.group(first[SHARD], first[ROW], len(group), tokens)


def _beside(
    encodings: Sequence[Encoding], scored: NDArray[np.bool_], found: Sequence[DocumentScores]
) -> list[DocumentScores]:
    """The scores of all documents, of which those that are `scored` were found; NaN is in place of the others'."""
    left = iter(found)
    directions = len(found[0].influence) if found else 1

    def missing(tokens: int) -> DocumentScores:
        return DocumentScores(np.full((directions, tokens), np.nan, np.float32), np.full(tokens, np.nan, np.float32))

    return [
        next(left) if wanted else missing(len(encoding)) for encoding, wanted in zip(encodings, scored, strict=True)
    ]


def _groups(data: Iterable[Document]) -> Iterator[tuple[list[Document], bool]]:
    """Consecutive documents of about `CHARACTERS_PER_GROUP` characters, never of two shards, and whether they are the
    last of their shard. Where a group ends depends on nothing but the documents of its shard."""
    group: list[Document] = []
    characters = 0
    for document in data:
        elsewhere = bool(group) and document.metadata.get(SHARD) != group[0].metadata.get(SHARD)
        if elsewhere or characters >= CHARACTERS_PER_GROUP:
            yield group, elsewhere
            group, characters = [], 0
        group.append(document)
        characters += len(document.text)
    if group:
        yield group, True


@lru_cache(maxsize=1)
def _loaded(settings: Settings) -> Loaded:
    """What `settings` name, kept from task to task of a worker process."""
    if isinstance(settings, ScoreSettings):
        from ifcurate.influence.loading import load_scorer

        return load_scorer(settings)
    from ifcurate.annotators.loading import load_annotator

    return load_annotator(settings)
