from dataclasses import replace

import pytest
import torch
from tiny_models import FAMILIES, tiny_model, tiny_tokenizer

from ifcurate.errors import InputError
from ifcurate.influence.queries import Query
from ifcurate.influence.query_gradient import collate_queries, query_gradient, query_windows
from ifcurate.model.layers import tracked_parameters

TEXTS = ["the quick brown fox", " jumps over", " the lazy dog and then some more of it"]
QUERIES = [Query("the quick", " brown fox"), Query("", "jumps over the lazy dog"), Query("and then", " some")]


@pytest.fixture
def tokenizer():
    return tiny_tokenizer(TEXTS)


def windows_of(tokenizer, queries=QUERIES, context=64):
    return query_windows(queries, tokenizer, context, "q.jsonl").windows


def losses_by_hand(model, tokenizer):
    """The losses of each query's completion tokens, one tensor a query, with their graph."""
    losses = []
    for query in QUERIES:
        prompt = tokenizer(query.prompt, add_special_tokens=False).input_ids
        ids = [0, *tokenizer(query.prompt + query.completion, add_special_tokens=False).input_ids]
        logits = model(input_ids=torch.tensor([ids])).logits[0, len(prompt) : -1]
        losses.append(torch.nn.functional.cross_entropy(logits, torch.tensor(ids[len(prompt) + 1 :]), reduction="none"))
    return losses


