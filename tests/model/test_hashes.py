import pytest
import torch
from tiny_models import FAMILIES, tiny_model, tiny_tokenizer
from transformers import AutoModelForCausalLM

from ifcurate.model.hashes import hash_model, hash_tokenizer
from ifcurate.model.windows import encode_documents


def test_how_a_tokenizer_was_last_used_is_not_what_it_is(tmp_path):
    tokenizer = tiny_tokenizer(["some text"])
    expected = hash_tokenizer(tokenizer)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer(["some text", "text"], padding=True, truncation=True, max_length=2)
    assert hash_tokenizer(tokenizer) == expected
    tokenizer.save_pretrained(tmp_path)
    encode_documents(tokenizer, ["some text"])
    assert hash_tokenizer(tokenizer) == expected
    assert hash_tokenizer(type(tokenizer).from_pretrained(tmp_path)) == expected
    assert hash_tokenizer(tiny_tokenizer(["another text, and more of it"])) != expected


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "gpt2"])
def test_a_model_is_the_same_however_it_was_stored_and_is_run(family, tmp_path):
    model = tiny_model(family).bfloat16()
    model.config.use_cache, model.config.pad_token_id = False, 7
    model.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager", dtype=torch.float32)
    assert hash_model(loaded) == hash_model(tiny_model(family).bfloat16())


@pytest.mark.parametrize(
    ("family", "change"),
    [
        ("llama", {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}),
        ("llama", {"rope_theta": 5e5}),
        ("llama", {"rms_norm_eps": 1e-5}),
        ("gpt_neox", {"layer_norm_eps": 1e-3}),
        ("gpt_neox", {"use_parallel_residual": False}),
    ],
)
def test_what_the_configuration_computes_with_is_part_of_the_model(family, change):
    model, changed = tiny_model(family), tiny_model(family, **change)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), changed.parameters(), strict=True))
    ids = torch.arange(40)[None]
    with torch.no_grad():
        differ = not torch.equal(model(input_ids=ids).logits, changed(input_ids=ids).logits)
    assert (hash_model(model) != hash_model(changed)) == differ


def test_a_stored_buffer_is_part_of_the_model():
    model = tiny_model("llama")
    model.model.register_buffer("bias", torch.zeros(3))
    before = hash_model(model)
    model.model.bias[1] = 1
    assert hash_model(model) != before
    model.model.register_buffer("scratch", torch.ones(3), persistent=False)
    assert hash_model(model) == hash_model(model) != before
