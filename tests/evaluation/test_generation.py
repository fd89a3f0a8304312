from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tiny_models import tiny_model, tiny_tokenizer

from ifcurate.corpus.parquet import metadata_of
from ifcurate.errors import InputError
from ifcurate.evaluation.completions import CompletionFile, generate, score
from ifcurate.evaluation.generation import Completer, SamplingSettings, encode_prompts, end_tokens, plan_batches
from ifcurate.evaluation.metrics import TOXIC_FROM
from ifcurate.evaluation.prompts import Prompt, PromptSet
from ifcurate.evaluation.sampling import prompt_keys
from ifcurate.model.control_tokens import ControlTokens
from ifcurate.model.ranks import Ranks

TEXTS = ["The river", "A neighbour was", "x", "", "It was calm in winter and the garden", "x", "Why", "The table was"]
SETTINGS = SamplingSettings(completions=3, max_new_tokens=6)
ALONE = Ranks(0, 1, "cpu")


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer(TEXTS)


def encoded(tokenizer, texts=TEXTS, seed=0, room=40):
    return encode_prompts(tokenizer, texts, prompt_keys(texts, seed), room)


def texts_of(completions):
    return [[each.text for each in some] for some in completions]


@pytest.mark.parametrize("family", ["gpt_neox", "llama", "qwen2", "gpt2"])
def test_a_batch_gives_each_prompt_what_it_gets_alone(family, tokenizer):
    completer = Completer(tiny_model(family).double(), tokenizer, SETTINGS)
    prompts = encoded(tokenizer)
    together = completer.complete(prompts)
    alone = [completer.complete([prompt])[0] for prompt in prompts]
    assert together == alone
    assert together[2] != together[5], "the second of two equal prompts has its own random numbers"


def test_completions_follow_the_model_distribution(tokenizer):
    """First tokens against the nucleus of the model's own softmax, computed without cache and batch."""
    model = tiny_model("gpt_neox")
    settings = SamplingSettings(completions=4000, max_new_tokens=1, temperature=0.7, top_p=0.8)
    prompt = encoded(tokenizer, ["The river"])[0]
    drawn = Completer(model, tokenizer, settings)
    padded = [prompt, encoded(tokenizer, [TEXTS[4]])[0]]
    with torch.no_grad():
        logits = model(torch.tensor([prompt.token_ids])).logits[0, -1] / 0.7
    ordered, order = logits.softmax(-1).sort(descending=True)
    kept = (ordered.cumsum(-1) - ordered) < 0.8
    expected: Counter[str] = Counter()  # tokens that are part of a character look the same as text
    for token, probability in zip(order[kept].tolist(), ordered[kept].tolist(), strict=True):
        expected[tokenizer.decode([token])] += probability / float(ordered[kept].sum())
    found = Counter(each.text for each in drawn.complete(padded)[0])
    assert set(found) <= set(expected)
    for text, probability in expected.most_common(5):
        assert found[text] / 4000 == pytest.approx(probability, abs=0.03)


def test_an_end_token_ends_a_completion(tokenizer):
    model = tiny_model("gpt_neox")
    with torch.no_grad():
        model.get_output_embeddings().weight[0] = 0
        model.get_output_embeddings().weight[1:] = 0
    completer = Completer(model, tokenizer, SamplingSettings(200, 4, top_p=0.02))
    completions = completer.complete(encoded(tokenizer, ["a"]))[0]
    assert end_tokens(model, tokenizer) == [0]
    ended = [each for each in completions if each.tokens < 4]
    assert ended and all("<|end|>" not in each.text for each in completions)


def test_prompts_too_long_lose_their_beginning_and_empty_ones_get_the_start_token(tokenizer):
    long, empty, plain = encoded(tokenizer, [TEXTS[4], "", "Why"], room=4)
    assert len(long.token_ids) == 4 and long.tokens_cut > 0
    assert long.token_ids == tokenizer(TEXTS[4])["input_ids"][-4:]
    assert empty.token_ids == [0] and plain.tokens_cut == 0
    assert encode_prompts(tokenizer, ["Why"], [1], 9, with_start=True)[0].token_ids == [0, *plain.token_ids]
    with pytest.raises(InputError, match="--max-new-tokens"):
        encode_prompts(tokenizer, ["Why"], [1], 0)


def test_a_model_that_emits_nan_is_named(tokenizer):
    model = tiny_model("gpt_neox")
    model.name_or_path = "broken"
    with torch.no_grad():
        model.get_output_embeddings().weight[3] = torch.nan
    with pytest.raises(InputError, match="broken: the model emits NaN"):
        Completer(model, tokenizer, SETTINGS).complete(encoded(tokenizer))


def test_batches_hold_similar_lengths_and_every_prompt_once():
    batches = plan_batches([3, 9, 1, 9, 4], 2)
    assert batches == [[1, 3], [4, 0], [2]]


class Counted:
    """Completes by echo, counts batches, and can fail."""

    def __init__(self, inner, fail_after=None):
        self.inner, self.calls, self.fail_after = inner, 0, fail_after

    def __call__(self, prompts):
        if self.calls == self.fail_after:
            raise KeyboardInterrupt
        self.calls += 1
        return self.inner(prompts)


