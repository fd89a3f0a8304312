"""How the columns of an annotated shard were made: in a Parquet schema, or in one file beside shards of JSON Lines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from ifcurate.corpus.formats import FORMATS
from ifcurate.corpus.parquet import metadata_of
from ifcurate.corpus.shards import Shard
from ifcurate.corpus.sources import open_bytes
from ifcurate.errors import InputError
from ifcurate.files import write_text

PROVENANCE_FILE = "_ifcurate.json"
"""Behaviour name -> how its columns were made, as a Parquet shard says it in its schema."""


def provenance_of(shard: Shard, schema: pa.Schema) -> dict[str, Any]:
    """What `shard`, whose columns are `schema`, says of its annotations: behaviour name -> how they were made.

    Raises:
        InputError: what it says is damaged, or not ours.
    """
    if FORMATS[shard.format].describes_itself:
        return metadata_of(schema, shard.path)
    return read_provenance(shard)


def annotations_of(shard: Shard, schema: pa.Schema) -> list[dict[str, Any]]:
    """What the shard says of each of its annotations; see `provenance_of`."""
    return [entry for entry in provenance_of(shard, schema).values() if isinstance(entry, dict)]


def write_provenance(folder: Path, metadata: Mapping[str, Any]) -> None:
    """Say in `folder` how the columns of its JSON Lines were made."""
    write_text(folder / PROVENANCE_FILE, json.dumps(dict(metadata), indent=2, sort_keys=True) + "\n")


def read_provenance(shard: Shard) -> dict[str, Any]:
    """What `write_provenance` said in the folder that `shard` was listed in; empty where it said nothing.

    Raises:
        InputError: the file is damaged.
    """
    file = shard.path.removesuffix(f"{shard.name}{shard.format}") + PROVENANCE_FILE
    try:
        with open_bytes(file) as stream:
            return dict(json.loads(stream.read()))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as error:
        raise InputError(f"{file}: is damaged; run `ifcurate write` again, or delete it.") from error
