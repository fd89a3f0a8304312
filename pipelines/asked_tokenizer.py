"""The tokenizer of an export: loaded where one is needed, which takes seconds, and only there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ifcurate.annotation.run_folder import RUN_FILE
from ifcurate.config import PROVENANCE_KEY, read_yaml
from ifcurate.errors import InputError
from ifcurate.export.config import ExportConfig
from ifcurate.model.stored import Stored

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def asked_tokenizer(config: ExportConfig) -> PreTrainedTokenizerFast:
    """The tokenizer that is named, or that of the run's model.

    Raises:
        InputError: there is neither, or it cannot be loaded.
    """
    from ifcurate.model.checkpoints import load_tokenizer

    run_file = Path(config.data) / RUN_FILE
    if config.tokenizer is not None:
        return load_tokenizer(config.tokenizer, config.revision, config.trust)
    if not run_file.is_file():
        raise InputError("option --tokenizer is required where --data is no run; give a folder or Hub id.")
    settings = {name: value for name, value in read_yaml(run_file).items() if name != PROVENANCE_KEY}
    stored = Stored(gguf_file=settings.get("gguf_file"))
    return load_tokenizer(str(settings["model"]), settings.get("revision"), config.trust, stored)
