"""The annotated corpus as other training stacks read it, one file a format."""

from ifcurate.export.datatrove import WeightedTokens

__all__ = ["WeightedTokens"]
