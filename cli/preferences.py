"""`ifcurate preferences`: pairs for DPO, of a model's own completions."""

from __future__ import annotations

from ifcurate.cli.declared import declared
from ifcurate.pipelines.preferences_config import PreferencesConfig


def preferences(settings: PreferencesConfig) -> None:
    """Complete training prompts with a model and pair the least and the most toxic completion of each, for DPO."""
    from ifcurate.cli.tables import plain_console
    from ifcurate.launch import is_first_process
    from ifcurate.pipelines.preferences import make_preferences

    made = make_preferences(settings)
    if not is_first_process():
        return
    plain_console().print(
        f"{len(made.found.pairs):,} pairs of {made.prompts:,} prompts, judged by {made.classifier}; without a pair: "
        f"{made.found.alike:,} whose completions are alike, {made.found.silent:,} with fewer than two that have text\n"
        f"pairs: {made.file}",
        soft_wrap=True,
    )


command = declared(PreferencesConfig, preferences, arguments=["model"])
