"""Reader: the documents of shards, every row of them, in order."""

from __future__ import annotations

from collections.abc import Sequence

from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

from ifcurate.corpus.documents import read_documents
from ifcurate.corpus.settings import BadRows
from ifcurate.corpus.shards import Shard, known, list_shards

SHARD = "shard"
ROW = "row"
SKIPPED = "skipped"


class ReadShards(PipelineStep):
    """Yields every row as a document, empty texts included; task r of n reads shards r, r + n, r + 2n, ...

    `metadata` holds the shard's name and the row's number; other columns stay in the shard, where
    `WriteAnnotations` finds them again with their types.

    Args:
        corpus: file, folder, glob or URL, or shards listed before.
        text_column: column that holds the documents.
        id_column: column that holds their ids; default: `id` if there is one, else `<shard>:<row>`.
        bad_rows: whether rows whose text is null or not UTF-8 are refused, or are documents without text, whose
            metadata says `skipped`.
    """

    name = "📄 Shards"
    type = "📖 - READER"

    def __init__(
        self,
        corpus: str | Sequence[Shard],
        text_column: str = "text",
        id_column: str | None = None,
        bad_rows: BadRows = "refuse",
    ) -> None:
        super().__init__()
        listed = list_shards(corpus) if isinstance(corpus, str) else corpus
        self.shards = [known(shard) for shard in listed]
        self.text_column = text_column
        self.id_column = id_column
        self.bad_rows = bad_rows

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Documents of upstream steps first, then those of this task's shards."""
        if data:
            yield from data
        for shard in self.shards[rank::world_size]:
            for batch in read_documents(shard, self.text_column, self.id_column, bad_rows=self.bad_rows):
                for row, (identifier, text) in enumerate(zip(batch.ids, batch.texts, strict=True), batch.first_row):
                    document = Document(text=text, id=identifier, metadata={SHARD: shard.name, ROW: row})
                    if row - batch.first_row in batch.skipped:
                        document.metadata[SKIPPED] = True
                    self.stat_update("documents")
                    self.update_doc_stats(document)
                    yield document
