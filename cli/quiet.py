"""Quiet the libraries underneath: their bars and warnings are not our user's."""

from __future__ import annotations

import os
import warnings


def quieten() -> None:
    """No progress bars of transformers and datasets, no deprecation warnings of what we call."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