@pytest.mark.parametrize("mean", ["token", "query"])
@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_the_gradient_of_the_mean_loss(family, mean, tokenizer):
    """Of all completion tokens, or of each query's summed loss, as Eq. 6 is written."""
    model = tiny_model(family)
    found = query_gradient(model, windows_of(tokenizer), 0, batch_tokens=1000, mean=mean)
    parameters = tracked_parameters(model)
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    losses = losses_by_hand(model, tokenizer)
    assert found.tokens == sum(map(len, losses))
    loss = torch.cat(losses).mean() if mean == "token" else torch.stack([loss.sum() for loss in losses]).mean()
    expected = torch.autograd.grad(loss, list(parameters.values()))
    for gradient, wanted in zip(found.tensors.values(), expected, strict=True):
        assert torch.allclose(gradient, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("mean", ["token", "query"])
def test_weights_are_those_of_the_mean(mean, tokenizer):
    model, weights = tiny_model("llama"), [0.5, 3.0, 1.25]
    weighted = [replace(query, weight=weight) for query, weight in zip(QUERIES, weights, strict=True)]
    found = query_gradient(model, windows_of(tokenizer, weighted), 0, batch_tokens=40, mean=mean)
    parameters = tracked_parameters(model)
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    losses = losses_by_hand(model, tokenizer)
    summed = sum(weight * loss.sum() for weight, loss in zip(weights, losses, strict=True))
    divisor = sum(weights) if mean == "query" else sum(w * len(loss) for w, loss in zip(weights, losses, strict=True))
    expected = torch.autograd.grad(summed / divisor, list(parameters.values()))
    assert found.tokens == sum(map(len, losses))
    for gradient, wanted in zip(found.tensors.values(), expected, strict=True):
        assert torch.allclose(gradient, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("mean", ["token", "query"])
@pytest.mark.parametrize("context", [64, 2])
def test_a_weight_of_two_is_the_query_twice(context, mean, tokenizer):
    model = tiny_model("llama")
    heavy = [replace(QUERIES[0], weight=2.0), *QUERIES[1:]]
    one, other = (
        query_gradient(model, windows_of(tokenizer, queries, context), 0, 1000, mean=mean)
        for queries in (heavy, [QUERIES[0], *QUERIES])
    )
    for name, gradient in one.tensors.items():
        assert torch.allclose(gradient, other.tensors[name], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("factor", [2.0**-140, 2.0**100, 1e308])
def test_only_ratios_of_weights_count(factor, tokenizer):
    """However small or large they are."""
    model, weights = tiny_model("llama"), [0.25, 0.5, 1.0]
    one, other = (
        query_gradient(
            model,
            windows_of(tokenizer, [replace(q, weight=w * scale) for q, w in zip(QUERIES, weights, strict=True)]),
            0,
            1000,
        )
        for scale in (1.0, factor)
    )
    for name, gradient in one.tensors.items():
        assert torch.allclose(gradient, other.tensors[name], rtol=1e-6, atol=0)


def test_a_split_completion_is_one_query(tokenizer):
    model = tiny_model("llama")
    whole, split = (query_gradient(model, windows_of(tokenizer, context=c), 0, 1000, mean="query") for c in (64, 2))
    assert len(windows_of(tokenizer, context=2)) > len(windows_of(tokenizer))
    per_token = query_gradient(model, windows_of(tokenizer, context=2), 0, 1000)
    name = next(iter(split.tensors))
    assert whole.tokens == split.tokens == per_token.tokens
    assert torch.allclose(split.tensors[name] * len(QUERIES), per_token.tensors[name] * per_token.tokens, rtol=1e-5)


def test_batch_size_and_order_leave_no_trace(tokenizer):
    model = tiny_model("llama")
    windows = windows_of(tokenizer)
    one = query_gradient(model, windows, 0, batch_tokens=1)
    other = query_gradient(model, windows[::-1], 0, batch_tokens=1000)
    assert one.tokens == other.tokens
    for name, gradient in one.tensors.items():
        assert torch.allclose(gradient, other.tensors[name], rtol=1e-4, atol=1e-7)


def test_only_completion_tokens_have_labels(tokenizer):
    windows = windows_of(tokenizer)
    batch = collate_queries(windows, 0)
    for row, (query, window) in enumerate(zip(QUERIES, windows, strict=True)):
        completion = batch.labels[row][batch.mask[row]].tolist()
        assert tokenizer.decode(completion) == query.completion
        assert len(completion) == len(window.window) - window.completion


def test_long_queries_lose_the_start_of_their_prompt_and_are_counted(tokenizer):
    long_prompt = Query("word " * 40, " brown fox")
    found = query_windows([long_prompt, QUERIES[0]], tokenizer, 20, "q.jsonl")
    assert found.shortened == 1
    assert len(found.windows[0].window) == 20
    completion = found.windows[0].window.token_ids[found.windows[0].completion :]
    assert tokenizer.decode(completion.tolist()) == " brown fox"


def test_a_completion_longer_than_the_context_is_split_and_keeps_every_token(tokenizer):
    text = "jumps over the lazy dog " * 10
    found = query_windows([Query("", text)], tokenizer, 16, "q.jsonl")
    assert found.shortened == 1
    ids = [token for query in found.windows for token in query.window.token_ids[query.completion :].tolist()]
    assert ids == tokenizer(text, add_special_tokens=False).input_ids


def test_a_query_without_completion_token_is_refused(tokenizer):
    with pytest.raises(InputError, match=r"q\.jsonl, query 2: no completion token"):
        query_windows([QUERIES[0], Query("prompt only", "")], tokenizer, 16, "q.jsonl")


def test_batches_that_do_not_fit_are_halved(tokenizer, monkeypatch):
    model, windows = tiny_model("llama"), windows_of(tokenizer)
    expected = query_gradient(model, windows, 0, batch_tokens=1000)
    run_out_above(monkeypatch, model, rows=1)
    found = query_gradient(model, windows, 0, batch_tokens=1000)
    assert (found.tokens, found.halvings) == (expected.tokens, 2)
    for gradient, wanted in zip(found.tensors.values(), expected.tensors.values(), strict=True):
        assert torch.allclose(gradient, wanted, rtol=1e-4, atol=1e-6)


def test_a_query_that_does_not_fit_alone_is_refused(tokenizer, monkeypatch):
    model = tiny_model("llama")
    run_out_above(monkeypatch, model, rows=0)
    with pytest.raises(InputError, match="does not fit into the memory of cpu"):
        query_gradient(model, windows_of(tokenizer), 0, batch_tokens=1000)


def run_out_above(monkeypatch, model, rows):
    forward = model.base_model.forward

    def fail_above(input_ids, **others):
        if len(input_ids) > rows and len(input_ids[0]) > 2:  # a body is told from its head by two tokens
            raise torch.OutOfMemoryError
        return forward(input_ids=input_ids, **others)

    monkeypatch.setattr(model.base_model, "forward", fail_above)


def test_a_query_with_a_token_the_model_does_not_know_is_refused():
    tokenizer = tiny_tokenizer(["some words"])
    rows = len(tokenizer)
    tokenizer.add_tokens(["<|image|>"])
    queries = [QUERIES[0], Query("see ", "<|image|>")]
    assert query_windows(queries, tokenizer, 64, "q.jsonl", rows + 1).windows
    with pytest.raises(InputError, match=rf"q\.jsonl, query 2: holds the token id {rows}"):
        query_windows(queries, tokenizer, 64, "q.jsonl", rows)
