"""What tells one model from another by its files, without loading it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from transformers import AutoConfig

from ifcurate.errors import InputError, first_line
from ifcurate.model.trust import NOBODY, Trust
from ifcurate.storage.fetched import at_hand

WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
BLOCK = 1 << 22
DESCRIPTIONS = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")


def hash_stored(place: str, revision: str | None = None, trust: Trust = NOBODY) -> str:
    """Hex SHA-256 of a folder's weights, configuration and tokenizer; `ID@commit` of a model on the Hub.

    Other files, such as logs, do not matter. Weights that are divided otherwise among files count as others.

    Raises:
        InputError: there is no model at `place`.
    """
    folder = Path(at_hand(place))
    if not folder.is_dir():
        return f"{place}@{_commit(place, revision, trust)}"
    files = sorted(file for pattern in (*WEIGHTS, *DESCRIPTIONS) for file in folder.glob(pattern))
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while block := stream.read(BLOCK):
                digest.update(block)
    return digest.hexdigest()


def _commit(place: str, revision: str | None, trust: Trust) -> str:
    try:
        found = AutoConfig.from_pretrained(place, revision=revision, **trust.of_code())
        commit: str | None = found._commit_hash
    except Exception as error:  # transformers and the Hub client raise many unrelated types here
        raise InputError(
            f"{place}: is no folder here and cannot be loaded from the Hub ({first_line(error)}); "
            f"{trust.hint(place, error) or 'give a folder with a model, or the id of one'}."
        ) from error
    return str(commit or revision)
