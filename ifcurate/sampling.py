"""A random sample of a corpus's documents, the same for the same seed, read from a few places of many shards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

MOST_SHARDS = 64
"""Shards that a sample is spread over: enough to be representative, few enough to open."""
