import pytest
import torch
from tiny_classifiers import TEXTS, reward_model, save_toxigen
from tiny_models import save_tiny_model, tiny_model, tiny_tokenizer
from transformers import LogitsProcessorList

from ifcurate.errors import InputError
from ifcurate.evaluation.generation import Completer, SamplingSettings, encode_prompts
from ifcurate.evaluation.reward_decoding import RewardAugmentation, RewardModel, load_reward_model
from ifcurate.evaluation.sampling import prompt_keys
from ifcurate.evaluation.sequence_classifier import output_activation

FAMILIES = ["gpt_neox", "llama", "qwen2", "gpt2"]
BETA, K = 7.0, 5
MASK = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])


def reward(family, inverted=True):
    model = reward_model(family).double()
    return RewardModel(model, 1, output_activation(model), inverted, "")


@torch.no_grad()
def rescored(model: RewardModel, prompt, logits):
    """The definition: every candidate's whole text read anew, one at a time, without cache, padding and batch."""
    augmented = torch.full_like(logits, -torch.inf)
    for candidate in logits.topk(K).indices:
        hidden = model.model.base_model(torch.cat([prompt, candidate[None]])[None]).last_hidden_state[0, -1]
        bad = model.model.score(hidden).softmax(-1)[1]
        augmented[candidate] = logits[candidate] + BETA * (1 - bad if model.inverted else bad)
    return augmented


@pytest.mark.parametrize("inverted", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_augmented_logits_equal_slow_rescoring(family, inverted):
    model = reward(family, inverted)
    generator = torch.Generator().manual_seed(0)
    token_ids = torch.randint(1, 300, (2, 4), generator=generator)
    processor = RewardAugmentation(model, MASK, BETA, K)
    for _ in range(5):
        logits = torch.randn(2, 300, generator=generator, dtype=torch.float64)
        found = processor(token_ids, logits)
        expected = torch.stack([rescored(model, token_ids[0, 2:], logits[0]), rescored(model, token_ids[1], logits[1])])
        assert torch.equal(torch.isfinite(found), torch.isfinite(expected))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
        token_ids = torch.cat([token_ids, found.argmax(-1, keepdim=True)], dim=1)


def test_it_steers_transformers_generate():
    model, rm = tiny_model("llama").double(), reward("gpt_neox")
    prompt = torch.tensor([[5, 6, 7]])
    processors = LogitsProcessorList([RewardAugmentation(rm, torch.ones_like(prompt), BETA, K)])
    steered = model.generate(prompt, max_new_tokens=6, do_sample=False, logits_processor=processors, eos_token_id=299)
    text = prompt[0]
    with torch.no_grad():
        for token in steered[0, 3:]:
            assert rescored(rm, text, model(text[None]).logits[0, -1]).argmax() == token
            text = torch.cat([text, token[None]])
    plain = model.generate(prompt, max_new_tokens=6, do_sample=False, eos_token_id=299)
    assert steered.tolist() != plain.tolist()


def test_steered_completions_have_more_reward():
    model, rm, tokenizer = tiny_model("gpt_neox"), reward("gpt_neox"), tiny_tokenizer(TEXTS)
    prompts = encode_prompts(tokenizer, TEXTS, prompt_keys(TEXTS, 0), 40)
    settings = SamplingSettings(completions=8, max_new_tokens=6)

    def mean_reward(processor):
        completions = Completer(model, tokenizer, settings, processor).complete(prompts)
        texts = [tokenizer(each.text)["input_ids"] for some in completions for each in some if each.text]
        with torch.no_grad():
            hidden = [rm.model.base_model(torch.tensor([ids])).last_hidden_state[0, -1] for ids in texts if ids]
            return rm.rewards(torch.stack(hidden)).mean().item()

    assert mean_reward(lambda mask: RewardAugmentation(rm, mask, 50.0, 20)) > mean_reward(None) + 0.1


def test_reward_models_that_cannot_steer(tmp_path):
    tokenizer = tiny_tokenizer(TEXTS)
    folder = tmp_path / "reward"
    reward_model("gpt_neox").save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    found = load_reward_model(str(folder), tokenizer, "bad")
    assert (found.output, found.inverted) == (1, True)
    with pytest.raises(InputError, match=r"--rad-label: .* has no label 'rude'; it has good, bad"):
        load_reward_model(str(folder), tokenizer, "rude")
    with pytest.raises(InputError, match="uses other tokens"):
        load_reward_model(str(folder), tiny_tokenizer(["quite another text, with other pairs of letters"]))
    with pytest.raises(InputError, match="does not read from left to right"):
        load_reward_model(str(save_toxigen(tmp_path / "encoder")), tokenizer)
    with pytest.raises(InputError, match="lacks 1 of the classifier's weights"):
        load_reward_model(str(save_tiny_model(tmp_path / "lm", TEXTS, "llama")), tokenizer)
