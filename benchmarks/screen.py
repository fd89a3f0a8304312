"""What a screen finds, what it loses, and what it saves: learnt on some shards of a scored run, tried on the others.

    python benchmarks/screen.py RUN --learn 4 --kinds ngrams probe

No model scores anything but for the times: the truth is the selection over the shards that are tried, all of whose
documents have scores. Printed: recall against share for each screen, of all documents and of the tweets alone; what
is lost at 10 % by source; in how many of 20 draws of an audit its interval holds the true recall; and CPU seconds of
scoring at 10 %, screening, sorting and the audit included, against scoring everything.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ifcurate.checksums import CHECKSUM, checked
from ifcurate.corpus.parquet import metadata_of_file
from ifcurate.corpus.shards import Shard, open_shard
from ifcurate.influence.loading import LoadedScorer, load_scorer
from ifcurate.influence.settings import ScoreSettings
from ifcurate.pipelines.corpus_record import present_shards
from ifcurate.pipelines.run import Run, open_run
from ifcurate.pipelines.select import selection_settings
from ifcurate.screening.curve import recall_curve
from ifcurate.screening.examples import Examples
from ifcurate.screening.features import Features
from ifcurate.screening.learning import learn
from ifcurate.screening.ngrams import NGrams
from ifcurate.screening.probe import Probe
from ifcurate.screening.screen import Screen
from ifcurate.screening.threshold import draw_of, find_threshold
from ifcurate.selection.algorithm import select
from ifcurate.selection.quantile import Histogram
from ifcurate.selection.scores import HISTOGRAMS, influence_column, writing_scores
from ifcurate.selection.screened import FIELDS, SCREENED, Screened, ScreenedFacts
from ifcurate.selection.settings import SelectionSettings

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
SHARE, AUDIT, DRAWS = 0.1, 0.01, 20
TWEETS = "tweet"


@dataclass(frozen=True)
class Tried:
    """The documents of the shards that a screen is tried on; one entry each."""

    texts: list[str]
    sources: NDArray[np.str_]
    tokens: NDArray[np.int64]
    selected: NDArray[np.int64]

    def curve(self, scores: NDArray[np.floating[Any]], among: NDArray[np.bool_]) -> list[float]:
        """Recall at `SHARES` of the tokens among some documents."""
        found = recall_curve(scores[among], self.tokens[among], self.selected[among], SHARES)
        return [recall for _, recall in found]


def main() -> None:
    asked = arguments()
    run, settings = open_run(asked.run)
    shards = sorted(present_shards(run), key=lambda shard: shard.name)
    shards = [shard for shard in shards if shard.output(run.scores).is_file()]
    learnt_from, tried_on = shards[: asked.learn], shards[asked.learn :][: asked.most]
    chosen = selection_settings(run, settings)
    with tempfile.TemporaryDirectory(prefix="ifcurate-") as folder:
        place = Path(folder)
        for name, part in (("learn", learnt_from), ("try", tried_on)):
            select([(shard.name, shard.output(run.scores)) for shard in part], chosen, place / name)
        tried = read_tried(tried_on, place / "try", chosen, asked.source)
        print(f"learnt on {len(learnt_from)} shards, tried on {len(tried_on)}: {tried.tokens.sum():,} tokens")
        for kind in asked.kinds:
            screen = learnt(kind, asked.model or settings.model, learnt_from, place, chosen)
            scores = said_of(kind, screen, tried)
            report_curves(kind, scores, tried)
            report_lost(scores, tried)
            report_audit(run, tried_on, scores, tried, chosen, place)
            report_times(run, settings.model, screen, tried, asked.timed)


def learnt(kind: str, model: str, shards: Sequence[Shard], place: Path, chosen: SelectionSettings) -> Screen:
    features: Features = NGrams() if kind == "ngrams" else Probe(model)
    work = place / kind
    work.mkdir()
    began = time.process_time()
    found = learn(features, Examples(shards, place / "learn", chosen.behaviour), work)
    print(f"\n{kind}: learnt from {found.documents:,} documents in {time.process_time() - began:,.1f} CPU s")
    return Screen(features, found.linear, {"curve": found.curve})


def read_tried(shards: Sequence[Shard], selection: Path, chosen: SelectionSettings, source: str) -> Tried:
    """`source` is the dotted column that says where a document is from."""
    texts: list[str] = []
    tokens, selected, sources = [], [], []
    for batch in Examples(shards, selection, chosen.behaviour).batches():
        texts += batch.texts
        tokens.append(batch.tokens)
        selected.append(batch.selected)
    column, *path = source.split(".")
    for shard in shards:
        for table in open_shard(shard).batches([column]):
            values: Any = table[column]
            for name in path:
                values = values.field(name)
            sources += [str(value) for value in values.to_pylist()]
    return Tried(texts, np.array(sources), np.concatenate(tokens), np.concatenate(selected))


def said_of(kind: str, screen: Screen, tried: Tried) -> NDArray[np.float32]:
    began = time.process_time()
    scores = np.concatenate([screen.of(texts) for texts in pieces(tried.texts)])
    seconds = time.process_time() - began
    print(f"{kind}: screened at {tried.tokens.sum() / seconds:,.0f} tokens/s of a core")
    return scores


def report_curves(kind: str, scores: NDArray[np.float32], tried: Tried) -> None:
    everything = np.ones(len(tried.texts), bool)
    tweets = np.char.startswith(tried.sources, TWEETS)
    perfect = tried.selected / np.maximum(tried.tokens, 1)
    print(f"{'share of the text':<28}" + "".join(f"{share:>8.0%}" for share in SHARES))
    for name, said in ((kind, scores), ("a perfect screen", perfect)):
        for what, among in (("", everything), (", tweets alone", tweets)):
            if tried.selected[among].any():
                print(f"{name + what:<28}" + "".join(f"{recall:>8.1%}" for recall in tried.curve(said, among)))


def above_threshold(scores: NDArray[np.float32], tried: Tried) -> tuple[NDArray[np.bool_], float]:
    characters = np.array([len(text) for text in tried.texts])
    threshold = find_threshold(lambda: [(scores, characters)], SHARE)
    return scores >= np.float32(threshold.value), threshold.share


def report_lost(scores: NDArray[np.float32], tried: Tried) -> None:
    above, _ = above_threshold(scores, tried)
    lost = np.where(above, 0, tried.selected)
    print(
        f"lost at {SHARE:.0%}: {lost.sum():,} of {tried.selected.sum():,} selected tokens; by source, lost of selected:"
    )
    for source in sorted(set(tried.sources), key=lambda name: -int(lost[tried.sources == name].sum()))[:8]:
        own = tried.sources == source
        length = tried.tokens[own & (lost > 0)].mean() if lost[own].any() else 0
        print(
            f"  {source:<24}{lost[own].sum():>8,} of {tried.selected[own].sum():>8,}, "
            f"{np.count_nonzero(lost[own]):,} documents of {length:,.0f} tokens on average"
        )


def report_audit(
    run: Run,
    shards: Sequence[Shard],
    scores: NDArray[np.float32],
    tried: Tried,
    chosen: SelectionSettings,
    place: Path,
) -> None:
    above, share = above_threshold(scores, tried)
    truth = tried.selected[above].sum() / tried.selected.sum()
    found = []
    for seed in range(DRAWS):
        drawn = np.array([draw_of(text, seed) < AUDIT for text in tried.texts])
        weights = np.where(above, 1.0, np.where(drawn, 1 / AUDIT, 0.0))
        found.append(audited(run, shards, weights, tried, chosen, place / "audit", share))
    held = sum(each.recall_low <= truth <= each.recall_high for each in found)
    widths = [each.recall_high - each.recall_low for each in found]
    print(
        f"audit of {AUDIT:.0%}: true recall {truth:.2%}, estimates {np.mean([each.recall for each in found]):.2%} on "
        f"average, from {min(each.recall for each in found):.2%} to {max(each.recall for each in found):.2%}; the "
        f"interval, {np.mean(widths):.2%} wide on average, holds the truth in {held} of {DRAWS} draws"
    )


def audited(
    run: Run,
    shards: Sequence[Shard],
    weights: NDArray[np.float64],
    tried: Tried,
    chosen: SelectionSettings,
    place: Path,
    share: float,
) -> Screened:
    """What a selection says whose documents of no weight have no score; these are left out of the files, not counted
    out of the tokens."""
    first, sidecars = 0, []
    for shard in shards:
        rows = pq.read_metadata(shard.output(run.scores)).num_rows
        own = slice(first, first + rows)
        path = place / f"{shard.name}.parquet"
        write_screened(shard.output(run.scores), path, weights[own], int(tried.tokens[own].sum()), chosen, share)
        sidecars.append((shard.name, path))
        first += rows
    said = select(sidecars, chosen, place / "selection").screened
    assert said is not None
    return said


def write_screened(
    source: Path, path: Path, weights: NDArray[np.float64], tokens: int, chosen: SelectionSettings, share: float
) -> None:
    table = pq.read_table(source).filter(pa.array(weights > 0))
    kept, column = weights[weights > 0], influence_column(chosen.behaviour)
    columns = [pa.array(np.zeros(len(kept), np.float32)), pa.array(kept)]
    for field, values in zip(FIELDS, columns, strict=True):
        table = table.append_column(field, values)
    whole, audit = Histogram(), Histogram()
    whole.add(table[column].combine_chunks().flatten().to_numpy())
    audit.add(table.filter(pa.array(kept > 1))[column].combine_chunks().flatten().to_numpy())
    facts = ScreenedFacts(screen="0" * 64, threshold=0.0, share=share, audit=AUDIT, seed=0, tokens=tokens)
    said = {
        name: value for name, value in metadata_of_file(pq.read_metadata(source), source).items() if name != CHECKSUM
    }
    said[HISTOGRAMS] = {chosen.behaviour: whole.to_text()}
    said[SCREENED] = facts.model_copy(update={"audited": {chosen.behaviour: audit.to_text()}}).model_dump()
    with writing_scores(path, table.schema.remove_metadata()) as sink:
        for batch in table.replace_schema_metadata().combine_chunks().to_batches():
            sink.write(batch)
        sink.describe(checked(said))


def report_times(run: Run, model: str, screen: Screen, tried: Tried, most: int) -> None:
    """CPU seconds over the first documents of `most` tokens, in this process, the loading of the model apart."""
    count = int(np.searchsorted(np.cumsum(tried.tokens), most))
    texts = tried.texts[:count]
    if not texts:
        return
    directions = tuple(str(run.direction(behaviour)) for behaviour in run.behaviours)
    loaded = load_scorer(ScoreSettings(model, directions))
    scored(loaded, texts[:8])  # finds its steps
    began = time.process_time()
    scored(loaded, texts)
    whole = time.process_time() - began
    began = time.process_time()
    scores = np.concatenate([screen.of(part) for part in pieces(texts)])
    characters = np.array([len(text) for text in texts])
    threshold = find_threshold(lambda: [(scores, characters)], SHARE)
    drawn = np.array([draw_of(text, 0) < AUDIT for text in texts])
    chosen = (scores >= np.float32(threshold.value)) | drawn
    scored(loaded, texts, chosen)
    part = time.process_time() - began
    print(
        f"{tried.tokens[:count].sum():,} tokens: {whole:,.1f} CPU s to score all, {part:,.1f} to screen all and score "
        f"{SHARE:.0%} and the audit: {part / whole:.1%}"
    )


def scored(loaded: LoadedScorer, texts: Sequence[str], chosen: NDArray[np.bool_] | None = None) -> None:
    """Tokenize all texts, and score all of them or those that are `chosen`."""
    encodings = loaded.encode(texts, [str(number) for number in range(len(texts))])
    kept = [each for number, each in enumerate(encodings) if chosen is None or chosen[number]]
    loaded.score(kept, [str(number) for number in range(len(kept))])


def pieces(texts: Sequence[str], size: int = 512) -> Iterator[Sequence[str]]:
    return (texts[first : first + size] for first in range(0, len(texts), size))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="scored run, all of whose documents have scores")
    parser.add_argument("--learn", type=int, default=4, help="shards that are learnt from, the first ones")
    parser.add_argument("--most", type=int, default=None, help="shards that are tried, at most")
    parser.add_argument("--kinds", nargs="+", default=["ngrams", "probe"])
    parser.add_argument("--model", help="of the probe; default: the run's")
    parser.add_argument("--source", default="meta.source", help="dotted column that says where a document is from")
    parser.add_argument("--timed", type=int, default=200_000, help="tokens that are scored for the times")
    return parser.parse_args()


if __name__ == "__main__":
    main()
