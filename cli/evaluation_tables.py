"""What an evaluation or a verification found, as tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ifcurate.cli.tables import plain_console, print_table
from ifcurate.evaluation.compared import Comparison
from ifcurate.evaluation.comparison_files import (
    DIFFERENCE_HEADINGS,
    HEADINGS,
    difference_cells,
    number,
    percent,
    share,
    table_cells,
)
from ifcurate.evaluation.results import Evaluation, ModelFolder, ToxicityResult
from ifcurate.launch import is_first_process

if TYPE_CHECKING:
    from ifcurate.evaluation.retraining import Rise
    from ifcurate.pipelines.activations import FoundActivations
    from ifcurate.pipelines.verify import Verification


def print_toxicity(folders: Sequence[ModelFolder]) -> None:
    """EMT and TP of every subset and label, and what was left out."""
    if not is_first_process():
        return
    for folder in folders:
        evaluation = folder.read()
        for result in evaluation.toxicity:
            _print_result(evaluation, result)


def print_fluency(folders: Sequence[ModelFolder]) -> None:
    """Perplexity, bits per byte and LAMBADA of each model, how they were measured, and the harness's tasks."""
    if not is_first_process():
        return
    evaluations = [folder.read() for folder in folders]
    print_table(
        "Fluency",
        ("model", "perplexity", "packed", "bits/byte", "LAMBADA word %", "LAMBADA token %"),
        [_fluency_cells(evaluation) for evaluation in evaluations],
    )
    console = plain_console()
    for evaluation in evaluations:
        for line in _fluency_notes(evaluation):
            console.print(line, soft_wrap=True)


def print_recognition(folders: Sequence[ModelFolder]) -> None:
    """How well each model tells labelled texts apart when it is asked."""
    if not is_first_process():
        return
    asked = [(folder.name, name, found) for folder in folders for name, found in folder.read().recognition.items()]
    rows = [
        [model, name, f"{found.positive:,} of {found.texts:,}", number(found.auc, 3)]
        + [percent(share) for share in (found.said_of_positive, found.said_of_negative, found.answered)]
        for model, name, found in asked
    ]
    headings = ("model", "texts", "positive", "AUC", "yes of positive %", "yes of negative %", "either answer %")
    print_table("Recognition", headings, rows)
    for model, name, found in asked:
        if found.left_out:
            plain_console().print(f"{model}: {name}: {found.left_out:,} texts are longer than the context, left out")


def print_attacks(folders: Sequence[ModelFolder]) -> None:
    """How often suffixes led to toxic completions, and how near to their targets."""
    found = [(folder.name, result) for folder in folders if (result := folder.read().attacks) is not None]
    rows = [
        [
            name,
            str(result.prompts),
            *(number(share, 2) for share in (result.success, result.before, result.reached)),
            *(f"{loss:.2f}" for loss in (result.loss_before, result.loss_after)),
        ]
        for name, result in found
    ]
    headings = ("model", "prompts", "success", "without suffix", "target reached", "target's loss", "with suffix")
    print_table("Attacks (GCG)", headings, rows)
    for name, result in found:
        plain_console().print(
            f"{name}: {result.steps:,} steps of {result.width:,} exchanges; success: the greedy completion is toxic to "
            f"{result.classifier}",
            soft_wrap=True,
        )


def print_activations(found: FoundActivations) -> None:
    """Of each block how well it tells the behaviour, how long its difference is, and the tokens that this leads to."""
    facts, lengths = found.activations.facts, found.activations.differences.norm(dim=1).tolist()
    rows = [
        [str(block), number(separation, 3), f"{length:.3g}", " ".join(repr(token) for token in tokens)]
        for block, (separation, length, tokens) in enumerate(
            zip(facts.separation, lengths, found.promoted, strict=True)
        )
    ]
    print_table(f"{facts.behaviour} in the activations", ("block", "AUC", "difference", "leads to"), rows)
    plain_console().print(
        f"made of {facts.queries:,} queries and {facts.contrast:,} of the contrast, told apart on as many others; "
        f"clearest: block {found.activations.clearest}\nactivations: {found.folder}",
        soft_wrap=True,
    )


def print_skipped(folders: Sequence[ModelFolder]) -> None:
    """What an evaluation of everything left out, once each."""
    if is_first_process():
        for sentence in dict.fromkeys(sentence for folder in folders for sentence in folder.read().skipped):
            plain_console().print(f"skipped: {sentence}", soft_wrap=True)


def print_comparison(comparison: Comparison) -> None:
    """The table with the trade-off, and the paired differences."""
    print_table("Comparison", HEADINGS, [table_cells(row) for row in comparison.rows])
    if comparison.differences:
        print_table("Paired differences", DIFFERENCE_HEADINGS, difference_cells(comparison))


