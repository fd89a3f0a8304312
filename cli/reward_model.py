"""`ifcurate reward-model`: a classifier from labelled texts, as a reward model or a judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ifcurate.cli.declared import declared
from ifcurate.pipelines.reward_model_config import RewardModelConfig

if TYPE_CHECKING:
    from ifcurate.pipelines.reward_model import RewardModelSummary


def reward_model(settings: RewardModelConfig) -> None:
    """Fine-tune a classifier on labelled texts: a reward model for RAD, and a judge for `eval`."""
    from ifcurate.pipelines.reward_model import train_reward_model

    _print(train_reward_model(settings), settings)


def _print(found: RewardModelSummary, settings: RewardModelConfig) -> None:
    from ifcurate.cli.tables import plain_console, print_table
    from ifcurate.evaluation.comparison_files import number

    print_table(
        "Reward model on texts held out, 95 % intervals over them",
        ("label", "texts", "base rate", "accuracy", "AUC"),
        [
            [
                found.label,
                f"{found.held_out:,}",
                *(number(interval, 4) for interval in (found.base_rate, found.accuracy, found.auc)),
            ]
        ],
    )
    console = plain_console()
    console.print(
        f"trained on {found.trained:,} texts, {found.positive / found.trained:.2%} of them positive, in "
        f"{found.steps:,} steps and {found.seconds:,.0f} s; longer than it reads: {found.trained_cut:,} of them, "
        f"{found.held_out_cut:,} of those held out; rows with neither label: {found.left_out:,}",
        soft_wrap=True,
    )
    console.print(
        f"model: {settings.out}; as a judge: --classifier hf:{settings.out} --label {found.label}", soft_wrap=True
    )


command = declared(RewardModelConfig, reward_model, arguments=["source"])
