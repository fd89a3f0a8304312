"""How well does a selection find what people labelled? Shares of the selected tokens by a label column of the corpus.

Select again from the scores of a finished run, once for every kind of record and length exponent, and print which
share of the selected tokens, and of their first half in order of rank, lies in documents of each label. Needs no
model. The corpus is the one of the run; its label column may be nested (`meta.source`).

    python benchmarks/labelled_share.py RUN --label-column meta.source --labels tweet_toxic tweet_neutral
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

from ifcurate.corpus.shards import Shard
from ifcurate.pipelines.corpus_record import present_shards
from ifcurate.pipelines.run import Run, open_run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.select import selection_settings
from ifcurate.selection.algorithm import select
from ifcurate.selection.table import records_path

RECORDS = ("document", "window")
EXPONENTS = (0.0, 0.5, 1.0)

CORPUS_SHARES = """
    SELECT label, sum(tokens) / sum(sum(tokens)) OVER () FROM records JOIN labels USING (shard, row) GROUP BY label
"""
SELECTED_SHARES = """
    WITH ranked AS (
        SELECT label, selected, sum(selected) OVER (ORDER BY rank DESC, shard, row, "window") AS reached
        FROM records JOIN labels USING (shard, row)
    ), counted AS (
        SELECT label, sum(selected) AS taken, sum(selected) FILTER (reached <= $total / 2) AS early
        FROM ranked GROUP BY label
    )
    SELECT label, taken / sum(taken) OVER (), coalesce(early, 0) / sum(early) OVER () FROM counted
"""
HIGHEST = """
    SELECT label, max(rank) AS highest, sum(selected), shard, row FROM records JOIN labels USING (shard, row)
    GROUP BY label, shard, row ORDER BY highest DESC, shard, row LIMIT 10
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--label-column", required=True)
    parser.add_argument("--labels", nargs="+", required=True)
    given = parser.parse_args()
    run, config = open_run(given.run)
    shards = present_shards(run)
    database = duckdb.connect()
    read_labels(database, shards, given.label_column)
    console = Console()
    table = Table(
        "ranked", "length exponent", *(f"{label}: {what}" for label in given.labels for what in ("all", "half"))
    )
    for record, exponent in itertools.product(RECORDS, EXPONENTS):
        with tempfile.TemporaryDirectory() as folder:
            total = select_into(database, run, config, shards, record, exponent, Path(folder))
            shares = {label: (taken, early) for label, taken, early in query(database, SELECTED_SHARES, total=total)}
            cells = [f"{share:.1%}" for label in given.labels for share in shares.get(label, (0.0, 0.0))]
            table.add_row(record, f"{exponent:g}", *cells)
            if (record, exponent) == (config.record, config.length_exponent):
                highest = query(database, HIGHEST)
                base = dict(query(database, CORPUS_SHARES))
    console.print("share of the corpus's tokens: " + ", ".join(f"{name} {base[name]:.1%}" for name in given.labels))
    console.print(table)
    for label, rank, selected, shard, row in highest:
        console.print(f"rank {rank:.4f}, {selected} tokens selected, {label}: {shard}, row {row}")


def query(database: duckdb.DuckDBPyConnection, text: str, **values: int) -> list[tuple]:
    return database.execute(text, values or None).fetchall()


def read_labels(database: duckdb.DuckDBPyConnection, shards: list[Shard], column: str) -> None:
    database.execute("CREATE TABLE labels (shard VARCHAR, row BIGINT, label VARCHAR)")
    path = ".".join(f'"{part}"' for part in column.split("."))
    for shard in shards:
        database.execute(
            f"INSERT INTO labels SELECT ?, file_row_number, {path} FROM read_parquet(?, file_row_number = true)",
            [shard.name, shard.path],
        )


def select_into(
    database: duckdb.DuckDBPyConnection,
    run: Run,
    config: RunConfig,
    shards: list[Shard],
    record: str,
    exponent: float,
    folder: Path,
) -> int:
    """Select with one setting, put the records into table `records`, and return the number of selected tokens."""
    settings = selection_settings(run, config).model_copy(update={"rank_by": record, "length_exponent": exponent})
    sidecars = [(shard.name, shard.output(run.scores)) for shard in shards]
    selection = select(sidecars, settings, folder)
    file = str(records_path(folder, settings.behaviour))
    database.execute("CREATE OR REPLACE TABLE records AS SELECT * FROM read_parquet(?)", [file])
    return selection.tokens_selected


if __name__ == "__main__":
    main()
