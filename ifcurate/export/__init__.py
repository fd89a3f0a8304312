"""The annotated corpus as other training stacks read it, one file a format."""

from ifcurate.export.datatrove import WeightedTokens
from ifcurate.export.run import EXPORTERS, ExportConfig, ExportSummary, export

__all__ = ["EXPORTERS", "ExportConfig", "ExportSummary", "WeightedTokens", "export"]
