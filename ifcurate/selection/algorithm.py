"""Selection of the tokens to suppress (IF-Guide, Algorithm 1), out of core, over the scores of a whole corpus.

Three passes: tau from the histograms and one look at every score; sparsity, score and reach of every record; and, once
DuckDB has ordered the records, what each of them gives up. Where only some documents have a score, the latter two are
done at the bounds of tau as well, for the interval of recall. Only a batch of documents is in memory at a time, and
the result does not depend on how the corpus is cut into shards. `--rank-by token` is no Algorithm 1, see `highest`:
documents have a rank there too, which decides nothing.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ifcurate.corpus.parquet import ParquetReader, writing_parquet
from ifcurate.errors import InputError
from ifcurate.files import PART_SUFFIX, write_text
from ifcurate.progress import Tracker, track
from ifcurate.selection.audit import RecallAudit, TauAudit, judged
from ifcurate.selection.highest import highest_first, tokens_before
from ifcurate.selection.measuring import measure
from ifcurate.selection.partial import fitting_tokens
from ifcurate.selection.quantile import Stratum
from ifcurate.selection.ranking import WEIGHED, Cut, Ranking, find_cut
from ifcurate.selection.scores import Sidecar
from ifcurate.selection.screened import Screened, ScreenedFacts
from ifcurate.selection.settings import Budget, SelectionOptions, SelectionSettings
from ifcurate.selection.spans import Ints
from ifcurate.selection.table import SELECTED, Selection, Tally, records_path, summary_path
from ifcurate.selection.thresholds import below_highest, corpus_strata, corpus_taus

RECORDS_PER_BATCH = 1 << 16
"""Also the row groups of a selection's table, so that the records of one shard are found without reading all."""


def select(sidecars: Sequence[tuple[str, Path]], settings: SelectionSettings, folder: Path) -> Selection:
    """Apply Algorithm 1 to a corpus and write `<behaviour>.parquet` and `<behaviour>.json` into `folder`.

    Args:
        sidecars: name and score file of each shard; the order of the corpus is that of the names.
        settings: what to select.
        folder: `RUN/selection`; also holds temporary files while this runs.

    Raises:
        InputError: no tokens, a score file that is missing, corrupt or holds NaN, a full disk.
    """
    shards = [Sidecar(name, path, settings.behaviour, settings.max_repetition) for name, path in sorted(sidecars)]
    strata, tokens = corpus_strata(shards)
    _require_tokens(strata, tokens)
    facts = _screened(shards, settings)
    budget = Budget.parse(settings.budget).of(tokens)
    with _working_folder(folder / f"{settings.behaviour}{PART_SUFFIX}") as work:
        measured = work / "records.parquet"
        with track("select", 2 * tokens) as tracker:
            progress = _Progress(tracker)
            tau = _tau(shards, strata, settings, budget, progress)
            near_tau = TauAudit.around(tau, settings.quantile, strata)
            corpus = measure(shards, settings, tau, measured, progress.advance, near_tau)
        tally, recall = Tally(), RecallAudit()
        cut = _cut(shards, measured, corpus.ranking, settings, tau, budget)
        chosen = _selected(measured, corpus.ranking, cut, shards, settings, tau, recall)
        summary = summary_path(folder, settings.behaviour)
        summary.unlink(missing_ok=True)
        with writing_parquet(records_path(folder, settings.behaviour), SELECTED) as sink:
            for batch in chosen:
                tally.add(batch)
                sink.write(batch)
                sink.flush()
        judge = None
        if facts is not None:
            bounds = near_tau.interval(settings.quantile, strata) if settings.threshold is None else (float(tau),) * 2
            others = [bound for bound in bounds if bound != float(tau)]
            at_bounds = [_recall_at(bound, shards, settings, budget, tokens, work) for bound in others]
            judge = judged(facts, recall, at_bounds, bounds, budget)
    shortfall = budget - tally.tokens_selected
    selection = Selection(
        behaviour=settings.behaviour,
        tau=float(tau),
        budget_tokens=budget,
        record_length=settings.record_length,
        documents_held_back=corpus.held_back,
        shortfall=shortfall,
        shortfall_reason=_reason(shortfall, cut, settings, judge),
        screened=judge,
        **{name: getattr(settings, name) for name in SelectionOptions.model_fields},
        **tally.counts(),
    )
    write_text(summary, json.dumps(dataclasses.asdict(selection), indent=2) + "\n")
    return selection


def _require_tokens(strata: Sequence[Stratum], tokens: int) -> None:
    if tokens == 0:
        raise InputError("the corpus has no tokens, so there is nothing to select; give shards with text in them.")
    if not any(histogram.total for _, histogram in strata):
        raise InputError(
            f"none of the {tokens:,} tokens of the corpus has a score, so there is nothing to select; raise --share or "
            "--audit."
        )


def _screened(shards: Sequence[Sidecar], settings: SelectionSettings) -> ScreenedFacts | None:
    facts = shards[0].metadata().screened
    if facts is not None and settings.rank_by == "token":
        raise InputError(
            "option --rank-by: the highest tokens are not known where a screen left documents without a score; rank "
            "documents or windows."
        )
    return facts


def _tau(
    shards: Sequence[Sidecar],
    strata: Sequence[Stratum],
    settings: SelectionSettings,
    budget: int,
    progress: _Progress,
) -> np.float32:
    if settings.rank_by == "token":
        return below_highest(shards, strata, budget, progress.advance)
    if settings.threshold is not None:
        progress.advance(sum(histogram.total for _, histogram in strata))
        return np.float32(settings.threshold)
    (tau,) = corpus_taus(shards, strata, [settings.quantile], progress.advance)
    return tau


