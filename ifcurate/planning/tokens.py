"""How many tokens a corpus has, from a sample: shards at equal distances, parts of these and documents at random.

Of every part that is read all documents are counted, with their characters; some are tokenized. What a shard holds is
in proportion to its rows, what the corpus holds to the bytes of its shards, so that neither needs to be read whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from ifcurate.corpus.documents import check_documents, on_messages, texts_of
from ifcurate.corpus.formats import ShardReader
from ifcurate.corpus.parquet import ParquetReader, Part
from ifcurate.corpus.settings import BadRows, On
from ifcurate.corpus.shards import Shard, open_shard
from ifcurate.errors import InputError
from ifcurate.model.conversations import encode
from ifcurate.model.windows import Encoding
from ifcurate.planning.durations import Took, clocked
from ifcurate.planning.estimates import Interval, Unit, interval, ratio_estimate

MOST_SHARDS = 32
"""Shards that are opened."""
MOST_BYTES = 256 << 20
"""Of these shards together, unless fewer than `FEWEST_SHARDS` would be left."""
FEWEST_SHARDS = 8
MOST_PARTS = 2
"""Parts read of a shard of Parquet; shards of other formats are read whole."""
MOST_DOCUMENTS = 2048
"""Documents that are tokenized, in all."""
MOST_CHARACTERS = 1 << 23
"""Of these documents, beyond two a part."""


@dataclass(frozen=True)
class Drawn:
    """A tokenized document, and how many of the corpus it stands for."""

    encoding: Encoding
    weight: float


@dataclass(frozen=True)
class CorpusSample:
    """What a sample says of a corpus.

    Attributes:
        tokens: of all documents, those that carry no loss included.
        documents: rows of all shards.
        characters: of all texts.
        bytes: of all shards, as stored.
        shards: how many there are.
        opened: how many of them were looked into.
        drawn: the tokenized documents.
        tokenizing: what encoding them took.
        on: whose messages carry a loss; None where documents are texts.
    """

    tokens: Interval
    documents: Interval
    characters: Interval
    bytes: int
    shards: int
    opened: int
    drawn: list[Drawn]
    tokenizing: Took
    on: On | None

    @property
    def tokens_drawn(self) -> int:
        """Tokens of the documents that were tokenized."""
        return sum(len(document.encoding) for document in self.drawn)


@dataclass(frozen=True)
class _Sampled:
    """A shard or a part of one: its tokens, rows and characters, and the documents drawn from it."""

    tokens: Unit
    rows: Unit
    characters: Unit
    drawn: list[Drawn]
    tokenizing: Took

    def weighted(self, factor: float) -> list[Drawn]:
        """Its documents, each standing for `factor` times as many."""
        return [Drawn(document.encoding, factor * document.weight) for document in self.drawn]


def sample_corpus(
    shards: Sequence[Shard],
    tokenizer: PreTrainedTokenizerFast,
    text_column: str,
    id_column: str | None = None,
    bad_rows: BadRows = "refuse",
    on: On = "replies",
    seed: int = 0,
) -> CorpusSample:
    """Draw documents, and estimate what all of them hold.

    Raises:
        InputError: a shard that is opened cannot be used, or no document that was drawn has a token.
    """
    generator = np.random.default_rng(seed)
    chosen = _choose(shards, generator)
    check_documents(chosen, text_column, id_column, bad_rows)
    of_messages = on_messages(chosen, text_column, on)
    reading = _Reading(tokenizer, text_column, of_messages, generator, len(chosen))
    sizes = _sizes(shards)
    found = [reading.shard(shard, sizes[shard.name]) for shard in chosen]
    size = sum(sizes.values())
    tokens, rows, characters = (
        interval(ratio_estimate([getattr(one, what) for one in found], len(shards), size))
        for what in ("tokens", "rows", "characters")
    )
    if not tokens.value:
        raise InputError("option CORPUS: no document that was drawn has a token; give a corpus with text.")
    return CorpusSample(
        tokens,
        rows,
        characters,
        sum(shard.size for shard in shards),
        len(shards),
        len(chosen),
        [document for one in found for document in one.weighted(len(shards) / len(chosen))],
        sum((one.tokenizing for one in found), Took()),
        of_messages,
    )


def _choose(shards: Sequence[Shard], generator: np.random.Generator) -> list[Shard]:
    """As many shards as the limits allow, at equal distances in the order of their names, from a random one on.

    Where neighbours are alike, this sees more of the corpus than a draw would, and the interval is on the safe side.
    """
    affordable = MOST_BYTES * len(shards) // max(1, sum(shard.size for shard in shards))
    count = min(len(shards), max(FEWEST_SHARDS, min(MOST_SHARDS, affordable)))
    places = (np.arange(count) + generator.random()) * (len(shards) / count)
    return [shards[place] for place in places.astype(int).tolist()]


def _sizes(shards: Sequence[Shard]) -> dict[str, float]:
    """What the content of shards is in proportion to, by name: their bytes, or rows where one of them is cut."""
    if all(shard.limit is None for shard in shards):
        return {shard.name: shard.size for shard in shards}
    return {shard.name: open_shard(shard).num_rows for shard in shards}


@dataclass(frozen=True)
class _Reading:
    """How shards are read, of which there are `shards`."""

    tokenizer: PreTrainedTokenizerFast
    text_column: str
    on: On | None
    generator: np.random.Generator
    shards: int

    def shard(self, shard: Shard, size: float) -> _Sampled:
        """One shard, `size` large among the others, from some of its parts: in proportion to its rows."""
        reader = open_shard(shard)
        parts = [part for part in _parts(reader) if part.rows]
        picked = self.generator.permutation(len(parts))[:MOST_PARTS].tolist()
        found = [self._part(shard, reader, parts[index], len(picked)) for index in picked]
        if not found:
            return _Sampled(Unit(size, 0), Unit(size, 0), Unit(size, 0), [], Took())

        def whole(what: str) -> Unit:
            of_parts = ratio_estimate([getattr(one, what) for one in found], len(parts), reader.num_rows)
            return Unit(size, of_parts.total, of_parts.variance, of_parts.freedom)

        drawn = [document for one in found for document in one.weighted(len(parts) / len(found))]
        tokenizing = sum((one.tokenizing for one in found), Took())
        return _Sampled(whole("tokens"), Unit(size, reader.num_rows), whole("characters"), drawn, tokenizing)

    def _part(self, shard: Shard, reader: ShardReader, part: Part, parts: int) -> _Sampled:
        """The rows of a part, all counted and some tokenized."""
        wanted = max(2, min(part.rows, MOST_DOCUMENTS // (self.shards * parts)))
        rows = set(self.generator.choice(part.rows, min(wanted, part.rows), replace=False).tolist())
        texts, lengths = self._texts(reader, part, rows, MOST_CHARACTERS // (self.shards * parts))
        names = [f"{shard.name}:{part.first_row + row}" for row in texts]
        encodings, took = clocked(lambda: encode(self.tokenizer, list(texts.values()), names, self.on))
        units = [Unit(float(lengths[row]), len(encoding)) for row, encoding in zip(texts, encodings, strict=True)]
        characters = float(lengths.sum())
        tokens = ratio_estimate(units, part.rows, characters)
        counted = Unit(part.rows, tokens.total, tokens.variance, tokens.freedom)
        drawn = [Drawn(encoding, part.rows / len(units)) for encoding in encodings]
        return _Sampled(counted, Unit(part.rows, part.rows), Unit(part.rows, characters), drawn, took)

    def _texts(
        self, reader: ShardReader, part: Part, rows: set[int], characters: int
    ) -> tuple[dict[int, str], NDArray[np.int64]]:
        """The texts of some rows of a part, as long as they are not too many characters, and the lengths of all."""
        texts: dict[int, str] = {}
        lengths: list[int] = []
        order = {row: place for place, row in enumerate(self.generator.permutation(sorted(rows)).tolist())}
        for text in _read(reader, self.text_column, part):
            if len(lengths) in order:
                texts[len(lengths)] = text
            lengths.append(len(text))
        kept: list[int] = []
        held = 0
        for row in sorted(order, key=order.__getitem__):
            held += lengths[row]
            if held > characters and len(kept) >= 2:
                break
            kept.append(row)
        return {row: texts[row] for row in sorted(kept)}, np.array(lengths, np.int64)


def _parts(reader: ShardReader) -> list[Part]:
    """What of a shard can be read alone; all of it, where that is nothing less."""
    if isinstance(reader, ParquetReader):
        return reader.parts()
    return [Part(0, reader.num_rows, range(0))]


def _read(reader: ShardReader, column: str, part: Part) -> Iterator[str]:
    batches = reader.batches([column], part=part) if isinstance(reader, ParquetReader) else reader.batches([column])
    for batch in batches:
        yield from (text or "" for text in texts_of(batch.column(column)))
