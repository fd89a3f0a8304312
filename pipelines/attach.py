"""Recipe of `ifcurate attach`: published annotations beside one's own copy of the corpus."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ifcurate.annotation.dropped_rows import without_rows
from ifcurate.annotation.lines import append_to_lines
from ifcurate.annotation.matching import DOCUMENTS, Matched, Matching, keys, matching
from ifcurate.annotation.provenance import provenance_of, write_provenance
from ifcurate.annotation.published import ANNOTATIONS, TEXT_HASH, labels
from ifcurate.annotation.scattered import Scattered
from ifcurate.annotation.schema import annotation_fields, spans_column
from ifcurate.annotation.writer import Rows, check_new_columns, write_annotated
from ifcurate.corpus.documents import ID, document_columns, texts_of
from ifcurate.corpus.shards import Shard, corpus_fingerprint, known, list_corpus, list_shards, open_shard
from ifcurate.corpus.text_hash import hash_text
from ifcurate.errors import InputError, first_line
from ifcurate.files import clear, finishing_folder, remove_parts_of
from ifcurate.hub import downloaded
from ifcurate.pipelines.attach_config import AttachConfig
from ifcurate.pipelines.finished_folder import made_from, record_made
from ifcurate.progress import log, track
from ifcurate.selection.scores import FLOAT_LIST, LOSS, ON

MADE_FILE = "attach.yaml"
WORK = ".attach"
"""Below the output while it is made: no shard has such a name."""
MATCHED = "matched"


@dataclass(frozen=True)
class Published:
    """The shards of published annotations, the columns that they give, and how these were made."""

    shards: list[Shard]
    fields: list[pa.Field]
    said: dict[str, Any]

    @classmethod
    def open(cls, place: str) -> Published:
        """Those at `place`.

        Raises:
            InputError: there are none, or they do not say which texts they belong to.
        """
        folder = downloaded(place, "dataset", f"{ANNOTATIONS}/*")
        inside = Path(folder) / ANNOTATIONS
        shards = [known(shard) for shard in list_shards(str(inside) if inside.is_dir() else folder)]
        schema = open_shard(shards[0]).readable
        said = provenance_of(shards[0], schema)
        on = {name: (said.get(name) or {}).get(ON) for name in _behaviours(schema)}
        ours = [field for name in on for field in annotation_fields(name, messages=on[name] is not None)]
        fields = [field for field in [pa.field(LOSS, FLOAT_LIST), *ours] if field.name in schema.names]
        for shard in shards:
            names = open_shard(shard).readable.names
            for needed in (TEXT_HASH, *(field.name for field in fields)):
                if needed not in names:
                    raise InputError(
                        f"{shard.path}: has no column {needed!r}; give annotations made by `ifcurate publish`, all of "
                        "one data set."
                    )
        if not fields:
            raise InputError(f"{shards[0].path}: has no annotation; give annotations made by `ifcurate publish`.")
        return cls(shards, fields, said)

    def keys(self) -> Iterator[pa.RecordBatch]:
        """Every annotation as `KEYS`, in order."""
        first = 0
        for shard in self.shards:
            reader = open_shard(shard)
            beside = [ID] if ID in reader.readable.names else []
            for batch in reader.batches([TEXT_HASH, *beside]) if reader.num_rows else ():
                ids = labels(batch.column(ID)).to_pylist() if beside else None
                yield keys(first, ids, batch.column(TEXT_HASH).to_pylist(), shard.path)
                first += batch.num_rows

    def columns(self) -> Iterator[pa.RecordBatch]:
        """The columns of every annotation, in the same order."""
        schema = pa.schema(self.fields)
        for shard in self.shards:
            reader = open_shard(shard)
            for batch in reader.batches(schema.names) if reader.num_rows else ():
                try:
                    yield batch.cast(schema)
                except (pa.ArrowException, NotImplementedError) as error:
                    raise InputError(
                        f"{shard.path}: its columns are not those of annotations ({first_line(error)}); get it again."
                    ) from error


def attach(config: AttachConfig) -> Matched:
    """Write every shard of the corpus with the annotations of its documents; the folder `config.out` appears when it is
    complete.

    Raises:
        InputError: there are no annotations or no corpus, a column is there already, documents or annotations do not
            match and that is not allowed, or the folder holds something else.
    """
    out = Path(config.out)
    _refuse_inside(out, config.to)
    published = Published.open(config.annotations)
    listing = list_corpus(config.to)
    shards = [known(shard) for shard in listing.shards]
    check_new_columns(shards, published.fields)
    origin = {"annotations": corpus_fingerprint(published.shards), "corpus": corpus_fingerprint(shards)}
    if config.overwrite:
        clear(out, MADE_FILE)
    if (made := made_from(out, MADE_FILE, config, origin)) is not None:
        log.info(f"{out}: is written already; --overwrite writes it anew")
        return Matched(**made[MATCHED])
    log.info(listing.sentence())
    remove_parts_of(out)
    with finishing_folder(out) as part:
        work = part / WORK
        work.mkdir()
        with matching(work) as found:
            matched = _match(found, published, shards, config)
            _write(found, published, shards, config, part, work)
        shutil.rmtree(work)
        record_made(part, MADE_FILE, config, {**origin, MATCHED: asdict(matched)})
    return matched


def _refuse_inside(out: Path, corpus: str) -> None:
    folder = Path(corpus)
    if folder.is_dir() and out.resolve().is_relative_to(folder.resolve()):
        raise InputError(
            f"option --out: {out} lies inside the corpus, and its files would become a part of it; give another folder."
        )


def _behaviours(schema: pa.Schema) -> list[str]:
    """Those that have spans, in the order of the columns."""
    suffix = spans_column("")
    return [name.removesuffix(suffix) for name in schema.names if name.endswith(suffix) and name != suffix]


def _match(found: Matching, published: Published, shards: Sequence[Shard], config: AttachConfig) -> Matched:
    found.add_annotations(published.keys())
    with track("attach", sum(shard.size for shard in shards), "documents") as tracker:
        done = documents = 0
        for shard in shards:
            for key in _keys(shard, documents, config):
                found.add_documents([key])
                documents += key.num_rows
                tracker.update(done, documents)
            done += shard.size
    matched = found.find_pairs()
    if config.unmatched == "refuse" and matched.documents + matched.annotations:
        raise InputError(
            f"option --unmatched: {matched.sentence()}; give the corpus that was annotated, or keep or drop them."
        )
    return matched


def _keys(shard: Shard, first: int, config: AttachConfig) -> Iterator[pa.RecordBatch]:
    """The documents of `shard` as keys, the first of them at `first`."""
    reader = open_shard(shard)
    if not reader.num_rows:
        return
    ids_from = document_columns(shard, reader, config.text_column, config.id_column)
    for batch in reader.batches(list(dict.fromkeys([config.text_column, *([ids_from] if ids_from else [])]))):
        texts = texts_of(batch.column(config.text_column))
        hashes = [None if text is None else hash_text(text) for text in texts]
        yield keys(first, labels(batch.column(ids_from)).to_pylist() if ids_from else None, hashes, shard.path)
        first += batch.num_rows


def _write(
    found: Matching, published: Published, shards: Sequence[Shard], config: AttachConfig, out: Path, work: Path
) -> None:
    """Every shard below `out`, with the columns of its documents."""
    documents = sum(open_shard(shard).num_rows for shard in shards)
    ordered = _by_document(found, published, work).in_order(documents, of_all=config.unmatched != "drop")
    columns = Rows(ordered, pa.schema(published.fields))
    alone = found.without_annotation() if config.unmatched == "drop" else iter(())
    waiting = next(alone, None)
    lines = [shard for shard in shards if shard.holds_lines]
    if lines:
        before = provenance_of(lines[0], open_shard(lines[0]).readable)
        write_provenance(out, json.loads(json.dumps({**before, **published.said})))
    first = 0
    for shard in shards:
        last = first + open_shard(shard).num_rows
        dropped = []
        while waiting is not None and waiting < last:
            dropped.append(waiting - first)
            waiting = next(alone, None)
        kept = without_rows(shard, dropped, work) if dropped else shard
        annotations = _batches(columns, last - first - len(dropped))
        path = shard.annotated(out, "same")
        if shard.holds_lines:
            append_to_lines(kept, path, published.fields, annotations)
        else:
            write_annotated(kept, path, published.fields, annotations, published.said)
        first = last


def _by_document(found: Matching, published: Published, work: Path) -> Scattered:
    """The columns of the annotations that belong to a document, at its place."""
    scattered = Scattered(work, pa.schema(published.fields))
    documents = Rows(found.documents(), DOCUMENTS)
    for batch in published.columns():
        places = documents.take(batch.num_rows).column(0).fill_null(-1).to_numpy()
        scattered.add(places[places >= 0], batch.filter(pa.array(places >= 0)))
    return scattered


def _batches(columns: Rows, count: int) -> Iterator[pa.RecordBatch]:
    """The next `count` rows."""
    while count > 0 and (batch := columns.take(min(count, 4096))).num_rows:
        count -= batch.num_rows
        yield batch