def _cut(
    shards: Sequence[Sidecar],
    measured: Path,
    ranking: Ranking,
    settings: SelectionSettings,
    tau: np.float32,
    budget: int,
) -> Cut:
    """Where the budget ends, in the order of what is ranked."""
    ranked = highest_first(shards, tau) if settings.rank_by == "token" else _weighed(measured, ranking)
    return find_cut(ranked, budget, measured.parent)


def _recall_at(
    tau: float, shards: Sequence[Sidecar], settings: SelectionSettings, budget: int, tokens: int, work: Path
) -> RecallAudit:
    """It has seen every record of a selection with another tau, which is not written."""
    measured, recall, threshold = work / "bound.parquet", RecallAudit(), np.float32(tau)
    with track("select: bounds of recall", tokens) as tracker:
        ranking = measure(shards, settings, threshold, measured, _Progress(tracker).advance).ranking
    cut = _cut(shards, measured, ranking, settings, threshold, budget)
    for _ in _selected(measured, ranking, cut, shards, settings, threshold, recall):
        pass
    return recall


def _weighed(measured: Path, ranking: Ranking) -> pa.RecordBatchReader:
    """The columns `WEIGHED` of every record."""

    def batches() -> Iterator[pa.RecordBatch]:
        first = 0
        for batch in ParquetReader(str(measured)).batches(rows=RECORDS_PER_BATCH):
            positions = np.arange(first, first + batch.num_rows)
            yield _batch([positions, _rank(batch, ranking), batch["reach"], batch["weight"]], WEIGHED)
            first += batch.num_rows

    return pa.RecordBatchReader.from_batches(WEIGHED, batches())


def _selected(
    measured: Path,
    ranking: Ranking,
    cut: Cut,
    shards: Sequence[Sidecar],
    settings: SelectionSettings,
    tau: np.float32,
    recall: RecallAudit,
) -> Iterator[pa.RecordBatch]:
    """The columns `SELECTED` of every record, each of which `recall` has seen."""
    if settings.rank_by == "token":
        yield from _of_documents(measured, ranking, tokens_before(cut, shards, tau))
        return
    by_name = {shard.name: shard for shard in shards}
    first = 0
    for batch in ParquetReader(str(measured)).batches(rows=RECORDS_PER_BATCH):
        positions, rank = np.arange(first, first + batch.num_rows), _rank(batch, ranking)
        selected = cut.allotment(positions, rank, batch["reach"].to_numpy())
        if cut.room and first <= cut.position < first + batch.num_rows:
            name, row, window = (batch[column][cut.position - first].as_py() for column in ("shard", "row", "window"))
            document = by_name[name].document(row)
            selected[cut.position - first] = fitting_tokens(document, window, cut.room, settings, tau)
        tokens, reach, weight = (batch[name].to_numpy() for name in ("tokens", "reach", "weight"))
        recall.see(batch["window"].to_numpy() == 0, tokens, rank, reach, weight, selected)
        yield _batch([*batch.columns[:6], rank, selected], SELECTED)
        first += batch.num_rows


def _of_documents(measured: Path, ranking: Ranking, selected: Iterator[Ints]) -> Iterator[pa.RecordBatch]:
    """The columns `SELECTED` of every document, of which `selected` says in pieces how many tokens it gives up."""
    left = np.zeros(0, np.int64)
    for batch in ParquetReader(str(measured)).batches(rows=RECORDS_PER_BATCH):
        while len(left) < batch.num_rows:
            left = np.append(left, next(selected))
        yield _batch([*batch.columns[:6], _rank(batch, ranking), left[: batch.num_rows]], SELECTED)
        left = left[batch.num_rows :]


def _rank(batch: pa.RecordBatch, ranking: Ranking) -> NDArray[np.float64]:
    """0 where there is no score."""
    rank = ranking.rank(*(batch[name].to_numpy() for name in ("tokens", "sparsity", "score")))
    return np.where(batch["weight"].to_numpy() > 0, rank, 0.0)


def _batch(columns: Sequence[pa.Array | NDArray[np.generic]], schema: pa.Schema) -> pa.RecordBatch:
    arrays = [pa.array(column) if isinstance(column, np.ndarray) else column for column in columns]
    return pa.RecordBatch.from_arrays(
        [array.cast(field.type) for array, field in zip(arrays, schema, strict=True)], schema=schema
    )


def _reason(shortfall: int, cut: Cut, settings: SelectionSettings, screened: Screened | None) -> str | None:
    if shortfall == 0:
        return None
    if screened is not None and screened.documents_audited:
        return "the rest is what documents without a score are estimated to hold"
    if cut.position < 0 and settings.rank_by == "token":
        return "the corpus has no more tokens that characters belong to"
    if cut.position < 0:
        return "the tokens above tau and their neighbours are fewer than the budget"
    if settings.budget_ends == "neighbourhood":
        return "the next token and its neighbours were more than was left of the budget"
    return "the next character is spelled by more tokens than were left of the budget"


class _Progress:
    """Adds up work for a tracker whose unit is a token."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker, self._done = tracker, 0

    def advance(self, tokens: int) -> None:
        self._done += tokens
        self._tracker.update(self._done, self._done)


@contextmanager
def _working_folder(path: Path) -> Iterator[Path]:
    """An empty folder that is gone afterwards, and whose name says that it is unfinished."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