def _print_result(evaluation: Evaluation, result: ToxicityResult) -> None:
    rows = [
        [m.subset, m.label, f"{m.prompts:,}", number(m.emt, 3), number(m.tp, 3)] for m in result.toxicity.measurements
    ]
    title = f"{evaluation.model} on {result.prompts}, {result.completions} completions, {result.classifier}"
    print_table(title, ("prompts", "label", "count", "EMT", "TP"), rows)
    console = plain_console()
    toxicity = result.toxicity
    console.print(
        f"{share(toxicity.empty_share)} % of the completions are empty, {share(toxicity.toxic_share)} % of the others "
        f"toxic; {share(toxicity.repeated_share)} % of their 4-grams of words are repeated; "
        f"first tokens that could not be the end: {result.min_new_tokens}",
        highlight=False,
        soft_wrap=True,
    )
    if toxicity.empty_completions:
        console.print(
            f"{toxicity.empty_completions:,} completions are empty; {toxicity.silent_prompts:,} prompts have no other "
            "and are left out of EMT and TP",
            highlight=False,
            soft_wrap=True,
        )
    generation = evaluation.generations.get(result.prompts)
    if generation is None:
        return
    if generation.prompts_cut:
        console.print(f"{generation.prompts_cut:,} prompts lost their beginning to fit the context")
    speed = generation.speed
    console.print(
        f"generated {speed.items:,} completions in {speed.seconds:,.1f} s: {speed.rate:,.0f} completions/s",
        highlight=False,
    )


def _fluency_cells(evaluation: Evaluation) -> list[str]:
    perplexity, packed, lambada = evaluation.perplexity, evaluation.packed, evaluation.lambada
    return [
        evaluation.model,
        number(perplexity.perplexity if perplexity else None, 2),
        number(packed.perplexity if packed else None, 2),
        number(perplexity.bits_per_byte if perplexity else None, 4),
        percent(lambada.word_accuracy if lambada else None),
        percent(lambada.token_accuracy if lambada else None),
    ]


def _fluency_notes(evaluation: Evaluation) -> Iterable[str]:
    perplexity, lambada = evaluation.perplexity, evaluation.lambada
    if perplexity is not None:
        yield (
            f"{evaluation.model}: {perplexity.tokens:,} tokens of {perplexity.documents:,} documents "
            f"({perplexity.empty_documents:,} empty), windows of {perplexity.context:,} tokens, "
            f"stride {perplexity.stride:,}"
        )
    if (packed := evaluation.packed) is not None:
        yield f"{evaluation.model}: packed: {packed.tokens:,} tokens in {packed.chunks:,} chunks of {packed.context:,}"
    if lambada is not None:
        yield f"{evaluation.model}: {lambada.passages:,} passages, {lambada.passages_cut:,} cut to the context"
    for task, metrics in evaluation.tasks.items():
        values = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items() if isinstance(value, float))
        yield f"{evaluation.model}: {task}: {values}"


def print_verification(verification: Verification) -> None:
    """The rises of the loss, what was trained and left out, and what it cost."""
    found = verification
    print_table(
        "Rise of the loss where tokens are left out of training, in nats per token",
        ("held-out text", "texts", "tokens", "loss", "marked", "random", "marked - random"),
        [_rise_cells(f"{found.behaviour} queries", found.queries), _rise_cells("ordinary text", found.ordinary)],
    )
    console = plain_console()
    for line in _verification_notes(found):
        console.print(line, soft_wrap=True)


def _rise_cells(name: str, found: Rise) -> list[str]:
    rises = (number(rise, 4) for rise in (found.marked, found.random, found.difference))
    return [name, f"{found.texts:,}", f"{found.tokens:,}", number(found.loss, 3), *rises]


def _verification_notes(found: Verification) -> Iterable[str]:
    yield (
        f"left out: {found.marked:,} of {found.tokens:,} tokens ({found.marked / found.tokens:.2%}), marked or as many "
        f"unmarked ones at random; {3 * found.seeds} models, {found.steps:,} steps each; positive: predicted worse "
        f"without them; 95 % intervals over texts{f' and {found.seeds} seeds' if found.seeds > 1 else ', of one seed'}"
    )
    unknown = [reason for reason, count in found.left_out.items() if count is None]
    counted = [f"{count:,} {reason}" for reason, count in found.left_out.items() if count]
    if counted:
        yield f"queries not measured on: {', '.join(counted)}"
    if unknown:
        yield f"queries not checked: whether any is {', '.join(unknown)}, which the run does not name"
    if found.repeated:
        yield f"{found.repeated:,} ordinary documents are trained on or came twice, and are left out"
    verdict = "is not told from that of others: give more --rows, --steps or --seeds, or a better direction"
    if found.queries.difference.excludes_zero():
        more = found.queries.difference.value > 0
        verdict = f"teaches {found.behaviour} {'more' if more else 'less'} than training on others"
    yield f"training on the marked tokens {verdict}"
    yield f"cost: {found.seconds:,.0f} s, {found.tokens_trained:,} tokens trained on by {3 * found.seeds} models"
