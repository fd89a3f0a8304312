"""A shard that changed between scoring and writing: its scores are of other rows, and must not be joined to these."""

from __future__ import annotations

from collections.abc import Iterable

import orjson
import pyarrow as pa

from ifcurate.corpus.documents import texts_of
from ifcurate.corpus.jsonl import holds_row
from ifcurate.corpus.messages import as_text
from ifcurate.corpus.shards import Shard
from ifcurate.corpus.text_hash import TextHash
from ifcurate.errors import InputError


class ChangedShardError(InputError):
    """A shard does not hold the rows that its scores are of."""


def misfit(shard: Shard, problem: str) -> ChangedShardError:
    """What to say of a shard that is not the one that was scored."""
    return ChangedShardError(
        f"{shard.path}: {problem}; it changed since, and is scored anew by `ifcurate annotate` as before, or by "
        "`score`, `select` and `write`."
    )


class TextCheck:
    """Compares the texts of a shard with those that were scored, as they are read for writing.

    Args:
        shard: the input.
        column: its column of texts.
        expected: hash of all texts that were scored, see `TextHash`.
    """

    def __init__(self, shard: Shard, column: str, expected: str) -> None:
        self._shard, self._column, self._expected = shard, column, expected
        self._found = TextHash()

    def see_batch(self, batch: pa.RecordBatch) -> None:
        """The next rows.

        Raises:
            ChangedShardError: they have no column of texts.
        """
        if self._column not in batch.schema.names:
            raise misfit(self._shard, f"has no column {self._column!r} any more")
        self._found.add(texts_of(batch.column(self._column)))

    def see_lines(self, lines: Iterable[bytes]) -> None:
        """The next lines of JSON.

        Raises:
            ChangedShardError: one is no JSON object.
        """
        try:
            rows = [orjson.loads(line.removeprefix(b"\xef\xbb\xbf")) for line in lines if holds_row(line)]
            values = [row.get(self._column) for row in rows]
        except (ValueError, AttributeError) as error:
            raise misfit(self._shard, "holds a line that is no JSON object") from error
        self._found.add(value if isinstance(value, str) else as_text(value) for value in values)

    def finish(self) -> None:
        """Call after the last row.

        Raises:
            ChangedShardError: the texts are not those that were scored, or in another order.
        """
        if self._found.hexdigest() != self._expected:
            raise misfit(self._shard, "has other texts, or in another order, than those that were scored")