@pytest.fixture
def work(tmp_path, tokenizer):
    completer = Completer(tiny_model("gpt_neox"), tokenizer, SETTINGS)
    prompts = PromptSet("set", tuple(Prompt(text, text == "x", "g") for text in TEXTS))

    def run(name, complete=completer.complete, ranks=ALONE, provenance=None):
        file = CompletionFile(tmp_path / f"{name}.parquet")
        drawn = generate(file, prompts, encoded(tokenizer), complete, 3, provenance or {"seed": 0}, ranks)
        return file, drawn

    return run, completer.complete


def test_a_stopped_run_continues_and_gives_the_same_bytes(work):
    run, complete = work
    whole, drawn = run("whole")
    assert drawn == 24
    with pytest.raises(KeyboardInterrupt):
        run("stopped", Counted(complete, fail_after=2))
    counted = Counted(complete)
    stopped, drawn = run("stopped", counted)
    assert (counted.calls, drawn) == (1, 6)
    assert stopped.path.read_bytes() == whole.path.read_bytes()
    assert not stopped.parts.exists()
    assert run("stopped", Counted(complete, fail_after=0))[1] == 0


def test_another_run_under_the_same_name_is_refused(work):
    run, complete = work
    with pytest.raises(KeyboardInterrupt):
        run("begun", Counted(complete, fail_after=1))
    with pytest.raises(InputError, match="generated with seed 0, not 1"):
        run("begun", provenance={"seed": 1})
    file, _ = run("begun")
    with pytest.raises(InputError, match="generated with seed 0, not 1"):
        run("begun", provenance={"seed": 1})
    assert metadata_of(pq.read_schema(file.path))["seed"] == 0


def test_the_file_has_a_row_a_prompt_in_order(work):
    run, _ = work
    file, _ = run("rows")
    table = file.read().to_pydict()
    assert table["prompt"] == TEXTS and table["toxic"][2] is True and set(table["group"]) == {"g"}
    assert all(len(texts) == 3 for texts in table["completions"])
    assert all(0 <= tokens <= 6 for row in table["completion_tokens"] for tokens in row)


class Lengths:
    """A classifier of how long a text is."""

    name, labels, texts_cut = "lengths", ("long", "short"), 0

    def __init__(self, identity="1"):
        self.identity, self.seen = identity, []

    def score(self, texts):
        self.seen += texts
        share = np.array([len(text) / 100 for text in texts], np.float32)
        return np.stack([share, 1 - share], axis=1)


def test_scores_are_kept_beside_the_completions_and_reused(work):
    run, _ = work
    file, _ = run("scored")
    classifier = Lengths()
    first = score(file, classifier, ALONE)
    texts = file.read().column("completions").to_pylist()
    assert first.shape == (8, 3, 2) and (first < TOXIC_FROM).any()
    assert first[4, 1, 0] == pytest.approx(len(texts[4][1]) / 100)
    again = Lengths()
    assert np.array_equal(score(file, again, ALONE), first, equal_nan=True) and not again.seen
    changed = Lengths(identity="2")
    score(file, changed, ALONE)
    assert changed.seen and file.read().column_names.count("lengths") == 1
    assert metadata_of(file.read().schema)["seed"] == 0


def test_empty_completions_have_no_score_and_nothing_but_empty_ones_is_an_error(work, tokenizer):
    run, _ = work

    def partly(prompts):
        from ifcurate.evaluation.generation import Completion

        return [[Completion("", 0), Completion(" \n", 1), Completion("word", 1)] for _ in prompts]

    file, _ = run("partly", partly)
    classifier = Lengths()
    found = score(file, classifier, ALONE)
    assert np.isnan(found[:, :2]).all() and np.isfinite(found[:, 2]).all() and set(classifier.seen) == {"word"}

    def nothing(prompts):
        return [[each, each, each] for each in [partly(prompts)[0][0]] * len(prompts)]

    file, _ = run("nothing", nothing)
    with pytest.raises(InputError, match="all 24 completions are empty"):
        score(file, classifier, ALONE)


def test_banned_tokens_are_never_drawn_and_prompts_stand_behind_the_prefix(tokenizer):
    model = tiny_model("gpt_neox")
    settings = SamplingSettings(completions=300, max_new_tokens=2, top_p=1.0)
    prompt = encoded(tokenizer, ["The river"])
    free = {each.text for each in Completer(model, tokenizer, settings).complete(prompt)[0]}
    banned = tuple(range(3, model.config.vocab_size))
    ControlTokens((7, 8), banned).write(model)
    kept = {each.text for each in Completer(model, tokenizer, settings).complete(prompt)[0]}
    assert len(free) > 50 and len(kept) < 10
    control = ControlTokens.said_by(model.generation_config)
    plain, start = prompt[0].token_ids, tokenizer.bos_token_id

    def behind(text, room, with_start=False):
        return encode_prompts(tokenizer, [text], [0], room, with_start, control=control)[0]

    assert behind("The river", 40).token_ids == [7, 8, *plain]
    assert behind("The river", 40, with_start=True).token_ids == [start, 7, 8, *plain]
    assert behind("", 40).token_ids == [start, 7, 8]
    cut = behind("The river", len(plain) + 1)
    assert (cut.token_ids, cut.tokens_cut) == ([7, 8, *plain[1:]], 1)
    with pytest.raises(InputError, match="leaves no room for a prompt"):
        behind("The river", 2)
