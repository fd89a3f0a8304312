"""Bytes a token of score files and columns: near to those of a real run."""

import pyarrow.parquet as pq
import pytest
from runs import texts, write_shards

from ifcurate.corpus.shards import list_shards
from ifcurate.model.checkpoints import load_tokenizer
from ifcurate.model.windows import encode_documents
from ifcurate.planning.disk import Asked, stored_sample

DOCUMENTS = texts(1500, seed=7)


@pytest.fixture(scope="module")
def encodings(workshop):
    return encode_documents(load_tokenizer(str(workshop.root / "model")), DOCUMENTS)


def test_score_files_and_columns_are_as_large_as_a_runs(workshop, finished, encodings, tmp_path):
    corpus = write_shards(tmp_path / "corpus", [DOCUMENTS])
    run = workshop.annotate(corpus=corpus, direction=finished.direction("toxic"), out=tmp_path / "run", budget="2%")
    found = stored_sample(encodings, Asked(["toxic"]))
    tokens = sum(map(len, encodings))
    (shard,) = list_shards(str(corpus))
    assert shard.output(run.scores).stat().st_size / tokens == pytest.approx(found.scores, rel=0.1)
    group = pq.read_metadata(shard.annotated(run.data, "same")).row_group(0)
    columns = [group.column(index) for index in range(group.num_columns)]
    added = [column for column in columns if column.path_in_schema.startswith(("toxic_", "token_ids"))]
    gained = sum(column.total_compressed_size for column in added) / tokens
    assert 0.7 * found.columns < gained < 1.05 * found.columns  # texts, and so scores, are often the same


def test_fewer_bits_take_less_and_lines_take_more(encodings):
    whole, half = (stored_sample(encodings, Asked(["toxic"], precision=p)) for p in ("float32", "float16"))
    assert half.scores < whole.scores - 1
    lines, packed = (stored_sample(encodings, Asked(["toxic"], suffix=s)).columns for s in (".jsonl", ".jsonl.zst"))
    assert lines > 2 * packed > whole.columns
    both = stored_sample(encodings, Asked(["toxic", "rude"], with_loss=True, token_ids=False))
    assert both.scores > whole.scores + 6
