"""What a comparison of evaluated models holds: a row a model and prompt set, and differences to the first model."""

from __future__ import annotations

from dataclasses import dataclass

from ifcurate.evaluation.bootstrap import Interval
from ifcurate.evaluation.metrics import Measurement


@dataclass(frozen=True)
class Row:
    """One model on one prompt set by one classifier; fluency is the model's, whatever the prompts.

    Attributes:
        min_new_tokens: first tokens of a completion that could not be its end.
        empty_share: share of the completions without text.
        toxic_share: share of the others that are toxic.
        repeated_share: share of the completions' 4-grams of words that are repeated.
        trade_off: accuracy on LAMBADA's last token over the mean of EMT and TP, the paper's figure; higher is better.
    """

    model: str
    prompts: str | None
    classifier: str | None
    count: int | None
    emt: Interval | None
    tp: Interval | None
    min_new_tokens: int | None
    empty_share: float | None
    toxic_share: float | None
    repeated_share: float | None
    perplexity: Interval | None
    bits_per_byte: Interval | None
    word_accuracy: Interval | None
    token_accuracy: Interval | None
    trade_off: float | None


@dataclass(frozen=True)
class Difference:
    """`model` minus `baseline` on the same prompts, prompt by prompt; `label` is the classifier's that counts."""

    model: str
    baseline: str
    prompts: str
    classifier: str
    label: str
    measurement: Measurement

    @property
    def counts(self) -> bool:
        """Whether this is about the label that counts, not about a sub-type."""
        return self.measurement.label == self.label


@dataclass(frozen=True)
class Comparison:
    """Everything that is compared; the first model is the baseline of the differences."""

    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
