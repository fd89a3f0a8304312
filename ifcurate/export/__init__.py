"""The annotated corpus as other training stacks read it, one file a format.

A new format is a file with a class of the protocol `weights.Exporter`, and an entry in `EXPORTERS`.
"""

EXPORTERS: dict[str, str] = {
    "datatrove": "ifcurate.export.datatrove:DatatroveExporter",
    "olmo": "ifcurate.export.olmo:OlmoExporter",
    "megatron": "ifcurate.export.megatron:MegatronExporter",
    "mds": "ifcurate.export.mds:MdsExporter",
    "hf": "ifcurate.export.huggingface:HuggingFaceExporter",
}
"""Name of a format -> `module:class` of what writes it, imported when it is used."""
