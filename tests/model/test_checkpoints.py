import pytest
import torch
from tiny_models import tiny_gemma3, tiny_model, tiny_tokenizer
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from ifcurate.errors import InputError
from ifcurate.influence.batch_size import automatic_batch_tokens
from ifcurate.model.checkpoints import (
    check_token_ids,
    check_vocabulary,
    context_length,
    embedding_rows,
    load_causal_lm,
    load_tokenizer,
    positions_of,
    start_token,
    vocabulary_size,
)
from ifcurate.model.hashes import hash_model, hash_tokenizer
from ifcurate.model.layers import tracked_linears
from ifcurate.model.windows import encode_documents


def test_a_model_folder_loads_in_float32_whatever_was_stored(tmp_path):
    model = tiny_model("llama").bfloat16()
    model.save_pretrained(tmp_path)
    tiny_tokenizer(["some text"]).save_pretrained(tmp_path)
    loaded = load_causal_lm(str(tmp_path))
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert hash_model(loaded) == hash_model(model)
    assert hash_model(loaded) != hash_model(tiny_model("llama"))
    tokenizer = load_tokenizer(str(tmp_path))
    assert hash_tokenizer(tokenizer) == hash_tokenizer(tiny_tokenizer(["some text"]))
    assert start_token(tokenizer) == 0


def test_what_is_no_model_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="cannot be loaded as a causal language model"):
        load_causal_lm(str(tmp_path))
    with pytest.raises(InputError, match="no tokenizer"):
        load_tokenizer(str(tmp_path))


def test_a_tokenizer_with_more_ids_than_embeddings_is_refused():
    tokenizer = tiny_tokenizer(["some text"])
    check_vocabulary(tokenizer, tiny_model("llama"))
    with pytest.raises(InputError, match="embeddings for 100 tokens only"):
        check_vocabulary(tokenizer, tiny_model("llama", vocab_size=100))


def test_an_added_token_beyond_the_embedding_is_refused_where_a_text_holds_it():
    tokenizer, model = tiny_tokenizer(["some text"]), tiny_model("llama", vocab_size=len(tiny_tokenizer(["some text"])))
    tokenizer.add_tokens(["<|image|>"])
    check_vocabulary(tokenizer, model)
    plain, held = (encoding.token_ids for encoding in encode_documents(tokenizer, ["some text", "an <|image|>"]))
    check_token_ids(plain, embedding_rows(model), "document a")
    check_token_ids([], embedding_rows(model), "an empty document")
    with pytest.raises(InputError, match=rf"document b: holds the token id {len(tokenizer) - 1}"):
        check_token_ids(held, embedding_rows(model), "document b")
    tokenizer.bos_token = "<|image|>"
    with pytest.raises(InputError, match="embeddings for"):
        check_vocabulary(tokenizer, model)


def test_ids_with_gaps_have_a_vocabulary_up_to_the_highest():
    vocabulary = {"a": 0, "b": 70_000}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel(vocabulary, unk_token="a")))
    assert len(tokenizer) == 2
    assert vocabulary_size(tokenizer) == 70_001


def test_a_nested_text_configuration_is_found():
    model = tiny_gemma3()
    assert not hasattr(model.config, "vocab_size"), "the case that this test is about"
    assert embedding_rows(model) == 300
    assert context_length(model, None) == 64
    assert positions_of(model.config) == 64
    linears = tracked_linears(model)
    assert len(linears) == 2 * 7
    assert all("language_model.layers" in name for name in linears), "not those of the vision tower, which has as many"
    assert automatic_batch_tokens(model, "finite-difference", 1) >= 1


def test_the_context_is_the_models_and_not_longer():
    model = tiny_model("gpt2")
    assert context_length(model, None) == 64
    assert context_length(model, 10) == 10
    with pytest.raises(InputError, match="--context"):
        context_length(model, 65)
    assert context_length(tiny_model("llama", max_position_embeddings=8192), None) == 2048


def test_a_tokenizer_without_start_token_is_refused():
    tokenizer = tiny_tokenizer(["some text"])
    tokenizer.bos_token = tokenizer.eos_token = None
    with pytest.raises(InputError, match="neither a BOS nor an EOS"):
        start_token(tokenizer)
