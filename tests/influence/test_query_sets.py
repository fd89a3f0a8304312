"""Signs of weights: which side a query is on, and that weights of 1 and -1 change no bit."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from runs import KIND, RUDE, sentence
from tiny_models import tiny_model, tiny_tokenizer
from transformers import PreTrainedTokenizerFast

from ifcurate.errors import InputError
from ifcurate.influence.queries import Query
from ifcurate.influence.query_sets import Pull, QueryFile, QuerySet, pull, read_query_sets
from ifcurate.influence.settings import DirectionSettings


def drawn(adjectives: Sequence[str], count: int = 6) -> list[Query]:
    generator = random.Random(len(adjectives))
    return [Query("A report.", " " + sentence(generator, adjectives)) for _ in range(count)]


TOXIC, SAFE = drawn(RUDE), drawn(KIND)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return tiny_tokenizer([query.prompt + query.completion for query in TOXIC + SAFE])


def pulled(
    tokenizer: PreTrainedTokenizerFast, behaviour: list[Query], contrast: list[Query] | None = None, mean: str = "token"
) -> Pull:
    query_set: QuerySet = {"behaviour": QueryFile("toxic.jsonl", behaviour)}
    if contrast is not None:
        query_set["contrast"] = QueryFile("safe.jsonl", contrast)
    return pull(query_set, tiny_model("llama"), tokenizer, 64, 64, mean)


def weighted(queries: Sequence[Query], *weights: float) -> list[Query]:
    return [replace(query, weight=weights[row % len(weights)]) for row, query in enumerate(queries)]


def same(one: Pull, other: Pull) -> bool:
    return all(torch.equal(tensor, other.tensors[name]) for name, tensor in one.tensors.items())


@pytest.mark.parametrize("mean", ["token", "query"])
def test_signs_in_one_file_are_two_files_bit_for_bit(tokenizer: PreTrainedTokenizerFast, mean: str) -> None:
    apart = pulled(tokenizer, TOXIC, SAFE, mean)
    mixed = [query for pair in zip(TOXIC, weighted(SAFE, -1.0), strict=True) for query in pair]
    assert same(apart, pulled(tokenizer, mixed, mean=mean))
    assert same(apart, pulled(tokenizer, weighted(SAFE, -1.0), weighted(TOXIC, -1.0), mean))
    assert any(bool(tensor.any()) for tensor in apart.tensors.values())


def test_signs_in_a_file_of_contrast_are_the_other_way_round(tokenizer: PreTrainedTokenizerFast) -> None:
    weights = (0.5, 2.0, 1.25)
    plain = pulled(tokenizer, weighted(TOXIC, *weights), weighted(SAFE, *weights))
    signed = weighted(TOXIC, *weights) + weighted(SAFE, *(-weight for weight in weights))
    assert same(plain, pulled(tokenizer, signed))
    turned = [replace(query, weight=-query.weight) for query in signed]
    assert same(plain, pulled(tokenizer, weighted(TOXIC, 0.0), turned))


def test_each_side_has_its_own_norm(tokenizer: PreTrainedTokenizerFast) -> None:
    one = pulled(tokenizer, weighted(TOXIC, 1.0, 3.0), weighted(SAFE, 1.0, 2.0))
    assert same(one, pulled(tokenizer, weighted(TOXIC, 4.0, 12.0), weighted(SAFE, 0.5, 1.0)))
    assert not same(one, pulled(tokenizer, TOXIC, SAFE))


def test_a_weight_of_zero_pulls_neither_way_and_is_counted(tokenizer: PreTrainedTokenizerFast) -> None:
    idle = [replace(TOXIC[0], weight=0.0), replace(SAFE[1], weight=0.0)]
    found = pulled(tokenizer, [*TOXIC, *idle], weighted(SAFE, 0.5, -2.0))
    assert same(found, pulled(tokenizer, TOXIC, weighted(SAFE, 0.5, -2.0)))
    assert found.facts["behaviour"]["queries"] == 8
    assert found.facts["behaviour"]["weights"] == {"positive": 6.0, "negative": 0, "zero": 2}
    assert found.facts["contrast"]["weights"] == {"positive": 1.5, "negative": -6.0, "zero": 0}


def test_the_sides_may_not_be_the_same(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(InputError, match="are the same as --queries"):
        pulled(tokenizer, TOXIC + weighted(TOXIC, -1.0))


def written(path: Path, queries: Sequence[Query]) -> str:
    path.write_text("".join(json.dumps(vars(query)) + "\n" for query in queries))
    return str(path)


@pytest.mark.parametrize(
    ("behaviour", "contrast", "said"),
    [
        (TOXIC, None, "option --contrast: is required to make a direction, as no query of .*q.jsonl has a negative"),
        (weighted(TOXIC, -1.0, 0.0), None, "q.jsonl: by the weights, no query of this set shows the behaviour"),
        (TOXIC, weighted(SAFE, -1.0), "q.jsonl: by the weights, no query of this set shows the contrast"),
        (weighted(TOXIC, 0.0), SAFE, "q.jsonl: by the weights, no query of this set shows the behaviour"),
        (weighted(TOXIC, 0.0), weighted(SAFE, 0.0), "no query of this set shows the behaviour"),
    ],
)
def test_a_side_without_queries_is_refused(
    tmp_path: Path, behaviour: list[Query], contrast: list[Query] | None, said: str
) -> None:
    files = {"queries": written(tmp_path / "q.jsonl", behaviour)}
    if contrast is not None:
        files["contrast"] = written(tmp_path / "c.jsonl", contrast)
    with pytest.raises(InputError, match=said):
        read_query_sets(DirectionSettings(**files), 0)


def test_sets_are_pairs_in_order(tmp_path: Path) -> None:
    toxic, rude, safe = (
        written(tmp_path / f"{name}.jsonl", queries)
        for name, queries in (("toxic", TOXIC), ("rude", TOXIC[:2]), ("safe", SAFE))
    )
    found = read_query_sets(DirectionSettings(queries=[toxic, rude], contrast=[safe, safe]), 0)
    assert [{side: file.source for side, file in one.items()} for one in found] == [
        {"behaviour": toxic, "contrast": safe},
        {"behaviour": rude, "contrast": safe},
    ]
    assert found[1]["behaviour"].queries == TOXIC[:2]
    for contrast in (safe, [safe] * 3):
        with pytest.raises(InputError, match=r"--contrast: [13] given for 2 of --queries; give as many"):
            read_query_sets(DirectionSettings(queries=[toxic, rude], contrast=contrast), 0)
