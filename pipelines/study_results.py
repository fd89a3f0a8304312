"""The rows of a study's results, read from the pieces that are made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ifcurate.evaluation.attacks import AttackResult
from ifcurate.evaluation.bootstrap import Interval
from ifcurate.evaluation.completions import is_empty, prompts_of, read_scores
from ifcurate.evaluation.results import Evaluation
from ifcurate.pipelines.study_shared_prompts import read_shared
from ifcurate.pipelines.study_workplace import Workplace
from ifcurate.pipelines.train import METRICS_FILE
from ifcurate.selection.repetition import NGRAM
from ifcurate.studies.arm_pieces import ArmPieces
from ifcurate.studies.columns import Extra
from ifcurate.studies.impartial import partial_judges
from ifcurate.studies.order import placed
from ifcurate.studies.pieces import Piece
from ifcurate.studies.results import Results, Row, Verdict, difference, over_seeds, verdict
from ifcurate.studies.shared_prompts import SharedPrompts
from ifcurate.training.repetition import repeated_share

BOOTSTRAP_SEED = 42
"""That of `ifcurate eval`."""


def results_of(workplace: Workplace, left_out: Sequence[str] = ()) -> Results:
    """A row for every arm of which a seed is measured, and set of prompts."""
    study, layout = workplace.study, workplace.layout
    rows: list[Row] = []
    for name, seeds in layout.arms.items():
        finished = _finished(name, workplace)
        if finished:
            rows += _rows(name, finished, len(seeds), workplace)
    notes = [shared.sentence for shared in shared_prompts_of(workplace)]
    return Results(study.title, study.behaviour, list(study.judges), placed(rows), left_out, notes)


def shared_prompts_of(workplace: Workplace) -> list[SharedPrompts]:
    """The counts of prompts that annotations have seen; none where there is no annotation, or nothing was counted."""
    piece = workplace.layout.shared_prompts
    if piece is None or workplace.record(piece) is None:
        return []
    return read_shared(workplace.folder(piece))


def _rows(name: str, arms: Sequence[ArmPieces], of_seeds: int, workplace: Workplace) -> list[Row]:
    evaluations = [_evaluation(arm.fluency, workplace) for arm in arms]
    attacks = [_attacks(arm, workplace) for arm in arms]
    columns = workplace.study.columns_of(name)  # times are in the results only where they are asked for
    perplexities = [each.perplexity if each else None for each in evaluations]
    lambadas = [each.lambada if each else None for each in evaluations]
    trained = arms[0].model is not None
    marked_share, loss_marked = _learned(arms, workplace)
    rows = []
    for prompts in workplace.study.prompts:
        completions = [_texts(arm.completions[prompts], prompts, workplace) for arm in arms]
        empty = [[[is_empty(text) for text in texts] for texts in seed] for seed in completions]
        words = [[text.split() for texts in seed for text in texts] for seed in completions]
        rows.append(
            Row(
                arm=name,
                prompts=prompts,
                seeds=len(arms) if trained else None,
                of_seeds=of_seeds if trained else None,
                verdicts=_verdicts(arms, prompts, workplace),
                empty_share=float(np.mean(empty)),
                silent_prompts=float(np.mean(np.all(empty, axis=2))),
                repeated_share=float(np.mean([repeated_share(seed, NGRAM) for seed in words])),
                perplexity=over_seeds([each.perplexity if each else None for each in perplexities]),
                packed=over_seeds([each.packed.perplexity if each and each.packed else None for each in evaluations]),
                bits_per_byte=over_seeds([each.bits_per_byte if each else None for each in perplexities]),
                token_accuracy=over_seeds([each.token_accuracy if each else None for each in lambadas]),
                word_accuracy=over_seeds([each.word_accuracy if each else None for each in lambadas]),
                attacked=over_seeds([each.success if each else None for each in attacks]),
                not_attacked=over_seeds([each.before if each else None for each in attacks]),
                recognition=over_seeds([_recognition(arm, workplace) for arm in arms]),
                attribution_seconds=_attribution_seconds(arms[0], workplace) if "attribution" in columns else None,
                step_seconds=_step_seconds(arms, workplace) if "step" in columns else None,
                marked_share=marked_share,
                loss_marked=loss_marked,
            )
        )
    return rows


def _verdicts(arms: Sequence[ArmPieces], prompts: str, workplace: Workplace) -> dict[str, Verdict]:
    """Of every judge, over the finished seeds; a model without a word has none."""
    partial = partial_judges(workplace.study, arms[0], workplace.layout.judges)
    baseline = _finished(workplace.study.baseline, workplace)
    unfair = partial_judges(workplace.study, baseline[0], workplace.layout.judges) if baseline else {}
    toxic = _toxic_prompts(arms[0].completions[prompts], prompts, workplace)
    found = {}
    for name in workplace.study.judges:
        scores = [_scores(arm.completions[prompts], prompts, name, workplace) for arm in arms]
        judged = verdict(scores, BOOTSTRAP_SEED, toxic)
        if judged is None:
            continue
        compared = None
        if baseline and name not in unfair and not _same(arms, baseline):
            others = [_scores(arm.completions[prompts], prompts, name, workplace) for arm in baseline]
            compared = difference(scores, others, BOOTSTRAP_SEED)
        found[name] = replace(judged, difference=compared, partial=partial.get(name))
    return found


def _finished(name: str | None, workplace: Workplace) -> list[ArmPieces]:
    """The seeds of an arm that are measured."""
    seeds = [] if name is None else workplace.layout.arms[name]
    return [arm for arm in seeds if all(workplace.record(piece) for piece in arm.rows_of)]


def _same(arms: Sequence[ArmPieces], others: Sequence[ArmPieces]) -> bool:
    return [arm.rows_of for arm in arms] == [arm.rows_of for arm in others]


def _scores(piece: Piece, prompts: str, judge: str, workplace: Workplace) -> NDArray[np.float32]:
    """Of one judge, float32 [prompts, completions]; NaN where a completion is empty."""
    record = workplace.record(piece)
    table = workplace.results(piece).completions(prompts).read()
    if record is None or record.silent:
        return np.full((table.num_rows, len(table["completions"][0])), np.nan, np.float32)
    return read_scores(table, record.judged[judge].column).scores[:, :, 0]


def _toxic_prompts(piece: Piece, prompts: str, workplace: Workplace) -> NDArray[np.bool_]:
    table = workplace.results(piece).completions(prompts).read()
    return np.array([prompt.toxic is True for prompt in prompts_of(table)], np.bool_)


def _texts(piece: Piece, prompts: str, workplace: Workplace) -> list[list[str]]:
    table = workplace.results(piece).completions(prompts).read()
    return [list(texts) for texts in table["completions"].to_pylist()]


def _evaluation(piece: Piece | None, workplace: Workplace) -> Evaluation | None:
    """What an evaluation found; None where there is none."""
    return None if piece is None else workplace.results(piece).read()


def _extra(arm: ArmPieces, extra: Extra, workplace: Workplace) -> Evaluation | None:
    """What an evaluation found that rows do not wait for; None where it is not made, or not asked for."""
    piece = arm.extras.get(extra)
    return None if piece is None or workplace.record(piece) is None else workplace.results(piece).read()


def _attacks(arm: ArmPieces, workplace: Workplace) -> AttackResult | None:
    found = _extra(arm, "attack", workplace)
    return None if found is None else found.attacks


def _recognition(arm: ArmPieces, workplace: Workplace) -> Interval | None:
    found = _extra(arm, "recognition", workplace)
    return None if found is None else next((each.auc for each in found.recognition.values()), None)


def _attribution_seconds(arm: ArmPieces, workplace: Workplace) -> float | None:
    """What the annotations took that the arm is made from; one that began with another's scores took its own part."""
    pieces = {piece.key: piece for piece in arm.pieces if piece.kind == "annotation"}
    records = [workplace.record(piece) for piece in pieces.values()]
    return sum(record.seconds for record in records if record is not None) if records else None


def _metrics(arms: Sequence[ArmPieces], workplace: Workplace) -> list[dict[str, Any]]:
    """What the trainings on the corpus say of themselves."""
    files = [workplace.folder(arm.training) / METRICS_FILE for arm in arms if arm.training is not None]
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def _step_seconds(arms: Sequence[ArmPieces], workplace: Workplace) -> float | None:
    """None where the process that ended a training did no step of it."""
    tokens = [workplace.settings(arm.training).tokens_per_step for arm in arms if arm.training is not None]
    speeds = [each["tokens_per_second"] for each in _metrics(arms, workplace)]
    return float(np.mean(np.divide(tokens, speeds))) if speeds and all(speeds) else None


def _learned(arms: Sequence[ArmPieces], workplace: Workplace) -> tuple[float | None, float | None]:
    """Share and loss of marked tokens, as the trainings say, mean over seeds."""
    if arms[0].annotation is None:
        return None, None
    metrics = _metrics(arms, workplace)
    losses = [each["loss_marked"] for each in metrics]
    share = float(np.mean([sum(each["marked_shares"].values()) for each in metrics]))
    return share, None if None in losses else float(np.mean(losses))
