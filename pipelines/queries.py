"""Recipe of `ifcurate queries`: two query sets from any table of prompts and continuations."""

from __future__ import annotations

from pathlib import Path

from ifcurate.evaluation.classifiers import load_classifier
from ifcurate.evaluation.config import MiningConfig
from ifcurate.evaluation.query_mining import Mined, mine_queries, write_queries
from ifcurate.model.devices import resolve_device


def build_queries(config: MiningConfig) -> tuple[Mined, list[Path]]:
    """Classify, sort and write; returns what became of every row, and the files.

    Raises:
        InputError: the table or the classifier cannot be used, or a side has no query.
    """
    classify = load_classifier(config.classifier, config.label, resolve_device(config.device), config.trust)
    mined = mine_queries(config, classify)
    return mined, write_queries(mined, config)
