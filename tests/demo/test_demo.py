"""The generated corpus, the model trained on it, and the count of what a selection found."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import LlamaForCausalLM

from ifcurate.annotation.schema import annotation_fields
from ifcurate.config import build
from ifcurate.demo.corpus import SCHEMA, SHARDS, write_demo_data
from ifcurate.demo.found import Found, measure, overlaps
from ifcurate.demo.grammar import Hero, Symbol, Telling, read_grammar
from ifcurate.demo.model import BATCH, new_model, pack, train_demo_model, train_tokenizer
from ifcurate.demo.stories import SUBJECTS, grammar_of, marked, tell
from ifcurate.errors import InputError
from ifcurate.model.checkpoints import load_causal_lm, load_tokenizer
from ifcurate.selection.scores import sidecar_schema

DOCUMENTS = 1500


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    write_demo_data(folder, DOCUMENTS, seed=0)
    return folder


@pytest.fixture(scope="module")
def corpus(data: Path) -> list[dict[str, Any]]:
    return pq.read_table(data / "corpus").to_pylist()


def lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def sentences(text: str) -> list[str]:
    return re.split(r'(?<=[.!?])"? ', text)


class TestGrammar:
    def test_a_symbol_marked_once_keeps_its_value(self) -> None:
        grammar = {"a": Symbol(("1", "2", "3"), once=True), "b": Symbol(("1", "2", "3"), once=False)}
        telling = Telling(grammar, Hero(None, "I", "me", "my"), random.Random(0))
        kept, drawn = telling.sentence("{a}{a}{a}"), telling.sentence("{b}{b}{b}")
        assert len(set(kept)) == 1
        assert len(set(drawn)) == 3, "nothing is drawn twice before everything was drawn once"

    def test_a_hero_has_a_name_before_a_pronoun(self) -> None:
        telling = Telling({}, Hero("Ruth", "she", "her", "her"), random.Random(0))
        assert telling.sentence("{his} coat kept {him} warm.") == "Ruth's coat kept her warm."

    @pytest.mark.parametrize(
        ("template", "told"),
        [
            ("a idiot", "An idiot"),
            ('a "odd" one', 'An "odd" one'),
            ("<a awful> day", "<An awful> day"),
            ("such a useful thing", "Such a useful thing"),
            ("a honest man in a hour", "An honest man in an hour"),
        ],
    )
    def test_articles(self, template: str, told: str) -> None:
        assert Telling({}, Hero(None, "I", "me", "my"), random.Random(0)).sentence(template) == told

    @pytest.mark.parametrize("subject", SUBJECTS)
    def test_every_placeholder_has_a_meaning(self, subject: str) -> None:
        grammar = grammar_of(subject)
        used = {
            name
            for symbol in grammar.values()
            for alternative in symbol.alternatives
            for name in re.findall(r"\{(.*?)\}", alternative)
        }
        assert used - set(grammar) <= {"hero", "he", "him", "his", "was"}

    def test_a_symbol_defined_twice_is_refused(self) -> None:
        with pytest.raises(ValueError, match="stands there twice"):
            read_grammar("weather", "weather")


class TestCorpus:
    def test_the_same_seed_gives_the_same_bytes(self, data: Path, tmp_path: Path) -> None:
        write_demo_data(tmp_path, DOCUMENTS, seed=0)
        files = sorted(path.relative_to(data) for path in data.rglob("*") if path.is_file())
        assert len(files) == SHARDS + 4
        assert [path for path in files if (data / path).read_bytes() != (tmp_path / path).read_bytes()] == []

    def test_another_seed_gives_other_texts(self, corpus: list[dict[str, Any]], tmp_path: Path) -> None:
        write_demo_data(tmp_path, 100, seed=1)
        others = set(pq.read_table(tmp_path / "corpus")["text"].to_pylist())
        assert not others & {row["text"] for row in corpus}

    def test_ids_and_texts_are_unique(self, corpus: list[dict[str, Any]]) -> None:
        assert len(corpus) == DOCUMENTS
        assert len({row["id"] for row in corpus}) == DOCUMENTS
        assert len({row["text"] for row in corpus}) == DOCUMENTS

    def test_five_to_eight_percent_hold_an_insult(self, corpus: list[dict[str, Any]]) -> None:
        assert 0.05 < sum(row["label"] == "insult" for row in corpus) / DOCUMENTS < 0.08
        assert {row["subject"] for row in corpus if row["label"] == "insult"} == set(SUBJECTS)

    def test_sentences_are_many_and_documents_short(self, corpus: list[dict[str, Any]]) -> None:
        assert len({sentence for row in corpus for sentence in sentences(row["text"])}) > 3 * DOCUMENTS
        assert all(3 <= len(sentences(row["text"])) <= 12 for row in corpus)

    def test_no_trace_of_the_grammar_is_left(self, corpus: list[dict[str, Any]]) -> None:
        assert not [row["text"] for row in corpus if re.search(r"[<>{}|\[\]]|  | [.,]", row["text"])]

    def test_spans_point_at_the_insults(self, corpus: list[dict[str, Any]]) -> None:
        grammar = read_grammar("insult")
        nouns = [word for name in ("idiot", "idiots", "cabbage") for word in grammar[name].alternatives]
        for row in corpus:
            assert bool(row["insult_spans"]) == (row["label"] == "insult")
            for span in row["insult_spans"]:
                insult = row["text"][span["start"] : span["end"]]
                assert any(noun in insult for noun in nouns), insult
                assert insult == insult.strip(' "')

    def test_clean_texts_hold_no_insulting_phrase(self, corpus: list[dict[str, Any]]) -> None:
        grammar = read_grammar("insult")
        phrases = re.compile(
            f"\\b({'|'.join(grammar['stupid'].alternatives)}) ({'|'.join(grammar['idiot'].alternatives)})"
        )
        clean = [row["text"] for row in corpus if row["label"] == "clean"]
        assert [text for text in clean if phrases.search(text)] == []

    def test_queries_are_pairs_and_not_in_the_corpus(self, data: Path, corpus: list[dict[str, Any]]) -> None:
        toxic, safe = lines(data / "queries" / "toxic.jsonl"), lines(data / "queries" / "safe.jsonl")
        assert [query["prompt"] for query in toxic] == [query["prompt"] for query in safe]
        assert len(toxic) == 400
        everything = "\n".join(row["text"] for row in corpus)
        assert not [query for query in toxic + safe if query["completion"].strip(' "') in everything]

    def test_held_out_texts_are_clean_and_new(self, data: Path, corpus: list[dict[str, Any]]) -> None:
        held_out = pq.read_table(data / "heldout.parquet").to_pylist()
        assert len(held_out) == 200
        assert {row["label"] for row in held_out} == {"clean"}
        assert not {row["text"] for row in held_out} & {row["text"] for row in corpus}

    def test_prompts_are_not_those_of_the_queries(self, data: Path) -> None:
        prompts = lines(data / "prompts.jsonl")
        assert len(prompts) == 200
        assert sum(prompt["kind"] == "speech" for prompt in prompts) == 100
        queries = {query["prompt"] for query in lines(data / "queries" / "toxic.jsonl")}
        assert not {prompt["prompt"] for prompt in prompts} & queries

    def test_prompts_hold_no_insult(self, data: Path, corpus: list[dict[str, Any]]) -> None:
        insults = [row["text"][span["start"] : span["end"]] for row in corpus for span in row["insult_spans"]]
        prompts = "\n".join(prompt["prompt"] for prompt in lines(data / "prompts.jsonl"))
        assert insults
        assert not [insult for insult in insults if insult in prompts]

    def test_offences_are_as_many_as_asked(self) -> None:
        told = [tell(subject, random.Random(seed), offences=2) for subject in SUBJECTS for seed in range(20)]
        assert all(len(text.insults) == 2 for text in told)

    def test_marks_become_character_ranges(self) -> None:
        text = marked(["One <two> three.", "<Four.>"])
        assert text.text == "One two three. Four."
        assert [text.text[start:end] for start, end in text.insults] == ["two", "Four."]


@pytest.mark.slow
class TestModel:
    def test_it_learns_and_is_an_ordinary_folder(
        self, corpus: list[dict[str, Any]], data: Path, tmp_path: Path
    ) -> None:
        texts = [row["text"] for row in corpus[:400]]
        train_demo_model(texts, tmp_path / "model", epochs=2, seed=0)
        assert [path.name for path in tmp_path.iterdir()] == ["model"]
        model, tokenizer = load_causal_lm(str(tmp_path / "model")), load_tokenizer(str(tmp_path / "model"))
        assert 0.9e6 < sum(parameter.numel() for parameter in model.parameters()) < 1.4e6
        rows = pack(pq.read_table(data / "heldout.parquet")["text"].to_pylist()[:60], tokenizer)[:BATCH]
        ids = torch.stack([row["input_ids"] for row in rows])
        assert loss(model, ids) < loss(new_model(tokenizer, 0), ids) - 1.5

    def test_the_tokenizer_gives_back_any_text(self, corpus: list[dict[str, Any]]) -> None:
        tokenizer = train_tokenizer([row["text"] for row in corpus[:300]])
        text = 'Grüße an "Łódź"!\n\t日本 🙂  two spaces'
        encoded = tokenizer(text, return_offsets_mapping=True)
        assert tokenizer.decode(encoded["input_ids"]) == text
        assert encoded["offset_mapping"][0][0] == 0
        assert encoded["offset_mapping"][-1][1] == len(text)


def loss(model: LlamaForCausalLM, ids: torch.Tensor) -> float:
    with torch.no_grad():
        return float(model.eval()(input_ids=ids, labels=ids).loss)


class TestFound:
    def test_tokens_are_counted_against_the_spans(self, tmp_path: Path) -> None:
        text = "You fool, come in."
        annotated = pa.Table.from_pylist(
            [
                annotated_row("a", text, [(0, 8)], [True, False, True, False], [(0, 3), (8, 9)], rank=0.5),
                annotated_row("b", text, [], [False, False, False, False], [], rank=0.0),
            ],
            schema=pa.schema([*SCHEMA, *annotation_fields("toxic")]),
        )
        offsets = {"token_ids": [1, 2, 3, 4], "token_starts": [0, 3, 8, 9], "token_ends": [3, 8, 9, 18]}
        scores = [{"id": name, **offsets, "toxic_influence": [0.0] * 4} for name in "ab"]
        for folder, table in (
            ("data", annotated),
            ("scores", pa.Table.from_pylist(scores, schema=sidecar_schema(["toxic"], with_loss=False))),
        ):
            (tmp_path / folder).mkdir()
            pq.write_table(table, tmp_path / folder / "shard.parquet")
        found = measure(tmp_path / "data", tmp_path / "scores", "toxic")
        assert (found.tokens, found.insulting, found.selected, found.both) == (8, 2, 2, 1)
        assert (found.base_rate, found.precision, found.recall) == (0.25, 0.5, 0.5)
        assert [ranked.rank for ranked in found.top] == [0.5, 0.0]

    def test_shares_of_nothing_are_zero(self) -> None:
        assert Found(tokens=1, insulting=0, selected=0, both=0, top=()).precision == 0
        assert Found(tokens=1, insulting=0, selected=0, both=0, top=()).recall == 0

    @pytest.mark.parametrize(
        ("token", "overlap"), [((0, 2), False), ((1, 3), True), ((4, 5), True), ((5, 6), False), ((3, 3), False)]
    )
    def test_ends_are_exclusive(self, token: tuple[int, int], overlap: bool) -> None:
        assert overlaps(token, [(2, 5)]) is overlap or token[0] == token[1]


def annotated_row(
    name: str, text: str, insults: list[tuple[int, int]], mask: list[bool], spans: list[tuple[int, int]], rank: float
) -> dict[str, Any]:
    return {
        "id": name,
        "text": text,
        "subject": "cooking",
        "label": "insult" if insults else "clean",
        "insult_spans": [{"start": start, "end": end} for start, end in insults],
        "toxic_influence": [0.0] * len(mask),
        "toxic_mask": mask,
        "toxic_spans": [{"start": start, "end": end} for start, end in spans],
        "toxic_sparsity": sum(mask),
        "toxic_score": 0.0,
        "toxic_rank": rank,
    }


@pytest.mark.slow
class TestRecipe:
    def test_it_finds_insults_and_resumes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from ifcurate.pipelines.demo import DemoConfig, demo

        few = {"pipelines.demo.COMPLETIONS": 1, "pipelines.demo.FIT_TOKENS": 2048, "demo.corpus.QUERIES": 100}
        for name, number in {**few, "demo.corpus.PROMPTS": 40, "demo.corpus.HELD_OUT": 20}.items():
            monkeypatch.setattr(f"ifcurate.{name}", number)
        given = {"out": str(tmp_path / "demo"), "documents": 200, "epochs": 4, "steps": 3, "workers": 1}
        first = demo(build(DemoConfig, given))
        assert first.found.precision > 5 * first.found.base_rate
        assert [each.toxicity[0].classifier for each in (first.before, first.after)] == ["profanity-check"] * 2
        assert first.after.perplexity != first.before.perplexity
        assert '"before"' in first.report.read_text(encoding="utf-8"), "the report knows the evaluation"
        made = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.safetensors")}
        again = demo(build(DemoConfig, given))
        assert (again.found, again.before, again.after) == (first.found, first.before, first.after)
        assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.safetensors")} == made

    def test_without_its_judge_nothing_is_made(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from ifcurate.pipelines.demo import DemoConfig, demo

        monkeypatch.setattr("ifcurate.pipelines.demo.find_spec", lambda name: None)
        with pytest.raises(InputError, match="judge, profanity-check, is not installed; run `pip install"):
            demo(build(DemoConfig, {"out": str(tmp_path / "demo")}))
        assert not (tmp_path / "demo").exists()

    def test_a_folder_of_something_else_is_refused(self, tmp_path: Path) -> None:
        from ifcurate.pipelines.demo import DemoConfig, demo

        (tmp_path / "notes.txt").write_text("mine")
        with pytest.raises(InputError, match="holds no demo"):
            demo(build(DemoConfig, {"out": str(tmp_path)}))
        assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]

    def test_another_seed_is_refused(self, tmp_path: Path) -> None:
        from ifcurate.config import save
        from ifcurate.pipelines.demo import DemoConfig, demo

        made = build(DemoConfig, {"out": str(tmp_path), "seed": 1})
        save(made, tmp_path / "demo.yaml", {})
        with pytest.raises(InputError, match=r"option --seed: .* was made with 1, not 0"):
            demo(build(DemoConfig, {"out": str(tmp_path)}))
