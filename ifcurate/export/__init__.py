"""The annotated corpus as other training stacks read it, one file a format.

A new format is a file with a class of the protocol `weights.Exporter` and an entry in `EXPORTERS`, or, where the stack
tokenizes for itself, a class of the protocol `texts.TextExporter` and an entry in `TEXT_EXPORTERS`.
"""

EXPORTERS: dict[str, str] = {
    "datatrove": "ifcurate.export.datatrove:DatatroveExporter",
    "olmo": "ifcurate.export.olmo:OlmoExporter",
    "megatron": "ifcurate.export.megatron:MegatronExporter",
    "neox": "ifcurate.export.neox:NeoxExporter",
    "mds": "ifcurate.export.mds:MdsExporter",
    "hf": "ifcurate.export.huggingface:HuggingFaceExporter",
}
"""Name of a format of tokens and weights -> `module:class` of what writes it, imported when it is used."""

TEXT_EXPORTERS: dict[str, str] = {
    "fast-llm": "ifcurate.export.fast_llm:FastLlmExporter",
    "attributes": "ifcurate.export.attributes:AttributesExporter",
}
"""The same for formats of texts, or of their ids, and marked characters."""
