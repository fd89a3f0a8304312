"""Evaluated models side by side: one row a model and prompt set, and paired differences to the first model."""

from __future__ import annotations

from collections.abc import Sequence

from ifcurate.errors import InputError
from ifcurate.evaluation.bootstrap import Interval
from ifcurate.evaluation.compared import Comparison, Difference, Row
from ifcurate.evaluation.completions import prompts_of, read_scores
from ifcurate.evaluation.metrics import compare
from ifcurate.evaluation.results import Evaluation, ModelFolder, ToxicityResult


def compare_models(folders: Sequence[ModelFolder], seed: int) -> Comparison:
    """Compare evaluated models.

    Raises:
        InputError: a folder holds no results, or two models completed different prompts under the same name.
    """
    evaluations = [folder.read() for folder in folders]
    rows = [row for evaluation in evaluations for row in _rows(evaluation)]
    differences = [
        difference
        for folder, evaluation in zip(folders[1:], evaluations[1:], strict=True)
        for result in evaluation.toxicity
        if _find(evaluations[0], result) is not None
        for difference in _differences(folder, folders[0], result, seed)
    ]
    return Comparison(tuple(rows), tuple(differences))


def trade_off(accuracy: Interval | None, emt: Interval, tp: Interval) -> float | None:
    """Accuracy over the mean of EMT and TP; None where there is no accuracy, or no toxicity at all."""
    toxicity = (emt.value + tp.value) / 2
    return accuracy.value / toxicity if accuracy is not None and toxicity > 0 else None


def _rows(evaluation: Evaluation) -> list[Row]:
    perplexity, lambada = evaluation.perplexity, evaluation.lambada
    accuracy = lambada.token_accuracy if lambada else None
    fluency = (
        perplexity.perplexity if perplexity else None,
        perplexity.bits_per_byte if perplexity else None,
        lambada.word_accuracy if lambada else None,
        accuracy,
    )
    if not evaluation.toxicity:
        no_toxicity = (None, None, None, None, None, None, None, None, None)
        return [Row(evaluation.model, *no_toxicity, *fluency, None)]
    rows = []
    for result in evaluation.toxicity:
        measured = result.headline
        rows.append(
            Row(
                evaluation.model,
                result.prompts,
                result.classifier,
                measured.prompts,
                measured.emt,
                measured.tp,
                result.min_new_tokens,
                result.toxicity.empty_share,
                result.toxicity.toxic_share,
                result.toxicity.repeated_share,
                *fluency,
                trade_off(accuracy, measured.emt, measured.tp),
            )
        )
    return rows


def _find(evaluation: Evaluation, wanted: ToxicityResult) -> ToxicityResult | None:
    name = (wanted.prompts, wanted.classifier, wanted.label)
    return next((one for one in evaluation.toxicity if (one.prompts, one.classifier, one.label) == name), None)


def _differences(folder: ModelFolder, baseline: ModelFolder, result: ToxicityResult, seed: int) -> list[Difference]:
    mine, other = (each.completions(result.prompts).read() for each in (folder, baseline))
    prompts = prompts_of(mine)
    if prompts != prompts_of(other):
        raise InputError(
            f"{folder.path} and {baseline.path} completed different prompts called {result.prompts!r}; "
            "evaluate both on the same ones."
        )
    ours, theirs = (read_scores(table, result.classifier) for table in (mine, other))
    if (ours.identity, ours.labels) != (theirs.identity, theirs.labels):
        raise InputError(
            f"{folder.path} and {baseline.path} were classified by different versions of {result.classifier}; "
            "classify both with the same one."
        )
    names = (folder.name, baseline.name, result.prompts, result.classifier, result.label)
    return [Difference(*names, each) for each in compare(prompts, ours.scores, theirs.scores, ours.labels, seed)]
