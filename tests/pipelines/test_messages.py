"""A corpus of messages through annotate, inspect, train and export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from chats import CHATML, TRIMMED, chat_tokenizer, conversations, save_chat_model, write_chats
from commands import Command
from oracles import influence_by_autograd
from runs import Workshop, contents, rows_of

from ifcurate.annotation.messages import holds_messages
from ifcurate.annotation.reader import AnnotatedCorpus
from ifcurate.config import build
from ifcurate.corpus.messages import as_text, transcript
from ifcurate.corpus.parquet import metadata_of
from ifcurate.corpus.shards import list_shards
from ifcurate.errors import InputError
from ifcurate.export import TEXT_EXPORTERS
from ifcurate.export.config import ExportConfig
from ifcurate.influence.direction import load_direction
from ifcurate.model.checkpoints import load_causal_lm, load_tokenizer
from ifcurate.model.conversations import encode_conversations
from ifcurate.model.windows import Window, collate
from ifcurate.pipelines.annotate import annotate
from ifcurate.pipelines.export import export
from ifcurate.pipelines.inspect import inspect
from ifcurate.pipelines.inspect_config import InspectConfig
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.train import train
from ifcurate.training.config import TrainConfig
from ifcurate.training.marked import TREATMENTS

CHATS = conversations(40)
SHAPE = {"max_steps": 2, "tokens_per_step": 64, "context": 32, "device": "cpu", "watch": False}


@pytest.fixture(scope="module")
def place(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `chats` and `model`."""
    root = tmp_path_factory.mktemp("chats")
    write_chats(root / "chats", [CHATS[:25], [], CHATS[25:]])
    texts = [message["content"] for chat in CHATS for message in chat]
    save_chat_model(root / "model", CHATML, texts)
    return root


def settings(workshop: Workshop, place: Path, **changes: Any) -> RunConfig:
    given = {"corpus": place / "chats", "model": place / "model", "text_column": "messages", "out": place / "run"}
    return build(RunConfig, workshop.settings(**{**given, **changes}))


@pytest.fixture(scope="module")
def run(workshop: Workshop, place: Path) -> Run:
    return annotate(settings(workshop, place, with_loss=True)).run


def documents(run: Run) -> list[dict[str, Any]]:
    return rows_of(run.data)


def test_replies_are_scored_and_marked_and_spans_point_into_their_contents(run: Run, place: Path) -> None:
    tokenizer = load_tokenizer(str(place / "model"))
    marked = 0
    for row, chat in zip(documents(run), CHATS, strict=True):
        (encoding,) = encode_conversations(tokenizer, [as_text(chat) or ""], "replies", ["a"])
        assert [{"role": m["role"], "content": m["content"]} for m in row["messages"]] == chat
        assert row["token_ids"] == encoding.token_ids.tolist()
        assert row["loss_mask"] == encoding.loss_mask.tolist()
        influence, mask, losses = (np.array(row[name]) for name in ("toxic_influence", "toxic_mask", "loss"))
        assert len(influence) == len(mask) == len(losses) == len(encoding)
        assert not influence[~encoding.loss_mask].any() and not losses[~encoding.loss_mask].any()
        assert losses[encoding.loss_mask].all()
        shown = transcript(chat)
        named = set()
        assert len(row["toxic_spans"]) == len(chat)
        for message, spans, first in zip(chat, row["toxic_spans"], shown.starts.tolist(), strict=True):
            assert message["role"] == "assistant" or not spans
            for span in spans:
                assert 0 <= span["start"] < span["end"] <= len(message["content"])
                named.update(range(first + span["start"], first + span["end"]))
        chosen = mask.astype(bool)
        ranges = list(zip(encoding.starts[chosen].tolist(), encoding.ends[chosen].tolist(), strict=True))
        assert named == {place for start, end in ranges for place in range(start, end)}
        marked += int(mask.sum())
    selection = json.loads((run.selection / "toxic.json").read_text())
    assert 0 < marked == selection["tokens_selected"] <= 0.05 * selection["tokens"]


def test_scores_add_up_to_the_influence_of_the_replies(run: Run, place: Path) -> None:
    model = load_causal_lm(str(place / "model")).double()
    direction = load_direction(run.direction("toxic"))
    row = next(row for row in documents(run) if 3 < len(row["token_ids"]) <= 64 and any(row["loss_mask"]))
    mask = np.array(row["loss_mask"])
    batch = collate([Window(0, 0, np.array(row["token_ids"], np.int32), mask)], 0)
    expected = influence_by_autograd(model, direction, batch).numpy()
    found = np.array(row["toxic_influence"])
    assert np.linalg.norm(found[mask] - expected) < 2e-3 * np.linalg.norm(expected)
    assert found.sum() == pytest.approx(expected.sum(), abs=2e-3 * np.abs(expected).sum())


