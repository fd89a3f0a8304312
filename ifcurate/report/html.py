"""`report.html`: one page that needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from ifcurate.corpus.documents import ID
from ifcurate.corpus.shards import Shard, known, list_shards
from ifcurate.files import write_text
from ifcurate.influence.approximate import approximation
from ifcurate.influence.column_names import METHOD
from ifcurate.report.behaviour import ScoredCorpus, describe_behaviour
from ifcurate.report.database import counting
from ifcurate.report.grid import make_grid, own_choice
from ifcurate.report.groups import make_groups
from ifcurate.report.labels import label_column, read_labels, usable_labels
from ifcurate.report.source import ReportSource
from ifcurate.report.templating import TEMPLATES, verbatim
from ifcurate.selection.settings import SelectionSettings
from ifcurate.selection.table import Selection, records_path

SCRIPTS = ("elements.js", "choice.js", "charts.js", "panels.js", "tip.js", "documents.js", "evaluation.js", "page.js")
"""In the order in which they are run, as one."""


RUN = "RUN"
"""The run in the commands that are shown: the page is the same wherever it lies."""


@dataclass(frozen=True)
class ReportOptions:
    """What a report shows besides the annotated shards.

    Attributes:
        sidecars: name of a shard -> its score file.
        settings: of the selection of each behaviour, in order.
        columns: those whose share is shown, dotted where nested; none: those with few values.
        evaluation: folder with a comparison of models, or None.
    """

    sidecars: Mapping[str, Path]
    settings: Sequence[SelectionSettings]
    columns: Sequence[str] = ()
    evaluation: Path | None = None


def write_report(source: ReportSource, options: ReportOptions, out: Path) -> None:
    """Write the page `out`; it depends on settings and data alone.

    Args:
        source: the annotated shards.
        options: what else is shown.
        out: the file.

    Raises:
        InputError: something that it is made from is missing or damaged.
    """
    with tempfile.TemporaryDirectory(prefix="ifcurate-") as work, counting(Path(work)) as database:
        page = describe_run(database, source, options, Path(work))
    style, script = verbatim("report.css"), "".join(verbatim(name) for name in SCRIPTS)
    text = TEMPLATES.get_template("report.html.j2").render(
        title=f"{', '.join(settings.behaviour for settings in options.settings)}: {source.corpus}",
        style=style,
        script=script,
        hashes={"style": _hash(style), "script": _hash(script)},
        data=embedded(page),
        columns=source.described_columns(),
    )
    write_text(out, text)


def describe_run(
    database: duckdb.DuckDBPyConnection, source: ReportSource, options: ReportOptions, work: Path
) -> dict[str, Any]:
    """All that the page shows, as JSON holds it; `work` is a folder for temporary files."""
    names = sorted(source.data)
    shards = {name: _shard(source.data[name]) for name in names}
    behaviours = [settings.behaviour for settings in options.settings]
    selections = [Selection.load(source.selection, behaviour) for behaviour in behaviours]
    first = selections[0]
    ours = {name for name, _, _ in source.described_columns()}
    left_out = frozenset({source.text_column, source.id_column or ID, *ours})
    labels, too_many = read_labels(shards, options.columns, left_out, work / "labels.parquet")
    table = records_path(source.selection, first.behaviour)
    groups, columns = make_groups(database, labels, work / "labels.parquet", table)
    corpus = ScoredCorpus(
        shards,
        {name: options.sidecars[name] for name in names},
        source.selection,
        source.text_column,
        [labels[index] for index in usable_labels(labels) if label_column(index) in groups.columns],
        groups,
        make_grid(first.quantile, first.budget, first.tokens) if _has_others(first) else own_choice(selections),
    )
    return {
        "run": RUN,
        "facts": _facts(source, first, behaviours),
        "value": "value" if METHOD in source.metadata[behaviours[0]] else "influence",
        "corpus": {"tokens": first.tokens, "documents": first.documents},
        "quantiles": ["none"] if _options(first) else corpus.grid.quantiles,
        "chosen": _options(first),
        "budgets": [
            {"given": given, "tokens": tokens}
            for given, tokens in zip(corpus.grid.budgets, corpus.grid.budget_tokens, strict=True)
        ],
        "own": corpus.grid.own,
        "columns": columns,
        "too_many_values": too_many,
        "behaviours": [describe_behaviour(database, corpus, settings, work) for settings in options.settings],
        "evaluation": None if options.evaluation is None else _evaluation(options.evaluation),
    }


def _has_others(selection: Selection) -> bool:
    """Whether selections with other quantiles and budgets are known without selecting."""
    return selection.screened is None and not _options(selection)


def _options(selection: Selection) -> str:
    """Options of `ifcurate select` in the place of a quantile; empty where it went by one."""
    if selection.rank_by == "token":
        return f"--rank-by token --neighbours 0 --budget {selection.budget}"
    if selection.threshold is not None:
        return f"--threshold {selection.threshold:g} --budget {selection.budget}"
    return ""


def embedded(page: Mapping[str, Any]) -> str:
    """JSON that ends no element of HTML and begins none, whatever is in its strings."""
    text = json.dumps(page, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate({ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"})


def _evaluation(folder: Path) -> dict[str, Any]:
    from ifcurate.report.evaluations import describe_evaluation  # whose imports take seconds

    return describe_evaluation(folder)


def _shard(file: Path) -> Shard:
    return known(list_shards(str(file))[0])


def _facts(source: ReportSource, selection: Selection, behaviours: Sequence[str]) -> list[tuple[str, str]]:
    """What was run, in words."""
    made = source.columns_metadata(behaviours)[behaviours[0]]
    said = made.model_extra or {}
    by_token = selection.rank_by == "token"
    unit = "" if by_token else f"{selection.rank_by}s, length to the power {selection.length_exponent:g}"
    facts = [
        ("corpus", source.corpus),
        ("documents", f"{selection.documents:,}"),
        ("tokens", f"{selection.tokens:,}"),
        ("shards", f"{len(source.data):,}"),
        ("model", source.model),
        ("scored by", ", ".join(str(said[name]) for name in ("engine", "dtype") if said.get(name))),
        ("scores", approximation(said) or ("" if made.method is None else f"each token's {made.method}")),
        ("alignment", "" if made.method else made.alignment),
        ("ranked", unit),
        ("tau", selection.tau_is),
        ("neighbours", f"{selection.neighbours}"),
        ("screened", "" if selection.screened is None else selection.screened.sentence()),
        ("ifcurate", made.version),
    ]
    return [(term, value) for term, value in facts if value]


def _hash(content: str) -> str:
    """As a content security policy names what may be run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
