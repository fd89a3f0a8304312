"""What a study found: a row an arm and set of prompts, with the verdict of every judge, over all seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ifcurate.evaluation.bootstrap import Interval, Values, crossed_intervals
from ifcurate.evaluation.metrics import TOXIC_FROM, Scores, prompt_values


@dataclass(frozen=True)
class Verdict:
    """What one judge says of one arm on one set of prompts; intervals are over prompts and seeds.

    Attributes:
        emt: expected maximum toxicity, of the prompts that got a completion with text.
        tp: share of those prompts with a toxic completion.
        toxic_share: share of the completions with text that are toxic.
        emt_toxic: `emt` of the prompts that are toxic themselves; None where nothing is known of that.
        tp_toxic: the same of `tp`.
        difference: `tp` minus that of the study's baseline, prompt by prompt; None without one.
        partial: why the judge does not count for this arm; None where it does.
        place: among the arms that it counts for, by `tp`, the lowest first; None where it does not count.
    """

    emt: Interval
    tp: Interval
    toxic_share: float
    emt_toxic: Interval | None = None
    tp_toxic: Interval | None = None
    difference: Interval | None = None
    partial: str | None = None
    place: int | None = None


@dataclass(frozen=True)
class Row:
    """One arm on one set of prompts.

    Attributes:
        arm: its name.
        prompts: name of the set.
        seeds: trainings that are finished, None for a model that is not trained.
        of_seeds: trainings that the study asks for.
        verdicts: by judge.
        empty_share: share of the completions without text, mean over seeds.
        silent_prompts: share of the prompts with nothing but such completions.
        repeated_share: share of the completions' 4-grams of words that are repeated.
        perplexity: of held-out text; mean over seeds, within the widest of their intervals over documents.
        packed: of the same text, joined and cut into chunks, the same.
        bits_per_byte: the same.
        token_accuracy: of LAMBADA's last token, the same.
        word_accuracy: of LAMBADA's last word, the same.
        attacked: share of attacked prompts with a toxic completion, mean over seeds, within the widest of their
            intervals over prompts.
        not_attacked: of the same prompts without a suffix.
        recognition: AUC of the odds of two answers, when it is asked; over labelled texts, the same.
        attribution_seconds: that the annotations it is made from took here, each once; None where it has none.
        step_seconds: of its training on the corpus, mean over seeds.
        marked_share: of the tokens that were trained on.
        loss_marked: nats, of marked tokens at the end of the training, mean over seeds.
    """

    arm: str
    prompts: str
    seeds: int | None
    of_seeds: int | None
    verdicts: Mapping[str, Verdict]
    empty_share: float
    silent_prompts: float
    repeated_share: float
    perplexity: Interval | None = None
    packed: Interval | None = None
    bits_per_byte: Interval | None = None
    token_accuracy: Interval | None = None
    word_accuracy: Interval | None = None
    attacked: Interval | None = None
    not_attacked: Interval | None = None
    recognition: Interval | None = None
    attribution_seconds: float | None = None
    step_seconds: float | None = None
    marked_share: float | None = None
    loss_marked: float | None = None


@dataclass(frozen=True)
class Results:
    """All rows, in the order of the arms, and what is to be known beside them.

    Attributes:
        title: of the study.
        behaviour: what was marked and judged.
        judges: names, in order.
        rows: of arms of which a seed is finished.
        left_out: sentences: arms or judges that could not be had, and why.
        notes: sentences: what was counted that readers should know.
    """

    title: str | None
    behaviour: str
    judges: Sequence[str]
    rows: Sequence[Row]
    left_out: Sequence[str] = ()
    notes: Sequence[str] = field(default_factory=tuple)


def verdict(scores: Sequence[Scores], seed: int, toxic: NDArray[np.bool_] | None = None) -> Verdict | None:
    """What a judge's scores say, over all seeds; None where no completion has any text.

    Args:
        scores: of each seed, float32 [prompts, completions], NaN where a completion is empty.
        seed: of the bootstrap.
        toxic: which prompts are toxic themselves; None where nothing is known of that.
    """
    values = _by_prompt(scores)
    found = _over_prompts(values, seed)
    if found is None:
        return None
    emt, tp = found
    of_toxic = None if toxic is None or not toxic.any() else _over_prompts(values[:, toxic], seed)
    emt_toxic, tp_toxic = of_toxic or (None, None)
    spoken = np.concatenate([each[~np.isnan(each)] for each in scores])
    return Verdict(emt, tp, float((spoken >= TOXIC_FROM).mean()), emt_toxic, tp_toxic)


def difference(scores: Sequence[Scores], baseline: Sequence[Scores], seed: int) -> Interval | None:
    """Share of toxic prompts minus that of `baseline`, over prompts that both answered, paired by prompt and seed.

    None where the two have other numbers of seeds, and the baseline not one for all, or no prompt is answered by both.
    """
    if len(baseline) not in (1, len(scores)):
        return None
    found = _over_prompts(_by_prompt(scores) - _by_prompt(baseline), seed)
    return None if found is None else found[1]


def _by_prompt(scores: Sequence[Scores]) -> Values:
    """Highest score, and whether it is toxic, [seeds, prompts, 2]; NaN where a prompt is not answered."""
    return np.stack([prompt_values(each[:, :, None]) for each in scores])


def _over_prompts(values: Values, seed: int) -> tuple[Interval, Interval] | None:
    answered = ~np.isnan(values[:, :, 0])
    if not answered.any():
        return None
    first, second = crossed_intervals(np.nan_to_num(values), answered.astype(np.float64), seed)
    return first, second


def over_seeds(intervals: Sequence[Interval | None]) -> Interval | None:
    """The mean over seeds, within the widest of their intervals; None where a seed has none."""
    known = [each for each in intervals if each is not None]
    if not known or len(known) < len(intervals):
        return None
    mean = float(np.mean([each.value for each in known]))
    return Interval(mean, min(each.low for each in known), max(each.high for each in known))
