"""The recipes of docs/integrations.md: Python runs where its packages are installed, YAML names what an export has."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from annotated_corpora import MARKED_WORDS, TEXTS, WORDS, annotate, word_tokenizer

from ifcurate.export.config import ExportConfig
from ifcurate.pipelines.export import export

PAGE = Path(__file__).parents[1] / "docs/integrations.md"
FOREIGN = ("olmo_core", "megatron", "streaming")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with MODEL and every EXPORT that the page reads, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    annotate(tmp_path / "data", word_tokenizer(tmp_path / "MODEL"), TEXTS[::-1])
    for kind in re.findall(r"--out EXPORT/([\w-]+)", PAGE.read_text(encoding="utf-8")):
        if kind != "attributes":
            export(ExportConfig(data="data", tokenizer="MODEL", out=f"EXPORT/{kind}", format=kind))
    return tmp_path


@pytest.mark.parametrize("code", blocks("python"), ids=lambda code: code.split("class ")[-1].split("\n")[0])
def test_python_runs(code: str, exports: Path) -> None:
    missing = [name for name in FOREIGN if re.search(rf"^from {name}\b", code, re.M) and find_spec(name) is None]
    if missing:
        pytest.skip(f"needs {missing[0]}: `make test-exports`")
    names: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), names)
    batch = names.get("batch")
    if batch is not None:
        assert batch["loss_weights"].shape == batch["labels"].shape
        assert batch["loss_weights"].min() == -1
    if "windows" in names:
        assert not all(names["windows"][index]["label_mask"].all() for index in range(2))
    if "loss_mask" in names:
        assert names["loss_mask"].tolist() == [1.0]  # the weight of EOS behind the document's one word


def test_the_mask_goes_around_a_collator_that_makes_its_own(exports: Path) -> None:
    """As nanotron's do: labels are shifted, rows have `input_ids` alone, and every label counts."""
    (code,) = [code for code in blocks("python") if "class WithMask" in code]
    names: dict[str, Any] = {}
    exec(code, names)

    def plain(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        assert all(list(row) == ["input_ids"] for row in rows)
        labels = torch.stack([torch.from_numpy(row["input_ids"]) for row in rows])[:, 1:]
        return {"label_ids": labels, "label_mask": torch.ones(labels.shape, dtype=torch.bool)}

    windows = names["windows"]
    batch = names["WithMask"](plain)([windows[index] for index in range(len(windows))])
    marked = {3 + WORDS.index(word) for word in MARKED_WORDS["toxic"]}
    assert {int(label) for label in batch["label_ids"][~batch["label_mask"]]} == marked
    assert not marked & set(batch["label_ids"][batch["label_mask"]].tolist())


def test_the_collator_pads_on_either_side(exports: Path) -> None:
    names: dict[str, Any] = {}
    exec(blocks("python")[0], names)
    features = [{"input_ids": [1, 2, 3], "labels": [1, 2, 3], "loss_weights": [1.0, -2.0, 1.0]}]
    features.append({"input_ids": [4], "labels": [4], "loss_weights": [-3.0]})
    for side, second in {"right": [-3.0, 1.0, 1.0], "left": [1.0, 1.0, -3.0]}.items():
        names["tokenizer"].padding_side = side
        batch = names["WithWeights"](names["DataCollatorForSeq2Seq"](names["tokenizer"]))(features)
        assert batch["loss_weights"].tolist() == [[1.0, -2.0, 1.0], second]
        assert (batch["labels"] == -100).tolist()[1] == [weight == 1.0 for weight in second]


def test_yaml_names_what_the_exports_have(exports: Path) -> None:
    neox, fast_llm, dolma = map(yaml.safe_load, blocks("yaml"))
    for prefix in (*neox["train_data_paths"], *neox["label_data_paths"]):
        assert Path(f"{prefix}.bin").is_file()
        assert Path(f"{prefix}.idx").is_file()
    schema = fast_llm["dataset"]["source_schema"]
    (first, *_) = sorted(Path(fast_llm["dataset"]["path"]).rglob("*.parquet"))
    assert pq.read_schema(first).names == [schema["text"], schema["loss_masking_spans"]]
    assert Path(fast_llm["tokenizer"]["path"]).is_dir()
    (stream,) = dolma["streams"]
    assert stream["attributes"] == ["ifcurate"]


def test_dolmas_mixer_takes_the_attributes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the page's own settings: spans of less than `min_score` stay."""
    dolma = os.environ.get("DOLMA")
    if dolma is None:
        pytest.skip("needs the command of Dolma's toolkit, whose numpy is below 2: `make test-exports`")
    monkeypatch.chdir(tmp_path)
    documents = tmp_path / "corpus/documents"
    annotate(tmp_path / "data", word_tokenizer(tmp_path / "MODEL"), shards=1, scored=True)
    table = pq.read_table("data/part-0.parquet")
    ids = [f"d{row}" for row in range(table.num_rows)]
    pq.write_table(table.append_column("id", pa.array(ids)), "data/part-0.parquet")
    export(ExportConfig(data="data", tokenizer="MODEL", out="EXPORT", format="attributes"))
    documents.mkdir(parents=True)
    rows = [{"id": name, "text": text, "source": "test"} for name, text in zip(ids, TEXTS, strict=True)]
    (documents / "part-0.jsonl.gz").write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    (tmp_path / "EXPORT/attributes").rename(tmp_path / "corpus/attributes")
    (tmp_path / "mix.yaml").write_text(blocks("yaml")[2])
    done = subprocess.run([dolma, "-c", "mix.yaml", "mix"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (mixed,) = (tmp_path / "cleaned").iterdir()
    texts = [json.loads(line)["text"] for line in gzip.decompress(mixed.read_bytes()).decode().splitlines()]
    assert texts == [text.replace("vile", "") for text in TEXTS]  # influence 4; that of scum is 2, below min_score


def test_the_page_names_every_format() -> None:
    from ifcurate.export import EXPORTERS, TEXT_EXPORTERS

    text = PAGE.read_text(encoding="utf-8")
    assert {kind for kind in (*EXPORTERS, *TEXT_EXPORTERS) if f"`{kind}`" not in text} == set()
