"""Recipe of `ifcurate preferences`: a model's own completions, judged, as pairs to learn from (DPO and its kin)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ifcurate.errors import InputError
from ifcurate.evaluation.completions import read_scores
from ifcurate.evaluation.config import ToxicityConfig
from ifcurate.evaluation.preferences import Pairs, pair_completions, write_pairs
from ifcurate.files import clear, write_text
from ifcurate.model.ranks import find_ranks
from ifcurate.model.settings import TrustSettings
from ifcurate.pipelines.evaluate import evaluate_toxicity
from ifcurate.pipelines.finished_folder import made_from, record_made
from ifcurate.pipelines.preferences_config import PreferencesConfig

PAIRS_FILE = "pairs.jsonl"
SUMMARY_FILE = "summary.json"
SETTINGS_FILE = "preferences.yaml"
COMPLETIONS = "completions"
"""Name of the folder of what was drawn, as `ifcurate eval` keeps it."""
FREE_TO_CHANGE = frozenset({"least_gap", "overwrite", "device", "threads", *TrustSettings.model_fields})
"""Settings that leave no trace in what was drawn; pairs are made anew each time."""


@dataclass(frozen=True)
class Preferences:
    """The pairs, where they are, the prompts that were completed, and the classifier that judged."""

    found: Pairs
    file: Path
    prompts: int
    classifier: str


def make_preferences(config: PreferencesConfig) -> Preferences:
    """Draw what is missing of the completions, judge them, and write the pairs.

    Raises:
        InputError: something given cannot be used, the folder holds something else, or no prompt gave a pair.
    """
    ranks, out = find_ranks(config.device), Path(config.out)
    if ranks.first:
        if config.overwrite:
            clear(out, SETTINGS_FILE)
        if made_from(out, SETTINGS_FILE, config, {}, FREE_TO_CHANGE) is None:
            record_made(out, SETTINGS_FILE, config, {})
    ranks.wait()
    (folder,) = evaluate_toxicity(_evaluation(config))
    result = folder.read().toxicity[0]
    table = folder.completions(result.prompts).read()
    scores = read_scores(table, result.classifier)
    judged = scores.scores[:, :, scores.labels.index(result.label)]
    prompts, completions = (table.column(name).to_pylist() for name in ("prompt", "completions"))
    found = pair_completions(prompts, completions, judged, config.least_gap)
    if not found.pairs:
        raise InputError(
            f"{config.prompts}: none of {len(prompts):,} prompts has two completions whose scores differ by "
            f"{config.least_gap:g}; lower --least-gap, or raise --completions."
        )
    if ranks.first:
        write_pairs(out / PAIRS_FILE, found.pairs)
        write_text(out / SUMMARY_FILE, json.dumps(_summary(config, found, len(prompts)), indent=2) + "\n")
    return Preferences(found, out / PAIRS_FILE, len(prompts), result.classifier)


def _evaluation(config: PreferencesConfig) -> ToxicityConfig:
    """How the completions are drawn and judged."""
    shared = PreferencesConfig.model_fields.keys() & ToxicityConfig.model_fields.keys()
    given = {name: getattr(config, name) for name in shared - {"prompts", "overwrite"}}
    return ToxicityConfig(**given, models=[f"{COMPLETIONS}={config.model}"], prompts=[config.prompts])


def _summary(config: PreferencesConfig, found: Pairs, prompts: int) -> dict[str, object]:
    return {
        "model": config.model,
        "classifier": config.classifier,
        "least_gap": config.least_gap,
        "prompts": prompts,
        "pairs": len(found.pairs),
        "silent": found.silent,
        "alike": found.alike,
    }
