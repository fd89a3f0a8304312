"""`ifcurate dpo`: preference learning on pairs of a model's own completions."""

from __future__ import annotations

from ifcurate.cli.declared import declared
from ifcurate.pipelines.dpo_config import DpoConfig


def dpo(settings: DpoConfig) -> None:
    """Train a model on pairs that `ifcurate preferences` made of its completions (DPO), through TRL."""
    from ifcurate.cli.tables import plain_console
    from ifcurate.pipelines.dpo import train_on_pairs

    found = train_on_pairs(settings)
    plain_console().print(
        f"{found.pairs:,} pairs, {found.cut:,} of them with the beginning of the prompt cut, in {found.steps:,} steps "
        f"and {found.seconds:,.0f} s; at the end loss {found.loss:.3f} (0.693 at the start), the chosen completion "
        f"ahead in {found.accuracy:.1%}\n"
        f"model: {settings.out}",
        soft_wrap=True,
    )


command = declared(DpoConfig, dpo, arguments=["model", "pairs"])
