"""ifcurate: influence-based curation of training corpora (IF-Guide, NeurIPS 2025)."""

from ifcurate.version import __version__

__all__ = ["__version__"]
