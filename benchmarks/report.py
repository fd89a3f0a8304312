"""How large the report of a large corpus is, how long writing it takes, and opening it.

    python benchmarks/report.py --out FOLDER [--tokens 100000000] [--behaviours 1]

Texts and scores are drawn, in shards of a million tokens; documents have a lognormal length of some 250 tokens, and
heavy-tailed influence, higher in some of them. Opening needs Chromium with its driver, and Selenium.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import time
from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ifcurate.corpus.documents import ID
from ifcurate.report.html import ReportOptions, write_report
from ifcurate.report.source import ReportSource
from ifcurate.selection.algorithm import select
from ifcurate.selection.quantile import Histogram
from ifcurate.selection.scores import (
    FLOAT_LIST,
    HISTOGRAMS,
    INT_LIST,
    LOSS,
    TOKEN_ENDS,
    TOKEN_IDS,
    TOKEN_STARTS,
    influence_column,
    sidecar_schema,
    writing_scores,
)
from ifcurate.selection.settings import SelectionSettings

TOKENS_A_SHARD = 1_000_000
CHARACTERS = 5
"""Of a token, the space before it included."""
VOCABULARY = 30_000
SOURCES = ["web", "forum", "books", "news", "encyclopedia", "speeches"]
SAID = {
    "version": "0",
    "tokenizer_hash": "0" * 64,
    "alignment": "label",
    "sign": "positive teaches the behaviour",
    "unit": "nats",
    "engine": "jvp",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=100_000_000)
    parser.add_argument("--behaviours", type=int, default=1)
    asked = parser.parse_args()
    behaviours = [f"behaviour_{number}" for number in range(asked.behaviours)]
    names = [f"part-{number:05}" for number in range(max(1, asked.tokens // TOKENS_A_SHARD))]
    for number, name in enumerate(names):
        draw_shard(asked.out, name, number, behaviours)
    settings = [SelectionSettings(behaviour=behaviour) for behaviour in behaviours]
    sidecars = {name: asked.out / "scores" / f"{name}.parquet" for name in names}
    for one in settings:
        began = time.monotonic()
        select(list(sidecars.items()), one, asked.out / "selection")
        print(f"select: {time.monotonic() - began:.1f} s")
    source = ReportSource(
        data={name: asked.out / "data" / f"{name}.parquet" for name in names},
        metadata=dict.fromkeys(behaviours, SAID),
        selection=asked.out / "selection",
        corpus="drawn",
        model="drawn",
        text_column="text",
        id_column=None,
        token_ids=True,
        with_loss=True,
    )
    began, used = time.monotonic(), time.process_time()
    write_report(source, ReportOptions(sidecars, settings), asked.out / "report.html")
    print(f"report: {time.monotonic() - began:.1f} s, {time.process_time() - used:.1f} s of CPU")
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")
    print(f"size: {(asked.out / 'report.html').stat().st_size / 1e6:.2f} MB")
    print(f"opened in {seconds_to_open(asked.out / 'report.html'):.2f} s")


def draw_shard(out: Path, name: str, seed: int, behaviours: Sequence[str]) -> None:
    generator = np.random.default_rng(seed)
    lengths = np.maximum(1, generator.lognormal(5, 1, TOKENS_A_SHARD // 200)).astype(np.int64)
    ends = np.cumsum(lengths)
    lengths = lengths[ends <= TOKENS_A_SHARD]
    rows, total = np.append(0, np.cumsum(lengths)).astype(np.int32), int(lengths.sum())
    words = np.array([f" {number % 10_000:04}" for number in range(VOCABULARY)])
    token_ids = generator.zipf(1.3, total) % VOCABULARY
    texts = ["".join(words[token_ids[a:b]]) for a, b in pairwise(rows)]
    sources = generator.choice(SOURCES, len(lengths))
    (out / "data").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"text": texts, "source": sources}), out / "data" / f"{name}.parquet")
    place = np.arange(total) - np.repeat(rows[:-1], lengths)
    harm = np.repeat(generator.gamma(0.3, 1.0, len(lengths)), lengths)
    columns = {
        ID: pa.array([f"{name}:{row}" for row in range(len(lengths))]),
        TOKEN_IDS: lists(rows, token_ids.astype(np.int32), INT_LIST),
        TOKEN_STARTS: lists(rows, (place * CHARACTERS).astype(np.int32), INT_LIST),
        TOKEN_ENDS: lists(rows, ((place + 1) * CHARACTERS).astype(np.int32), INT_LIST),
        LOSS: lists(rows, generator.gamma(2, 1.5, total).astype(np.float32), FLOAT_LIST),
    }
    histograms = {}
    for behaviour in behaviours:
        values = (generator.standard_t(4, total) * (0.2 + harm)).astype(np.float32)
        histogram = Histogram()
        histogram.add(values)
        histograms[behaviour] = histogram.to_text()
        columns[influence_column(behaviour)] = lists(rows, values, FLOAT_LIST)
    schema = sidecar_schema(behaviours, with_loss=True)
    with writing_scores(out / "scores" / f"{name}.parquet", schema) as sink:
        sink.write(pa.RecordBatch.from_pydict(columns, schema=schema))
        direction = {"direction_hash": sha256(b"drawn").hexdigest(), "relative_error": None}
        sink.describe({HISTOGRAMS: histograms, "directions": dict.fromkeys(behaviours, direction)})


def lists(rows: np.ndarray, values: np.ndarray, kind: pa.DataType) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(rows, pa.int32()), pa.array(values), type=kind)


def seconds_to_open(page: Path) -> float:
    """From the request to the end of the page's script and layout, the median of five."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        taken = []
        for _ in range(5):
            browser.get(page.resolve().as_uri())
            taken.append(browser.execute_script("return performance.getEntriesByType('navigation')[0].duration"))
        return float(np.median(taken)) / 1000
    finally:
        browser.quit()


if __name__ == "__main__":
    main()
