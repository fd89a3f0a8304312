from __future__ import annotations

from pathlib import Path

import pytest
from annotated_corpora import tiny_neox, word_tokenizer
from transformers import AutoModelForCausalLM

from ifcurate.errors import InputError
from ifcurate.training.spared import spared_tokens


def test_which_tokens_are_spared(tmp_path: Path) -> None:
    tokenizer = word_tokenizer(tiny_neox(tmp_path / "model"))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert spared_tokens("none", tokenizer, model) == ()
    assert spared_tokens("end", tokenizer, model) == (1,)
    model.generation_config.eos_token_id = [1, 5]  # the end of a text, and that of a turn
    assert spared_tokens("end", tokenizer, model) == (1, 5)
    assert spared_tokens("</s>, cat", tokenizer, model) == (1, tokenizer.get_vocab()["cat"])
    with pytest.raises(InputError, match="option --spare: the tokenizer has no token 'dragon'"):
        spared_tokens("dragon", tokenizer, model)
    tokenizer.eos_token, model.generation_config.eos_token_id = None, None
    with pytest.raises(InputError, match="neither tokenizer nor model says which token ends a text"):
        spared_tokens("end", tokenizer, model)
