"""The folder of two query sets: `<behaviour>.jsonl`, `<contrast>.jsonl`, and in `queries.json` how they were made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from ifcurate.errors import InputError
from ifcurate.evaluation.config import MiningConfig
from ifcurate.evaluation.query_mining import Mined
from ifcurate.files import finishing_folder, remove_parts_of, write_text
from ifcurate.influence.queries import COMPLETION, PROMPT, WEIGHT, Query
from ifcurate.model.settings import TrustSettings

QUERIES_FILE = "queries.json"
MADE_FROM = "made_from"
FREE_TO_CHANGE = frozenset({"out", "overwrite", "device", *TrustSettings.model_fields})
"""Settings that leave no trace in the queries."""


def paths_of(config: MiningConfig) -> list[Path]:
    """The two sets and the summary."""
    folder = Path(config.out)
    return [folder / f"{config.behaviour}.jsonl", folder / f"{config.contrast}.jsonl", folder / QUERIES_FILE]


def write_queries(mined: Mined, config: MiningConfig, made_from: Mapping[str, str]) -> None:
    """Write the sets as JSON Lines and the summary as JSON; `config.out` appears when all are complete.

    Args:
        mined: the sets and the counts.
        config: what was asked for.
        made_from: hashes by name, of whatever `config` only names.
    """
    summary = {
        **config.model_dump(mode="json"),
        "rows": mined.rows,
        "counts": mined.counts,
        "spaces_added": mined.spaces_added,
        "texts_cut": mined.texts_cut,
        MADE_FROM: dict(made_from),
    }
    behaviour, contrast, file = (path.name for path in paths_of(config))
    remove_parts_of(Path(config.out))
    with finishing_folder(Path(config.out)) as part:
        for name, queries in ((behaviour, mined.behaviour), (contrast, mined.contrast)):
            write_text(part / name, "".join(_line(query, config.soft) for query in queries))
        write_text(part / file, orjson.dumps(summary, option=orjson.OPT_INDENT_2).decode() + "\n")


def read_mined(config: MiningConfig, made_from: Mapping[str, str]) -> Mined | None:
    """What the same command wrote to `config.out` before; None where that is free.

    Raises:
        InputError: the folder holds something else, or queries of other settings or texts.
    """
    out = Path(config.out)
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    if not (out / QUERIES_FILE).is_file():
        raise InputError(f"option --out: {out} is in use by something else; give a new folder.")
    try:
        stored = orjson.loads((out / QUERIES_FILE).read_bytes())
        _refuse_other(stored, config, made_from)
        behaviour, contrast = (
            [_query(line) for line in path.read_bytes().splitlines()] for path in paths_of(config)[:2]
        )
        return Mined(behaviour, contrast, stored["rows"], stored["counts"], stored["spaces_added"], stored["texts_cut"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{out}: its queries are damaged or incomplete; make them anew with --overwrite.") from error


def _refuse_other(stored: Mapping[str, Any], config: MiningConfig, made_from: Mapping[str, str]) -> None:
    for name, value in config.model_dump().items():
        if name not in FREE_TO_CHANGE and stored[name] != value:
            raise InputError(
                f"option --{name.replace('_', '-')}: {config.out} was made with {stored[name]!r}, not {value!r}; "
                "give another --out, or --overwrite."
            )
    for name, value in made_from.items():
        if stored[MADE_FROM][name] != value:
            raise InputError(f"{config.out}: was made from other {name}; give another --out, or --overwrite.")


def _line(query: Query, soft: bool) -> str:
    weight = {WEIGHT: query.weight} if soft else {}
    return orjson.dumps({PROMPT: query.prompt, COMPLETION: query.completion, **weight}).decode() + "\n"


def _query(line: bytes) -> Query:
    row = orjson.loads(line)
    return Query(row[PROMPT], row[COMPLETION], float(row.get(WEIGHT, 1.0)))
