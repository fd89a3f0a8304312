from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from annotated_corpora import TEXTS, annotate, word_tokenizer

from ifcurate.annotation.reader import AnnotatedCorpus
from ifcurate.errors import InputError
from ifcurate.export import EXPORTERS
from ifcurate.export.config import ExportConfig
from ifcurate.export.datatrove import WeightedTokens
from ifcurate.model.checkpoints import load_tokenizer
from ifcurate.pipelines.export import export
from ifcurate.training.marked import TREATMENTS

LAMBDA = 2.0


@pytest.fixture
def source(tmp_path: Path) -> dict[str, Any]:
    """Options of an export, over a corpus of two shards."""
    tokenizer = word_tokenizer(tmp_path / "tokenizer")
    annotate(tmp_path / "data", tokenizer)
    return {"data": str(tmp_path / "data"), "tokenizer": str(tmp_path / "tokenizer"), "out": str(tmp_path / "out")}


def exported(source: dict[str, Any], kind: str, penalty: str = "2") -> Path:
    export(ExportConfig(**source, format=kind, penalty=[penalty]))
    return Path(source["out"])


def expected(source: dict[str, Any], penalty: float = LAMBDA) -> list[tuple[list[int], float]]:
    """Tokens and sum of weights of each document in the order of shards, EOS included."""
    tokenizer = load_tokenizer(source["tokenizer"])
    documents = []
    for document in AnnotatedCorpus(source["data"], ["toxic"], tokenizer).documents():
        marked = int(document.marks.sum())
        tokens = [*document.token_ids.tolist(), tokenizer.eos_token_id]
        documents.append((tokens, len(tokens) - marked - penalty * marked))
    assert len(documents) == len(TEXTS)
    return documents


def test_datatrove_reads_its_tokens_and_we_the_signed_weights(source: dict[str, Any]) -> None:
    dataset = pytest.importorskip("datatrove.utils.dataset")
    out = exported(source, "datatrove")
    documents = expected(source)
    first = 0
    for shard in ("part-0", "part-1"):
        path = out / f"{shard}.ds"
        ends = np.fromfile(f"{path}.index", dtype=np.uint64).astype(int)
        theirs = dataset.DatatroveFileDataset(str(path), seq_len=int(ends[-1]) - 1, token_size=2, return_positions=True)
        tokens = theirs[0]["input_ids"].tolist()
        assert theirs[0]["positions"].tolist() == [i for size in np.diff([0, *ends]) for i in range(size)]
        weights = np.fromfile(f"{path}.weights", dtype=np.int8)
        kept = np.fromfile(f"{path}.loss", dtype=np.bool_)
        assert np.array_equal(kept, weights > 0)
        for start, end in zip([0, *ends[:-1]], ends, strict=True):
            assert tokens[start:end] == documents[first][0]
            assert weights[start:end].sum() == documents[first][1]
            first += 1
    assert first == len(documents)


def test_weighted_tokens_are_datatroves_windows(source: dict[str, Any]) -> None:
    dataset = pytest.importorskip("datatrove.utils.dataset")
    out = exported(source, "datatrove")
    theirs = dataset.DatatroveFolderDataset(str(out), seq_len=4, filename_pattern="*.ds", token_size=2)
    ours = [item for name in ("part-0", "part-1") for item in WeightedTokens(out / f"{name}.ds", 4)]
    assert len(ours) == len(theirs) > 2
    for index, item in enumerate(ours):
        assert item["input_ids"].tolist() == theirs[index]["input_ids"].tolist()
    assert min(float(item["loss_weights"].min()) for item in ours) == -LAMBDA


def test_weights_that_do_not_belong_to_the_tokens_are_refused(source: dict[str, Any]) -> None:
    path = exported(source, "datatrove") / "part-0.ds"
    Path(f"{path}.weights").write_bytes(b"\x01")
    with pytest.raises(InputError, match="has 1 weights for"):
        WeightedTokens(path, 4)


def test_int8_weights_take_whole_penalties_only(source: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"0\.5 is no whole number"):
        exported(source, "datatrove", penalty="0.5")
    assert not Path(source["out"]).exists()