def test_files_say_whose_messages_carry_a_loss(run: Run, workshop: Workshop, place: Path) -> None:
    said = metadata_of(pq.read_schema(next(run.data.glob("*.parquet"))))["toxic"]
    assert said["on"] == "replies"
    assert said["overlap"] == 0
    assert len(said["template_hash"]) == 64
    (place / "settings.yaml").write_text("on: all\n")
    assert build(RunConfig, {"corpus": "c", "model": "m", "out": "o"}, place / "settings.yaml").on == "all"
    with pytest.raises(InputError, match=r"option --on: .* was made with 'replies', not 'all'"):
        annotate(settings(workshop, place, with_loss=True, on="all"))
    before = contents(run)
    for folder in (run.data, run.scores):
        (folder / "part-000.parquet").unlink()
    annotate(settings(workshop, place, with_loss=True))
    assert contents(run) == before
    assert "whether each token carries a loss" in (run.root / "README.md").read_text()
    assert "assistant: " in (run.root / "report.html").read_text()


def test_every_message_on_all(run: Run, workshop: Workshop, place: Path, tmp_path: Path) -> None:
    direction = {"direction": run.direction("toxic"), "queries": None, "contrast": None}
    whole = annotate(settings(workshop, place, on="all", **direction, out=tmp_path / "run")).run
    of_replies, of_all = (sum(sum(row["loss_mask"]) for row in documents(made)) for made in (run, whole))
    assert of_all > 1.5 * of_replies
    roles = {
        m["role"] for row in documents(whole) for m, s in zip(row["messages"], row["toxic_spans"], strict=True) if s
    }
    assert {"user", "assistant"} <= roles


def test_documents_are_shown_as_transcripts(run: Run, command: Command) -> None:
    (shown, *_) = inspect(InspectConfig(run=str(run.root), top=2)).texts
    assert "assistant: " in shown.text
    assert shown.selected is not None and shown.selected.any()
    pieces = [piece.text for piece in shown.pieces() if piece.selected]
    assert "".join(piece.text for piece in shown.pieces()) == shown.text
    assert all(piece in shown.text.partition("assistant: ")[2] for piece in pieces)
    found = command("inspect", run.root, "--grep", "answer in one", "--plain").out
    assert "system: Answer in one sentence." in found


def test_training_learns_the_replies_alone(run: Run, place: Path, tmp_path: Path) -> None:
    learned = sum(sum(row["loss_mask"]) for row in documents(run))
    config = TrainConfig(
        data=str(run.root), model=str(place / "model"), out=str(tmp_path / "trained"), penalty=["1"], **SHAPE
    )
    assert train(config).labels == learned
    plain = TrainConfig(
        data=str(place / "chats"),
        model=str(place / "model"),
        out=str(tmp_path / "plain"),
        text_column="messages",
        **SHAPE,
    )
    assert train(plain).labels == learned


def test_another_tokenizer_and_template_take_the_spans(run: Run, tmp_path: Path) -> None:
    other = chat_tokenizer(TRIMMED, ["quite other words"])
    corpus = AnnotatedCorpus(str(run.root), ["toxic"], other, "messages")
    own = AnnotatedCorpus(str(run.root), ["toxic"], load_tokenizer(str(run.root.parent / "model")))
    for row, document, annotated in zip(documents(run), corpus.documents(), own.documents(), strict=True):
        (encoding,) = encode_conversations(other, [as_text(row["messages"]) or ""], "replies", ["a"])
        assert document.token_ids.tolist() == encoding.token_ids.tolist()
        assert document.learned.tolist() == encoding.loss_mask.tolist()
        assert bool(document.marks.any()) == bool(annotated.marks.any())
        shown = transcript(row["messages"])
        ranges = [
            (int(first) + span["start"], int(first) + span["end"])
            for first, spans in zip(shown.starts, row["toxic_spans"], strict=True)
            for span in spans
        ]
        for mark, start, end in zip(document.marks, encoding.starts, encoding.ends, strict=True):
            assert bool(mark) == any(start < last and first < end for first, last in ranges)


