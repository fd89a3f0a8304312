"""Pieces that are made by a launch of several processes, such as torchrun's."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from ifcurate.config import Config, save
from ifcurate.errors import InputError
from ifcurate.model.trust import Trust
from ifcurate.studies.pieces import Kind, Piece

COMMANDS: Mapping[Kind, tuple[str, ...]] = {
    "training": ("train",),
    "completions": ("eval", "toxicity"),
    "fluency": ("eval", "fluency"),
}
"""What the processes of a launch can share out."""
FOLDER = "launched"
"""Of the settings that launches are given, below the study's folder."""


def launch(prefix: str, piece: Piece, settings: Config, trust: Trust, root: Path) -> None:
    """Run the command that makes `piece` behind `prefix`, and wait for it; what it says is seen.

    Raises:
        InputError: it ends with another code than 0.
    """
    file = root / FOLDER / f"{piece.key}.yaml"
    save(settings, file, {})
    trusted = {"--allow-pickle": trust.allow_pickle, "--trust-remote-code": trust.trust_remote_code}
    words = [*shlex.split(prefix), _program(), *COMMANDS[piece.kind], "--config", str(file)]
    words += [option for option, given in trusted.items() if given]
    try:
        code = subprocess.run(words, check=False).returncode
    except FileNotFoundError as error:
        raise InputError(f"option --launch: there is no {words[0]!r} here; give a program that is.") from error
    if code:
        raise InputError(f"`{shlex.join(words)}` ended with {code}; it said why above.")


def _program() -> str:
    """`ifcurate` of the environment that this process runs in."""
    return shutil.which("ifcurate", path=str(Path(sys.executable).parent)) or "ifcurate"
