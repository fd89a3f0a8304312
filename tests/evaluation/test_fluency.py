import math

import pytest
import torch
from tiny_models import tiny_model, tiny_tokenizer

from ifcurate.errors import InputError
from ifcurate.evaluation.fluency import Reader, measure_lambada, measure_perplexity, slide
from ifcurate.model.control_tokens import ControlTokens
from ifcurate.model.ranks import Ranks

DOCUMENTS = [
    "The river was calm, 日本 and the garden was bright in the long winter.",
    "A neighbour wrote a letter.",
    "",
    "x",
]
PASSAGES = ["the garden was bright and warm", "It was the river", "a neighbour wrote a  letter"]
ALONE = Ranks(0, 1, "cpu")


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer(DOCUMENTS + PASSAGES)


@pytest.fixture(scope="module", params=["gpt_neox", "gpt2"])
def model(request):
    return tiny_model(request.param).double()


@torch.no_grad()
def slow_losses(model, ids, context, stride):
    """Each token's loss from a forward pass of its own."""
    read, losses = [0, *ids], []
    for place, token in enumerate(ids):
        last = place // stride if context == stride else max(0, math.ceil((place - context + 1) / stride))
        end = min(context + last * stride, len(ids))
        window = read[max(end - context, 0) : place + 1]
        losses.append(-model(torch.tensor([window])).logits[0, -1].log_softmax(-1)[token].item())
    return losses


@pytest.mark.parametrize(("context", "stride"), [(8, 4), (8, 8), (64, 32), (5, 1)])
def test_perplexity_and_bits_per_byte_are_those_of_single_tokens(model, tokenizer, context, stride):
    found = measure_perplexity(Reader(model, 40, ALONE), tokenizer, DOCUMENTS, context, stride, 0)
    ids = [tokenizer(text)["input_ids"] for text in DOCUMENTS]
    nats = sum(sum(slow_losses(model, each, context, stride)) for each in ids)
    tokens = sum(map(len, ids))
    assert found.perplexity.value == pytest.approx(math.exp(nats / tokens), rel=1e-6)
    size = sum(len(text.encode()) for text in DOCUMENTS)
    assert found.bits_per_byte.value == pytest.approx(nats / math.log(2) / size, rel=1e-6)
    assert (found.documents, found.empty_documents, found.tokens) == (3, 1, tokens)
    assert found.perplexity.low <= found.perplexity.value <= found.perplexity.high


def test_windows_score_every_token_once_after_as_much_as_fits():
    ids = list(range(1, 24))
    windows = slide(ids, 0, context=10, stride=4)
    assert [token for window in windows for token in window.labels] == ids
    assert windows[0].input_ids[0] == 0 and all(len(window.input_ids) == 10 for window in windows)
    for window in windows[1:]:
        assert len(window.input_ids) - len(window.labels) >= 6
    for window in windows:
        after = [*window.input_ids[1:], window.labels[-1]]
        assert after[-len(window.labels) :] == window.labels
    assert slide([], 0, 10, 4) == []


def test_every_window_is_read_behind_the_prefix():
    ids, control = list(range(1, 24)), ControlTokens((91, 92), (91, 92))
    windows = slide(ids, 0, 10, 4, control)
    assert [token for window in windows for token in window.labels] == ids
    assert all(len(window.input_ids) == 10 for window in windows)
    assert windows[0].input_ids == [0, 91, 92, 1, 2, 3, 4, 5, 6, 7]
    for plain, behind in zip(slide(ids, 0, 8, 4)[1:], windows[1:], strict=True):
        assert behind.input_ids == [91, 92, *plain.input_ids]
        assert behind.labels == plain.labels


@torch.no_grad()
def greedy(model, ids, count):
    ids = list(ids)
    for _ in range(count):
        ids.append(model(torch.tensor([ids])).logits[0, -1].argmax().item())
    return ids[-count:]


def test_lambada_is_greedy_decoding_of_the_last_word(model, tokenizer):
    passages = list(PASSAGES)
    for _ in range(6):  # passages whose last word is what the model itself would say
        context = tokenizer("the garden was")["input_ids"]
        passages.append("the garden was" + tokenizer.decode(greedy(model, context, 1)))
    passages = [text for text in passages if " " in text and text.rsplit(" ", 1)[1]]
    found = measure_lambada(Reader(model, 50, ALONE), tokenizer, passages, 64, 0)
    words = lasts = 0
    for text in passages:
        before = tokenizer(text.rpartition(" ")[0].rstrip())["input_ids"]
        whole = tokenizer(text)["input_ids"]
        words += greedy(model, before, len(whole) - len(before)) == whole[len(before) :]
        lasts += greedy(model, whole[:-1], 1) == whole[-1:]
    assert found.word_accuracy.value == pytest.approx(words / len(passages))
    assert found.token_accuracy.value == pytest.approx(lasts / len(passages))
    assert (found.passages, found.passages_cut) == (len(passages), 0)


def test_long_passages_are_cut_and_counted(model, tokenizer):
    found = measure_lambada(Reader(model, 50, ALONE), tokenizer, PASSAGES, 5, 0)
    assert found.passages_cut == sum(len(tokenizer(text)["input_ids"]) > 6 for text in PASSAGES) > 0


def test_what_cannot_be_measured(model, tokenizer):
    reader = Reader(model, 50, ALONE)
    with pytest.raises(InputError, match="no token at all"):
        measure_perplexity(reader, tokenizer, ["", ""], 8, 4, 0)
    for stride in (0, 9):
        with pytest.raises(InputError, match="--stride"):
            measure_perplexity(reader, tokenizer, DOCUMENTS, 8, stride, 0)
    with pytest.raises(InputError, match=r"passage 1 .* has no last word"):
        measure_lambada(reader, tokenizer, ["two words", "one"], 8, 0)


def test_a_model_that_emits_nan_is_named(tokenizer):
    model = tiny_model("gpt_neox")
    model.name_or_path = "broken"
    with torch.no_grad():
        model.get_input_embeddings().weight[:] = torch.nan
    with pytest.raises(InputError, match="broken: the model emits NaN"):
        measure_perplexity(Reader(model, 50, ALONE), tokenizer, DOCUMENTS, 8, 4, 0)