@pytest.mark.parametrize("form", ["hf", "megatron", "neox", "mds", "olmo", "datatrove"])
def test_exports_of_tokens_carry_the_loss_mask(run: Run, place: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / form
    summary = export(ExportConfig(data=str(run.root), format=form, out=str(out)))
    rows = documents(run)
    learned, marked = (sum(sum(row[name]) for row in rows) for name in ("loss_mask", "toxic_mask"))
    assert summary.penalised == summary.tokens - learned + marked
    assert summary.weight_sum == learned - 2 * marked
    if form == "hf":
        written = rows_of(out / "data")
        for row, exported in zip(rows, written, strict=True):
            labels = [token if kept else -100 for token, kept in zip(row["token_ids"], row["loss_mask"], strict=True)]
            assert exported["labels"] == [*labels, -100]
            assert [weight != 0 for weight in exported["loss_weights"]] == [*row["loss_mask"], False]
    if form == "olmo":
        kept = np.concatenate([np.fromfile(file, bool) for file in sorted((out / "label_mask").glob("*.npy"))])
        assert int(kept.sum()) == learned - marked


def test_what_reads_texts_only_refuses_messages(run: Run, tmp_path: Path, command: Command) -> None:
    """In one sentence, which is the same whether or not the column of messages is named, and nothing is made."""
    out = tmp_path / "out"
    for form in TEXT_EXPORTERS:
        for column in ((), ("--text-column", "messages")):
            assert command("export", run.root, "--format", form, "--out", out, *column).error == (
                f"option --format: {form} marks characters of texts, and the documents of {run.root} are "
                "messages; give a format of tokens, which carries them (datatrove, olmo, megatron, neox, mds, hf)."
            )
    model = run.root.parent / "model"
    for words in (("export", run.root, "--format", "hf"), ("train", "--data", run.root, "--model", model)):
        for marked in TREATMENTS:
            assert command(*words, "--out", out, "--marked", marked).error == (
                f"option --marked: control tokens are put into texts, and the documents of {run.root} are "
                "messages; leave it out, and give --penalty instead."
            )
    assert command("verify", run.root, "--out", out, "--rows", "1").error == (
        f"{run.root}: its documents are messages, and `ifcurate verify` trains on texts; give a run over texts, "
        "or compare an `ifcurate train` of this one with --penalty and one without."
    )
    assert not out.exists()


def test_messages_are_known_without_what_annotation_says_of_them(run: Run, tmp_path: Path) -> None:
    for shard in run.data.glob("*.parquet"):
        pq.write_table(pq.read_table(shard).replace_schema_metadata(None), tmp_path / shard.name)
    shards = list_shards(str(tmp_path))
    assert holds_messages(shards, "messages") and holds_messages(shards, "text")
    assert not holds_messages(shards, "id")


def test_texts_that_hold_messages_beside_them_are_texts(finished: Run, tmp_path: Path) -> None:
    shard = next(finished.data.glob("*.parquet"))
    table = pq.read_table(shard)
    messages = pa.array([CHATS[1]] * len(table), pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())])))
    pq.write_table(table.append_column("messages", messages), tmp_path / shard.name)
    assert not holds_messages(list_shards(str(tmp_path)), "text")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ({"messages": [{"role": "user", "content": None}, {"role": "assistant", "content": "x"}]}, "no string"),
        ({"messages": None}, "is null"),
    ],
)
def test_rows_that_are_no_messages_are_refused_or_skipped(
    workshop: Workshop, place: Path, tmp_path: Path, command: Command, line: dict[str, Any], problem: str, run: Run
) -> None:
    rows = [{"messages": chat} for chat in CHATS[:6] if chat] + [line]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    changes = {"corpus": tmp_path / "corpus.jsonl", "model": place / "model", "text_column": "messages"}
    changes |= {"direction": run.direction("toxic"), "out": tmp_path / "run"}
    outcome = command("annotate", *workshop.options(**changes))
    refused = outcome.err.splitlines()[-1]
    assert outcome.code == 2
    assert f"row {len(rows) - 1} (counted from 0): column 'messages' " in refused and problem in refused
    skipped = command("annotate", *workshop.options(**changes, bad_rows="skip"))
    assert skipped.code == 0, skipped.err
    *written, last = [json.loads(each) for each in (tmp_path / "run/data/corpus.jsonl").read_text().splitlines()]
    assert last["token_ids"] == [] == last["loss_mask"]
    assert [row["messages"] for row in written] == [row["messages"] for row in rows[:-1]]


def test_texts_and_messages_are_not_mixed(workshop: Workshop, place: Path, tmp_path: Path, command: Command) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"messages": CHATS[1] or CHATS[2]}) + "\n")
    (tmp_path / "b.jsonl").write_text(json.dumps({"messages": "a text"}) + "\n")
    words = workshop.options(
        corpus=tmp_path, model=place / "model", text_column="messages", out=tmp_path.parent / "mix"
    )
    outcome = command("annotate", *words)
    assert outcome.code == 2
    assert "messages and texts cannot be mixed" in outcome.err.splitlines()[-1]