def test_olmo_label_masks_drop_the_marked_tokens(source: dict[str, Any]) -> None:
    out = exported(source, "olmo")
    first = 0
    documents = expected(source, penalty=0.0)
    for shard in ("part-0", "part-1"):
        tokens = np.fromfile(out / "tokens" / f"{shard}.npy", dtype=np.uint16)
        mask = np.fromfile(out / "label_mask" / f"{shard}.npy", dtype=np.bool_)
        assert len(tokens) == len(mask)
        ends = np.flatnonzero(tokens == documents[0][0][-1]) + 1
        for start, end in zip([0, *ends[:-1]], ends, strict=True):
            assert tokens[start:end].tolist() == documents[first][0]
            assert mask[start:end].sum() == documents[first][1]
            first += 1
    assert first == len(documents)


def test_olmo_core_reads_the_export(source: dict[str, Any]) -> None:
    data = pytest.importorskip("olmo_core.data", reason="needs ai2-olmo-core, which is not part of the tests' install")
    out = exported(source, "olmo")
    paths = [[str(out / kind / f"part-{shard}.npy") for shard in range(2)] for kind in ("tokens", "label_mask")]
    dataset = data.NumpyFSLDataset(
        *paths[0], sequence_length=4, pad_token_id=0, eos_token_id=1, vocab_size=18, label_mask_paths=paths[1]
    )
    seen = [dataset[index] for index in range(len(dataset))]
    tokens = np.concatenate([np.asarray(item["input_ids"]) for item in seen])
    mask = np.concatenate([np.asarray(item["label_mask"]) for item in seen])
    stored = [
        [np.fromfile(path, dtype=kind) for path in group]
        for group, kind in zip(paths, (np.uint16, np.bool_), strict=True)
    ]
    whole = [np.concatenate([part[: len(part) // 4 * 4] for part in parts]) for parts in stored]
    assert tokens.tolist() == whole[0].tolist()
    assert mask.tolist() == whole[1].tolist()


def read_megatron(prefix: Path) -> list[np.ndarray]:
    """The documents of an indexed data set, by the layout that Megatron documents."""
    content = prefix.with_suffix(".idx").read_bytes()
    assert content[:9] == b"MMIDIDX\x00\x00"
    version, code, sequences, borders = struct.unpack("<QBQQ", content[9:34])
    assert version == 1
    dtype = np.dtype({4: np.int32, 7: np.float32, 8: np.uint16}[code])
    lengths = np.frombuffer(content, np.int32, sequences, 34)
    offsets = np.frombuffer(content, np.int64, sequences, 34 + 4 * sequences)
    border = np.frombuffer(content, np.int64, borders, 34 + 12 * sequences)
    assert border.tolist() == list(range(sequences + 1))
    data = prefix.with_suffix(".bin").read_bytes()
    return [np.frombuffer(data, dtype, size, start) for size, start in zip(lengths, offsets, strict=True)]


def test_megatron_weights_share_the_index_of_the_tokens(source: dict[str, Any]) -> None:
    out = exported(source, "megatron")
    tokens = [row for shard in range(2) for row in read_megatron(out / f"part-{shard}_document")]
    weights = [row for shard in range(2) for row in read_megatron(out / f"part-{shard}_weights")]
    for ids, own, (expected_ids, expected_sum) in zip(tokens, weights, expected(source), strict=True):
        assert ids.tolist() == expected_ids
        assert own.sum() == expected_sum
        assert len(own) == len(ids)


def test_megatron_core_reads_the_export(source: dict[str, Any]) -> None:
    module = pytest.importorskip(
        "megatron.core.datasets.indexed_dataset", reason="needs megatron-core, which is not part of the tests' install"
    )
    out = exported(source, "megatron")
    opened = {
        kind: [module.IndexedDataset(str(out / f"part-{shard}_{kind}")) for shard in range(2)]
        for kind in ("document", "weights")
    }
    # Rows are views into the file, which closes with its data set.
    tokens, weights = ([data[row] for data in group for row in range(len(data))] for group in opened.values())
    for ids, own, (expected_ids, expected_sum) in zip(tokens, weights, expected(source), strict=True):
        assert ids.tolist() == expected_ids
        assert own.sum() == expected_sum


def test_mds_has_the_documented_layout(source: dict[str, Any]) -> None:
    out = exported(source, "mds")
    (shard,) = json.loads((out / "index.json").read_text())["shards"]
    content = (out / shard["raw_data"]["basename"]).read_bytes()
    assert shard["raw_data"]["bytes"] == len(content)
    samples = int(np.frombuffer(content, np.uint32, 1)[0])
    offsets = np.frombuffer(content, np.uint32, samples + 1, 4)
    assert samples == shard["samples"] == len(TEXTS)
    assert offsets[-1] == len(content)
    for start, (tokens, weight_sum) in zip(offsets[:-1], expected(source), strict=True):
        size, weights_size = (int(value) for value in np.frombuffer(content, np.uint32, 2, start))
        body = content[start + 8 : start + 8 + size + weights_size]
        assert np.frombuffer(body[2:size], np.int32).tolist() == tokens
        assert np.frombuffer(body[size + 2 :], np.float32).sum() == weight_sum


def test_mosaicml_streaming_reads_the_export(source: dict[str, Any]) -> None:
    streaming = pytest.importorskip(
        "streaming", reason="needs mosaicml-streaming, which pins transformers below 5", exc_type=ImportError
    )
    out = exported(source, "mds", penalty="0.5")
    dataset = streaming.StreamingDataset(local=str(out), shuffle=False, batch_size=1)
    for sample, (tokens, weight_sum) in zip(dataset, expected(source, 0.5), strict=True):
        assert sample["tokens"].tolist() == tokens
        assert sample["weights"].sum() == weight_sum


def test_mds_cuts_shards_by_size(source: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ifcurate.export.mds.SHARD_BYTES", 120)
    out = exported(source, "mds")
    shards = json.loads((out / "index.json").read_text())["shards"]
    assert len(shards) > 2
    assert sum(shard["samples"] for shard in shards) == len(TEXTS)


def test_datasets_reads_the_plain_data_set(source: dict[str, Any], tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    out = exported(source, "hf", penalty="0.5")
    rows = datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))
    for row, (tokens, weight_sum) in zip(rows, expected(source, 0.5), strict=True):
        assert row["input_ids"] == row["labels"] == tokens
        assert sum(row["loss_weights"]) == weight_sum


@pytest.mark.parametrize("kind", list(EXPORTERS))
def test_every_format_says_what_it_carries(
    source: dict[str, Any], kind: str, messages: Callable[[], list[str]]
) -> None:
    summary = export(ExportConfig(**source, format=kind))
    assert any("drop mask" in line or "signed" in line for line in messages())
    assert summary.documents == len(TEXTS)
    assert summary.penalised == 4
    assert summary.weight_sum == sum(weight for _, weight in expected(source, 1.0))
    assert export(ExportConfig(**source, format=kind)) == summary
    assert messages()[-1].endswith("is written already; --overwrite writes anew")
    with pytest.raises(InputError, match=r"option --penalty: .* was made with \['1'\], not \['0'\]"):
        export(ExportConfig(**source, format=kind, penalty=["0"]))


def test_another_folder_is_left_alone(source: dict[str, Any]) -> None:
    out = Path(source["out"])
    (out.with_name("out.part") / "thesis").mkdir(parents=True)
    out.mkdir()
    (out / "notes").touch()
    for overwrite in (False, True):
        with pytest.raises(InputError, match=r"is in use by something else|has no export\.yaml"):
            export(ExportConfig(**source, format="hf", overwrite=overwrite))
    (out / "notes").unlink()
    export(ExportConfig(**source, format="hf"))
    assert (out.with_name("out.part") / "thesis").is_dir()
    export(ExportConfig(**source, format="datatrove", overwrite=True))
    assert not (out / "data").exists()


@pytest.mark.parametrize("kind", list(EXPORTERS))
def test_an_empty_shard_is_part_of_every_format(source: dict[str, Any], kind: str) -> None:
    table = pq.read_table(Path(source["data"]) / "part-0.parquet")
    pq.write_table(table.slice(0, 0), Path(source["data"]) / "part-empty.parquet")
    assert export(ExportConfig(**source, format=kind)).documents == len(TEXTS)
    assert len(list(Path(source["out"]).rglob("part-empty*"))) >= (kind != "mds")  # which cuts shards of its own


def test_a_failed_export_leaves_nothing(source: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "data" / "part-1.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="part-1"):
        exported(source, "hf")
    assert not list(tmp_path.glob("out*"))


def test_a_folder_needs_a_tokenizer(source: dict[str, Any]) -> None:
    del source["tokenizer"]
    with pytest.raises(InputError, match="--tokenizer is required"):
        exported(source, "hf")


def test_lambdas_by_influence_are_exported_where_they_fit(source: dict[str, Any], tmp_path: Path) -> None:
    tokenizer = word_tokenizer(tmp_path / "tokenizer")
    given = {
        **source,
        "data": str(annotate(tmp_path / "scored", tokenizer, scored=True)),
        "penalty_weights": "influence",
    }
    export(ExportConfig(**given, format="hf", penalty=["1"]))
    weights = {}
    for file in sorted((Path(source["out"]) / "data").iterdir()):
        for row in pq.read_table(file).to_pylist():
            words = tokenizer.convert_ids_to_tokens(row["input_ids"])
            weights |= dict(zip(words, row["loss_weights"], strict=True))
    assert (weights["vile"], weights["scum"]) == (pytest.approx(-4 / 3), pytest.approx(-2 / 3))
    assert {weight for word, weight in weights.items() if word not in ("vile", "scum")} == {1.0}
    with pytest.raises(InputError, match="influence gives lambdas that are no whole numbers up to 128"):
        export(ExportConfig(**{**given, "out": str(tmp_path / "int8")}, format="datatrove", penalty=["1"]))
    assert not (tmp_path / "int8").exists()


@pytest.mark.parametrize("marked", ["remove", "tag"])
@pytest.mark.parametrize("kind", ["hf", "olmo"])
def test_control_tokens_stand_in_the_text_and_carry_no_loss(source: dict[str, Any], marked: str, kind: str) -> None:
    export(ExportConfig(**source, format=kind, marked=marked))
    out = Path(source["out"])
    tokenizer = load_tokenizer(str(out / "tokenizer"))
    controls = [tokenizer.convert_tokens_to_ids(name) for name in TREATMENTS[marked].names]
    assert min(controls) >= len(load_tokenizer(source["tokenizer"]))
    if kind == "hf":
        table = pq.read_table(out / "data").to_pydict()
        tokens, weights = (np.concatenate(table[name]) for name in ("input_ids", "loss_weights"))
    else:
        folders = {name: sorted((out / name).glob("*.npy")) for name in ("tokens", "label_mask")}
        tokens = np.concatenate([np.fromfile(file, np.uint16) for file in folders["tokens"]])
        weights = np.concatenate([np.fromfile(file, np.bool_) for file in folders["label_mask"]])
    assert ((weights == 0) == np.isin(tokens, controls)).all()
    assert tokens.tolist() == [token for document in treated_slowly(source, marked, controls) for token in document]


def treated_slowly(source: dict[str, Any], marked: str, controls: list[int]) -> list[list[int]]:
    tokenizer = load_tokenizer(source["tokenizer"])
    found = []
    for document in AnnotatedCorpus(source["data"], ["toxic"], tokenizer).documents():
        read: list[int] = []
        before = None
        ends = [*zip(document.token_ids.tolist(), document.marks > 0, strict=True), (tokenizer.eos_token_id, False)]
        for token, mark in ends:
            if mark != before and (marked == "tag" or mark):
                read.append(controls[bool(mark) if marked == "tag" else 0])
            if marked == "tag" or not mark:
                read.append(token)
            before = mark
        found.append(read)
    return found


def test_control_tokens_and_penalties_exclude_each_other(source: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="option --marked tag has no penalty; leave out --penalty"):
        export(ExportConfig(**source, format="hf", marked="tag", penalty=["0"]))
    with pytest.raises(InputError, match="option --marked: fast-llm holds texts"):
        export(ExportConfig(**source, format="fast-llm", marked="tag"))
    assert not Path(source["out"]).exists()
