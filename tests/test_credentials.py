from __future__ import annotations

from pathlib import Path

import pytest

from ifcurate.config import build
from ifcurate.corpus.settings import CorpusSettings
from ifcurate.corpus.shards import list_shards
from ifcurate.corpus.tables import read_rows
from ifcurate.credentials import has_credentials, masked
from ifcurate.errors import InputError

WITH = {
    "s3://AKIA:hush@bucket/corpus": "s3://***@bucket/corpus",
    "simplecache::ftp://me:hush@host/*.jsonl": "simplecache::ftp://***@host/*.jsonl",
    "https://host/a.parquet?v=1&X-Amz-Signature=hush&x=2": "https://host/a.parquet?v=1&X-Amz-Signature=***&x=2",
    "abfs://c@account.dfs.core.windows.net/a?sig=hush": "abfs://c@account.dfs.core.windows.net/a?sig=***",
    "name=https://me:hush@host/a.jsonl": "name=https://***@host/a.jsonl",
}
WITHOUT = (
    "s3://bucket/corpus",
    "s3://bucket/part-?.parquet",
    "s3://bucket/a.parquet?versionId=3",
    "hf://datasets/owner/name@main/data",
    "abfs://container@account.dfs.core.windows.net/corpus",
    "github://owner:repository@main/data",
    "zip://a.jsonl::s3://bucket/a.zip",
    "/data/key=1/a:b@c",
)


@pytest.mark.parametrize("url", WITH)
def test_a_url_with_credentials_is_refused_without_repeating_them(url: str, tmp_path: Path) -> None:
    assert masked(url) == WITH[url]
    file = tmp_path / "settings.yaml"
    file.write_text(f"corpus: '{url}'\n")
    for attempt in (
        lambda: build(CorpusSettings, {"corpus": url}),
        lambda: build(CorpusSettings, {}, file),
        lambda: list_shards(url),
        lambda: read_rows(url),
    ):
        with pytest.raises(InputError, match="holds credentials") as refusal:
            attempt()
        assert "hush" not in str(refusal.value)
        assert WITH[url] in str(refusal.value)


@pytest.mark.parametrize("url", WITHOUT)
def test_a_place_that_only_looks_like_it_is_none(url: str) -> None:
    assert not has_credentials(url)
    assert masked(url) == url
    assert build(CorpusSettings, {"corpus": url}).corpus == url
