"""The table in docs/models.md is true: of a part of the architectures always, of all in `make test-models`."""

from pathlib import Path

import pytest
import transformers
from architectures import NAMES, REFUSED, WORKS, documented, of_today, verdict

PAGE = Path(__file__).parents[2] / "docs/models.md"
REPRESENTATIVES = [
    "gemma2",
    "gemma3",
    "git",
    "got_ocr2",
    "gpt_oss",
    "llama4_text",
    "mamba",
    "mistral",
    "musicgen",
    "phi3",
]
REPRESENTATIVES += ["deepseek_v4", "qwen3_moe", "reformer", "zamba2"]
VERSION, ROWS = documented(PAGE)

pytestmark = pytest.mark.skipif(transformers.__version__ != VERSION, reason=f"the table is of transformers {VERSION}")


def test_every_architecture_stands_in_the_table():
    assert sorted(ROWS) == NAMES
    assert {row.split("|")[2].strip() for row in ROWS.values()} == {WORKS, REFUSED}


@pytest.mark.parametrize("name", sorted({*REPRESENTATIVES, *of_today()}))
def test_the_table_is_true(name):
    assert verdict(name).row(name) == ROWS[name]


@pytest.mark.models
@pytest.mark.parametrize("name", NAMES)
def test_the_whole_table_is_true(name):
    assert verdict(name).row(name) == ROWS[name]
