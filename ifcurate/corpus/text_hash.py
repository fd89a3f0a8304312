"""What tells a text from others, and the texts of a shard, in their order, from those of others: hashes."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from ifcurate.corpus.documents import texts_of
from ifcurate.corpus.shards import Shard, open_shard

_NO_TEXT = b"\xff" * 8
"""In the place of a length: a row whose text is null or not UTF-8."""


class TextHash:
    """SHA-256 of texts in order, each with its length, so that no two lists of texts are alike."""

    def __init__(self) -> None:
        self._digest = sha256()

    def add(self, texts: Iterable[str | None]) -> None:
        """The next texts; None stands for one that is null or not UTF-8."""
        for text in texts:
            if text is None:
                self._digest.update(_NO_TEXT)
            else:
                encoded = text.encode("utf-8", "surrogatepass")
                self._digest.update(len(encoded).to_bytes(8, "little"))
                self._digest.update(encoded)

    def hexdigest(self) -> str:
        """Of all texts so far."""
        return self._digest.hexdigest()


def hash_text(text: str) -> str:
    """Hex SHA-256 of one text as UTF-8: what stands for it where it is not given itself."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def hash_texts(shard: Shard, text_column: str) -> str:
    """The hash of all texts of a shard, whose file is read once.

    Raises:
        InputError: the file cannot be read.
    """
    found = TextHash()
    reader = open_shard(shard)
    if reader.num_rows:
        for batch in reader.batches([text_column]):
            found.add(texts_of(batch.column(text_column)))
    return found.hexdigest()
