"""Scores of a shard's first documents, kept while the others are scored: what a stopped run need not score again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from datatrove.data import Document
from numpy.typing import NDArray
from safetensors.numpy import load, save

from ifcurate.corpus.text_hash import TextHash
from ifcurate.files import finishing, remove
from ifcurate.influence.scorer import Work
from ifcurate.pipelines.steps.read_shards import ROW, SHARD
from ifcurate.progress import log

_LENGTHS, _SCORED, _WORK = "lengths", "scored", "work"
_DIGEST_BYTES = 32


@dataclass(frozen=True)
class ScoredGroup:
    """Scores of consecutive documents.

    Attributes:
        lengths: int64 [documents], tokens of each.
        columns: name in the metadata of a document -> one value a token [tokens], one document after the other.
        work: what it took.
        scored: bool [documents], those that have a score; values of floating point are one's score.
    """

    lengths: NDArray[np.int64]
    columns: Mapping[str, NDArray[Any]]
    work: Work
    scored: NDArray[np.bool_]

    def attach(self, documents: Sequence[Document]) -> None:
        """Put its values into the metadata of every document, as lists of plain numbers; None in place of no score."""
        ends = np.cumsum(self.lengths)[:-1]
        for name, values in self.columns.items():
            is_score = values.dtype.kind == "f"
            for document, own, scored in zip(documents, np.split(values, ends), self.scored, strict=True):
                document.metadata[name] = None if is_score and not scored else own.tolist()


@dataclass(frozen=True)
class KeptGroups:
    """Groups in `<folder>/<shard>/<first row>`, each led by a hash of its bytes and of all that decided them.

    Args:
        folder: where they are; nothing else is there.
        made_of: what decides the scores, apart from shard, rows and texts.
    """

    folder: Path
    made_of: Mapping[str, Any]

    def find(self, documents: Sequence[Document]) -> ScoredGroup | None:
        """The scores of `documents` if these were kept; what is damaged or of anything else is not taken, and said."""
        file = self._file(documents)
        if not file.is_file():
            return None
        content = file.read_bytes()
        digest, stored = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if digest != self._digest(documents, stored):
            log.warning(f"{file}: is damaged, or of other documents or settings; its documents are scored again.")
            return None
        columns = load(stored)
        lengths, scored, work = (columns.pop(name) for name in (_LENGTHS, _SCORED, _WORK))
        return ScoredGroup(lengths, {name: columns[name] for name in sorted(columns)}, Work(*work.tolist()), scored)

    def keep(self, documents: Sequence[Document], group: ScoredGroup) -> None:
        """Store the scores of `documents`.

        Raises:
            InputError: the disk is full.
        """
        work = np.array(astuple(group.work), np.int64)
        stored = save({**group.columns, _LENGTHS: group.lengths, _SCORED: group.scored, _WORK: work})
        with finishing(self._file(documents)) as part:
            part.write_bytes(self._digest(documents, stored) + stored)

    def remove(self, shard: str) -> None:
        """Forget the groups of `shard`, whose scores are written."""
        remove(self.folder / shard)

    def _file(self, documents: Sequence[Document]) -> Path:
        first = documents[0].metadata
        return self.folder / first[SHARD] / f"{first[ROW]}.group"

    def _digest(self, documents: Sequence[Document], stored: bytes) -> bytes:
        texts, first = TextHash(), documents[0].metadata
        texts.add(document.text for document in documents)
        made_of = [dict(self.made_of), first[SHARD], first[ROW], texts.hexdigest()]
        return sha256(json.dumps(made_of, sort_keys=True).encode() + b"\n" + stored).digest()
