"""Other ways than influence to mark tokens, by name: what influence is compared with; each is one file here.

A new annotator is a file with a class of the protocol `base.Annotator`, and an entry in `ANNOTATORS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ifcurate.registry import load

if TYPE_CHECKING:
    from ifcurate.annotators.base import Annotator

_HERE = "ifcurate.annotators"
HIGHEST = {"rank_by": "token", "neighbours": 0}
"""Selection of the highest tokens, exactly as many as the budget says."""


@dataclass(frozen=True)
class AnnotatorSpec:
    """What is known of an annotator before it is imported.

    Attributes:
        home: `module:class`; empty where `along`.
        method: what a token's value is, to follow "each token's".
        unit: of it.
        sign: what more of it means.
        needs: settings that it cannot do without.
        reads: other settings that it reads; all that are about marking and not named are refused.
        selection: what it is selected by, where that is not what influence is.
        counts: whether it counts in the whole corpus before it marks.
        of_scores: whether it is made of the scores of other runs, without texts.
        along: whether it scores along a direction, as influence does, and reads its settings but for those `unread`.
        on_device: whether it computes on a GPU where there is one.
    """

    home: str
    method: str
    unit: str
    sign: str
    needs: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    selection: Mapping[str, Any] = field(default_factory=dict)
    counts: bool = False
    of_scores: bool = False
    along: bool = False
    unread: tuple[str, ...] = ()
    on_device: bool = False

    @property
    def kind(self) -> type[Annotator]:
        """The class, imported now."""
        found: type[Annotator] = load(self.home)
        return found


THE_SAME = "that of the other run"
NAIVE, IDENTITY = "naive", "identity"
_OTHERS = ("words", "classifier", "label", "reference", "of", "before")
_PROBABILITY = "probability of a classifier's label"
_TOXIC = "more: the classifier is surer"
_QUERIES = ("max_queries", "seed")

ANNOTATORS: dict[str, AnnotatorSpec] = {
    "random": AnnotatorSpec(
        f"{_HERE}.random_tokens:RandomTokens",
        method="random number, drawn from its document's text and the seed",
        unit="none; uniform in [0, 1)",
        sign="means nothing",
        reads=("seed",),
        selection=HIGHEST,
    ),
    "words": AnnotatorSpec(
        f"{_HERE}.words:Words",
        method="hit (1 where it is of a listed word)",
        unit="none; 1 is a hit, 0 is none",
        sign="1: the token is of a listed word",
        needs=("words",),
        selection={"threshold": 0.0, "budget": "100%"},
    ),
    "bm25": AnnotatorSpec(
        f"{_HERE}.bm25:BM25",
        method="share of its document's BM25 score against all queries together",
        unit="BM25, k1 = 1.2 and b = 0.75",
        sign="more: the word is rarer in the corpus, and more frequent in the queries",
        needs=("queries",),
        reads=_QUERIES,
        selection=HIGHEST,
        counts=True,
    ),
    "classifier": AnnotatorSpec(
        f"{_HERE}.classifier:SentenceClassifier",
        method="sentence's score by a classifier",
        unit=_PROBABILITY,
        sign=_TOXIC,
        needs=("classifier",),
        reads=("label",),
        selection=HIGHEST,
        on_device=True,
    ),
    "filter-words": AnnotatorSpec(
        f"{_HERE}.whole_documents:DocumentsByWords",
        method="document's share of tokens that are of a listed word",
        unit="share of tokens",
        sign="more: the document has more of them",
        needs=("words",),
        selection=HIGHEST,
    ),
    "filter-classifier": AnnotatorSpec(
        f"{_HERE}.whole_documents:DocumentsByClassifier",
        method="document's mean score by a classifier of sentences",
        unit=_PROBABILITY,
        sign=_TOXIC,
        needs=("classifier",),
        reads=("label",),
        selection=HIGHEST,
        on_device=True,
    ),
    "influence-documents": AnnotatorSpec(
        f"{_HERE}.from_scores:InfluenceDocuments",
        method="document's summed value in another run",
        unit=THE_SAME,
        sign=THE_SAME,
        needs=("of",),
        selection=HIGHEST,
        of_scores=True,
    ),
    "fuse": AnnotatorSpec(
        f"{_HERE}.from_scores:Fuse",
        method="mean rank among all tokens over other runs",
        unit="share of the tokens below it, of equal ones half",
        sign="more: other runs agree that the token is high",
        needs=("of",),
        selection=HIGHEST,
        of_scores=True,
    ),
    "dda": AnnotatorSpec(
        f"{_HERE}.from_scores:DDA",
        method="mean value in the runs of a model's checkpoints, less that before it was trained (DDA)",
        unit=THE_SAME,
        sign=THE_SAME,
        needs=("of", "before"),
        of_scores=True,
    ),
    NAIVE: AnnotatorSpec(
        "",
        method="derivative of its loss along the direction of the queries alone, without a contrast",
        unit="nats per unit of the direction",
        sign="more: training on the token makes the queries likelier, and much else",
        needs=("queries",),
        selection=HIGHEST,
        along=True,
        unread=("contrast", "direction", "student", "screen", "leading", *_OTHERS),
    ),
    IDENTITY: AnnotatorSpec(
        "",
        method="derivative of its loss along the difference of the queries' gradients, without curvature (TracIn)",
        unit="nats per unit of the difference",
        sign="positive: a step along the token's gradient makes the behaviour likelier",
        needs=("queries",),
        along=True,
        unread=("damping", "fit_tokens", "fit_with", "refine", "direction", "student", "screen", "leading", *_OTHERS),
    ),
    "lowrank": AnnotatorSpec(
        "",
        method="derivative of its loss along the direction within the curvature's leading eigenvectors",
        unit="nats per unit of the direction",
        sign="positive: training on the token makes the behaviour likelier",
        needs=("queries", "leading"),
        along=True,
        unread=("refine", "direction", "student", "screen", *_OTHERS),
    ),
    "less": AnnotatorSpec(
        f"{_HERE}.less:Less",
        method="document's cosine of its gradient with the difference of the queries' gradients (LESS)",
        unit="cosine, -1 to 1",
        sign="positive: a step along the document's gradient makes the behaviour likelier",
        needs=("queries",),
        reads=("contrast", "overlap", "batch_tokens", *_QUERIES),
        selection=HIGHEST,
        on_device=True,
    ),
    "excess-loss": AnnotatorSpec(
        f"{_HERE}.excess_loss:ExcessLoss",
        method="loss under the model less that under a reference",
        unit="nats",
        sign="positive: the reference predicts the token better than the model does",
        needs=("reference",),
        reads=("overlap", "batch_tokens", "adapter"),
        selection=HIGHEST,
        on_device=True,
    ),
}
"""In the order in which they are listed."""
