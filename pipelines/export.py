"""From an annotated corpus to the files of another training stack: what `ifcurate export` does."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from ifcurate.config import build, read_provenance, save
from ifcurate.corpus.shards import Shard, corpus_fingerprint
from ifcurate.errors import InputError, first_line
from ifcurate.export import TEXT_EXPORTERS
from ifcurate.export.config import ExportConfig
from ifcurate.export.readback import READERS
from ifcurate.export.texts import TextSummary
from ifcurate.export.weights import ExportSummary
from ifcurate.files import clear, finishing_folder, remove_parts_of
from ifcurate.progress import log
from ifcurate.provenance import versions
from ifcurate.registry import load

EXPORT_FILE = "export.yaml"
SUMMARY = "summary"
"""Key of what was counted, in its provenance."""

Summary = ExportSummary | TextSummary


class Export(Protocol):
    """The content of an export: of tokens, or of texts."""

    @property
    def summary(self) -> type[Summary]:
        """What counts it."""

    def shards(self) -> list[Shard]:
        """The corpus."""

    def write(self, folder: Path) -> Summary:
        """Write all below `folder`, and count."""

    def verified(self, folder: Path, read: Any) -> str:
        """What of `folder`, read back, was compared with the corpus."""

    def sentences(self) -> list[str]:
        """What there is to say of it when it is written; the last one is what the format carries."""


def export(config: ExportConfig) -> Summary:
    """Write the corpus in `config.format`; the folder `config.out` appears when it is complete.

    Raises:
        InputError: the folder is in use, or see `TokenExport.write` and `TextExport.write`.
    """
    out = Path(config.out)
    content = _content(config)
    fingerprint = corpus_fingerprint(content.shards())
    if config.overwrite:
        clear(out, EXPORT_FILE)
    if (summary := _finished(out, config, content, fingerprint)) is not None:
        log.info(f"{out}: is written already; --overwrite writes anew")
    else:
        summary = _write(out, config, content, fingerprint)
    if config.verify:
        _verify(out, config.format, content)
    return summary


def _content(config: ExportConfig) -> Export:
    if config.format in TEXT_EXPORTERS:
        from ifcurate.pipelines.exported_texts import TextExport

        return TextExport(config)
    from ifcurate.pipelines.exported_tokens import TokenExport

    return TokenExport(config)


def _write(out: Path, config: ExportConfig, content: Export, fingerprint: dict[str, Any]) -> Summary:
    remove_parts_of(out)
    with finishing_folder(out) as part:
        summary = content.write(part)
        save(config, part / EXPORT_FILE, {**versions(), "corpus": fingerprint, SUMMARY: asdict(summary)})
    *counted, carries = content.sentences()
    for sentence in (*counted, f"{config.format} carries {carries}"):
        log.info(sentence)
    return summary


def _verify(out: Path, name: str, content: Export) -> None:
    """Read the beginning back, and say what is known to go wrong with masks behind it.

    Raises:
        InputError: the target's reader gives back something else than the corpus.
    """
    reader = READERS[name]
    try:
        found = content.verified(out, load(reader.home))
    except ImportError as error:
        log.warning(
            f"{name}: not verified, {reader.package} cannot be imported here ({first_line(error)}); install it, in an "
            "environment of its own where it does not go with this one, and call the same again"
        )
    else:
        log.info(f"{name}: verified with {reader.package} {version(reader.package)}: {found}")
    for trap in reader.traps:
        log.info(f"{name}: mind that {trap}")


def _finished(out: Path, config: ExportConfig, content: Export, fingerprint: dict[str, Any]) -> Summary | None:
    """What the same export counted when it was made in `out`; None where `out` is free.

    Raises:
        InputError: `out` holds something else, or another export.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    file = out / EXPORT_FILE
    if not file.is_file():
        raise InputError(f"option --out: {out} is in use by something else; give a new folder.")
    stored = build(ExportConfig, {"out": config.out}, file)
    for name, value in config.model_dump().items():
        if value != getattr(stored, name):
            raise InputError(
                f"option --{name.replace('_', '-')}: {out} was made with {getattr(stored, name)!r}, not {value!r}; "
                "give another --out, or --overwrite."
            )
    made_from = read_provenance(file, "corpus", SUMMARY)
    if made_from["corpus"] != fingerprint:
        raise InputError(f"option DATA: {config.data} is not what {out} was made from; give another --out.")
    return content.summary(**made_from[SUMMARY])
