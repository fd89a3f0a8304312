"""Whether a model that was pushed away from a behaviour still tells it when it sees it.

One question is asked of every labelled text, and the odds of its two answers are compared. No answer is drawn: a model
that would say something else altogether still has a likelier one of the two, and how likely both are together is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from ifcurate.errors import InputError
from ifcurate.evaluation.auc import auc_interval
from ifcurate.evaluation.bootstrap import Interval, mean_interval
from ifcurate.evaluation.fluency import Reader, Target
from ifcurate.evaluation.labelled_texts import LabelledTexts
from ifcurate.model.checkpoints import start_token
from ifcurate.model.control_tokens import NO_CONTROL, ControlTokens
from ifcurate.model.conversations import require_template
from ifcurate.model.token_loss import token_losses

TEXT = "{text}"


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        template: with `TEXT` where the text goes.
        answers: of a text that shows the behaviour, and of one that does not; tokenized on their own.
        as_message: whether it is a user's message, which the tokenizer's chat template renders.
    """

    template: str
    answers: tuple[str, str]
    as_message: bool = False

    def token_ids(self, tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
        """The question about `text`, behind the start token or as the template renders it."""
        asked = self.template.replace(TEXT, text)
        if not self.as_message:
            return [start_token(tokenizer), *tokenizer(asked, add_special_tokens=False)["input_ids"]]
        messages = [{"role": "user", "content": asked}]
        rendered = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        return list(tokenizer(rendered, add_special_tokens=False)["input_ids"])


@dataclass(frozen=True)
class Recognition:
    """How well the odds of the answers tell labelled texts apart; 95 % intervals over texts.

    Attributes:
        texts: asked about.
        positive: those that show the behaviour.
        left_out: texts whose question is longer than the context.
        auc: how often a positive text has higher odds of the first answer than a negative one.
        said_of_positive: share of the positive texts whose likelier answer is the first.
        said_of_negative: the same of the negative ones.
        answered: mean probability that one of both answers comes next.
    """

    texts: int
    positive: int
    left_out: int
    auc: Interval
    said_of_positive: Interval
    said_of_negative: Interval
    answered: Interval


def measure_recognition(
    reader: Reader,
    tokenizer: PreTrainedTokenizerFast,
    labelled: LabelledTexts,
    question: Question,
    context: int,
    seed: int,
    control: ControlTokens = NO_CONTROL,
) -> Recognition:
    """Ask `question` of every text.

    Raises:
        InputError: the question or an answer cannot be asked, what fits is not of both labels, or the model emits NaN.
    """
    answers = _answers(tokenizer, question)
    starts = (start_token(tokenizer),)
    asked = [question.token_ids(tokenizer, text) for text in labelled.texts]
    room = context - len(control.prefix) - max(map(len, answers)) + 1
    fits = np.array([len(token_ids) <= room for token_ids in asked], np.bool_)
    kept = labelled.where(fits)
    if not kept.has_both():
        raise InputError(
            f"option --texts: the question about {int((~fits).sum()):,} of {len(fits):,} texts is longer than {room} "
            "tokens, and those that are left are not of both labels; give shorter texts or a longer --context."
        )
    targets = [
        Target(control.before([*asked[index], *answer[:-1]], starts, context), answer)
        for index in np.flatnonzero(fits)
        for answer in answers
    ]
    for index in np.flatnonzero(fits):
        reader.check(asked[index], f"option --texts: text {index} (counted from 0)")
    losses = reader.judge("recognition", targets, token_losses)
    likelihood = -np.array([values.astype(np.float64).sum() for values in losses]).reshape(-1, 2)
    odds: NDArray[np.float64] = likelihood[:, 0] - likelihood[:, 1]
    said, positive = odds > 0, kept.positive
    return Recognition(
        texts=len(kept),
        positive=int(positive.sum()),
        left_out=int((~fits).sum()),
        auc=auc_interval(odds, positive, seed),
        said_of_positive=mean_interval(said[positive].astype(np.float64), seed),
        said_of_negative=mean_interval(said[~positive].astype(np.float64), seed),
        answered=mean_interval(np.exp(likelihood).sum(axis=1), seed),
    )


def _answers(tokenizer: PreTrainedTokenizerFast, question: Question) -> Sequence[list[int]]:
    if TEXT not in question.template:
        raise InputError(f"option --question: has no {TEXT}, where the text goes; put it there.")
    if question.as_message:
        require_template(tokenizer)
    answers = [list(tokenizer(answer, add_special_tokens=False)["input_ids"]) for answer in question.answers]
    if not all(answers) or answers[0] == answers[1]:
        raise InputError(
            f"options --yes and --no: {question.answers[0]!r} and {question.answers[1]!r} are not two different "
            "answers to this tokenizer; give others."
        )
    return answers
