"""Quiet the libraries underneath: their bars and warnings are not our user's."""

from __future__ import annotations

import os
import sys
import warnings

QUIET = {"TOKENIZERS_PARALLELISM": "false", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
"""Read by the libraries when they are imported, which takes seconds and is left to who needs them."""


def quieten() -> None:
    """No progress bars of transformers and the Hub, no deprecation warnings of what we call."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    if "transformers" in sys.modules:
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
