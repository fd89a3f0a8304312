"""What an annotator is: texts with their tokens in, one number a token out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ifcurate.corpus.messages import from_text, transcript
from ifcurate.model.stored import AS_IS, Stored
from ifcurate.model.trust import NOBODY, Trust
from ifcurate.model.windows import Encoding

State = dict[str, Any]
"""What an annotator is made of, as JSON holds it: equal states and counts give equal marks."""
PARAMETERS, CONTEXT = "parameters", "context"
"""Keys of the state of an annotator with models: their parameters, which every process holds, and tokens a window."""
Counts = dict[str, int]
"""What it counts in a corpus; counts of its parts add up."""
Marks = list[NDArray[np.float32]]
"""For each document one finite number a token."""


@dataclass(frozen=True)
class ScoredRun:
    """A run whose scores are read: its folder, of which behaviour, the score file of each shard, a hash of them all."""

    root: str
    behaviour: str
    sidecars: tuple[tuple[str, Path], ...]
    scores_hash: str

    def sidecar(self, shard: str) -> Path:
        """The score file of a shard."""
        return dict(self.sidecars)[shard]


@dataclass(frozen=True)
class Asked:
    """What an annotator is asked for, as far as it reads it.

    Attributes:
        words: file of a word list.
        classifier: name of a classifier, and the `label` of it.
        queries: files of queries, and of their `contrast`, of which `max_queries` each are read.
        of: other runs; the last is that of `--before`, where one is needed.
        folder: where the run keeps it.
        seed: of every random choice.
        model: folder or Hub id of the model whose tokens are marked, its `revision` and how it is `stored`.
        reference: another model.
        context: tokens of a window, of which `overlap` are read again; default: the models'.
        batch_tokens: positions a batch, padding included; default: what suits the device.
        device: where a neural model runs.
        trust: what may run code while it is loaded.
    """

    words: str | None = None
    classifier: str | None = None
    label: str | None = None
    queries: tuple[str, ...] = field(default_factory=tuple)
    contrast: tuple[str, ...] = field(default_factory=tuple)
    max_queries: int = 10_000
    of: tuple[ScoredRun, ...] = field(default_factory=tuple)
    folder: Path = Path()
    seed: int = 0
    model: str = ""
    revision: str | None = None
    stored: Stored = AS_IS
    reference: str | None = None
    context: int | None = None
    overlap: int = 0
    batch_tokens: int | None = None
    device: str = "cpu"
    trust: Trust = NOBODY


@dataclass(frozen=True)
class Document(Encoding):
    """A tokenized document with its text, in whose characters the tokens have their ranges; of messages the
    transcript. `scores` are its tokens' in other runs, float32 [tokens] each, for annotators that read these."""

    text: str = ""
    scores: tuple[NDArray[np.float32], ...] = ()


class Annotator(Protocol):
    """Marks tokens; made once a process, from its state and what was counted."""

    @classmethod
    def prepare(cls, asked: Asked) -> State:
        """Read what it is made of.

        Raises:
            InputError: something that was asked for cannot be used.
        """

    @classmethod
    def count(cls, state: State, texts: Sequence[str]) -> Counts:
        """What it has to know of the whole corpus before it marks; empty for most."""

    @classmethod
    def keep(cls, asked: Asked) -> None:
        """Write files of its own into `asked.folder`, which the run keeps; most have none.

        Raises:
            InputError: they cannot be made.
        """

    def __init__(self, state: State, counts: Counts, asked: Asked) -> None: ...

    def marks(self, documents: Sequence[Document]) -> Marks:
        """Depends on each document alone, up to rounding."""

    @property
    def texts_cut(self) -> int:
        """Texts so far of which only the beginning was read."""


class WithoutCounts:
    """Base of annotators that look at each document alone, and at all of it, and keep nothing but their state."""

    texts_cut = 0

    @classmethod
    def count(cls, state: State, texts: Sequence[str]) -> Counts:
        """See `Annotator`."""
        return {}

    @classmethod
    def keep(cls, asked: Asked) -> None:
        """See `Annotator`."""


def read_text(text: str, is_conversation: bool) -> str:
    """The text of a document that is read: of messages, as documents hold them, the transcript."""
    return transcript(from_text(text)).text if is_conversation else text
