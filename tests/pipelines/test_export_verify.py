"""`export --verify`: with the targets' own readers where they are installed (`make test-exports` installs them)."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from annotated_corpora import TEXTS, annotate, tiny_neox, word_tokenizer
from commands import Command

from ifcurate.errors import InputError
from ifcurate.export import EXPORTERS, TEXT_EXPORTERS
from ifcurate.export.config import ExportConfig
from ifcurate.export.readback import READERS
from ifcurate.pipelines.export import export

MODULES = {"olmo": "olmo_core", "megatron": "megatron", "mds": "streaming"}


@pytest.fixture
def source(tmp_path: Path) -> dict[str, Any]:
    """Options of an export that is verified, over a corpus of two shards with ids."""
    tokenizer = word_tokenizer(tmp_path / "tokenizer")
    data = annotate(tmp_path / "data", tokenizer, TEXTS[::-1] * 3, scored=True)
    for path in sorted(data.iterdir()):
        table = pq.read_table(path)
        ids = pa.array([f"{path.stem}-{row}" for row in range(table.num_rows)])
        pq.write_table(table.append_column("id", ids), path)
    return {
        "data": str(data),
        "tokenizer": str(tmp_path / "tokenizer"),
        "out": str(tmp_path / "out"),
        "penalty": ["2"],
        "verify": True,
    }


@pytest.mark.parametrize("kind", [*EXPORTERS, *TEXT_EXPORTERS])
def test_the_beginning_is_read_back_where_the_reader_is_installed(
    source: dict[str, Any], kind: str, messages: Callable[[], list[str]]
) -> None:
    export(ExportConfig(**source, format=kind))
    said = "\n".join(messages())
    if find_spec(MODULES.get(kind, "datasets")) is None:
        assert f"{kind}: not verified, {READERS[kind].package} cannot be imported here" in said
    else:
        assert f"{kind}: verified with {READERS[kind].package} " in said
        assert "are the source's" in said
    for trap in READERS[kind].traps:
        assert f"{kind}: mind that {trap}" in said
    before = len(messages())
    export(ExportConfig(**source, format=kind))  # is done, and is verified again
    assert len(messages()) > before + len(READERS[kind].traps)


def test_every_format_has_a_reader_and_traps() -> None:
    assert set(READERS) == {*EXPORTERS, *TEXT_EXPORTERS}
    assert all(reader.traps for reader in READERS.values())


def change_weights(out: Path) -> None:
    file = out / "part-0.ds.weights"
    weights = np.fromfile(file, np.int8)
    weights[8] = -weights[8]
    weights.tofile(file)


def change_mask(out: Path) -> None:
    file = out / "part-0.ds.loss"
    kept = np.fromfile(file, np.bool_)
    kept[:] = True
    kept.tofile(file)


def change_tokens(out: Path) -> None:
    file = out / "data" / "part-0.parquet"
    table = pq.read_table(file)
    rows = [[token + 1 for token in row] for row in table["input_ids"].to_pylist()]
    pq.write_table(table.set_column(0, table.schema.field(0), pa.array(rows, table.schema.field(0).type)), file)


def change_spans(out: Path) -> None:
    file = out / "data" / "part-0.parquet"
    table = pq.read_table(file)
    rows = [[[first + 1, last] for first, last in row] for row in table[1].to_pylist()]
    pq.write_table(table.set_column(1, table.schema.field(1), pa.array(rows, table.schema.field(1).type)), file)


def change_ids(out: Path) -> None:
    file = out / "attributes/ifcurate/part-0.jsonl.gz"
    file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes()).replace(b"part-0-1", b"part-0-9")))


@pytest.mark.parametrize(
    ("kind", "change", "problem"),
    [
        ("datatrove", change_weights, r"part-0: the weight of token 8 \(counted from 0\) comes back as"),
        ("datatrove", change_mask, r"the mask of token \d+ \(counted from 0\) comes back as True, and False was"),
        ("hf", change_tokens, r"part-0: token 0 \(counted from 0\) comes back as 13, and 12 was written"),
        ("fast-llm", change_spans, r"row 0 \(counted from 0\) comes back with spans \[\(1, 4\)\], not \[\(0, 4\)\]"),
        ("attributes", change_ids, r"row 1 \(counted from 0\) comes back with another text"),
    ],
)
def test_what_comes_back_otherwise_is_refused(
    source: dict[str, Any], kind: str, change: Callable[[Path], None], problem: str
) -> None:
    export(ExportConfig(**source, format=kind))
    change(Path(source["out"]))
    with pytest.raises(InputError, match=problem):
        export(ExportConfig(**source, format=kind))


def test_the_command_verifies(source: dict[str, Any], tmp_path: Path, command: Command) -> None:
    tiny_neox(tmp_path / "tokenizer")
    options = ["--tokenizer", source["tokenizer"], "--out", tmp_path / "hf", "--format", "hf", "--verify"]
    done = command("export", source["data"], *options)
    assert done.code == 0, done.err
    assert "hf: verified with datasets" in done.err + done.out
    assert "mind that a Trainer drops loss_weights" in done.err + done.out
