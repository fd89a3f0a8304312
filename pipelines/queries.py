"""Recipe of `ifcurate queries`: two query sets from any table of prompts and continuations."""

from __future__ import annotations

from pathlib import Path

from ifcurate.evaluation.classifiers import load_classifier
from ifcurate.evaluation.config import MiningConfig
from ifcurate.evaluation.query_files import QUERIES_FILE, paths_of, read_mined, write_queries
from ifcurate.evaluation.query_mining import Mined, mine_queries, read_texts
from ifcurate.files import clear
from ifcurate.model.devices import resolve_device
from ifcurate.progress import log


def build_queries(config: MiningConfig) -> tuple[Mined, list[Path]]:
    """Classify, sort and write, unless that is done; returns what became of every row, and the files.

    Raises:
        InputError: the table or the classifier cannot be used, a side has no query, or the folder is in use.
    """
    if config.overwrite:
        clear(Path(config.out), QUERIES_FILE)
    texts = read_texts(config)
    classifier = load_classifier(config.classifier, config.label, resolve_device(config.device), config.trust)
    made_from = {"texts": texts.hash(), "weights of the classifier": classifier.identity}
    mined = read_mined(config, made_from)
    if mined is not None:
        log.info(f"{config.out}: is made already; --overwrite makes it anew")
    else:
        mined = mine_queries(texts, config, classifier)
        write_queries(mined, config, made_from)
    return mined, paths_of(config)
