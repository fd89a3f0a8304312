import pytest
import torch
from tiny_models import FAMILIES, tiny_model
from transformers import AutoModelForCausalLM, BertConfig, BloomConfig, GraniteSWAConfig, TrOCRConfig

from ifcurate.errors import InputError
from ifcurate.influence.engines import attention
from ifcurate.influence.engines.attention import attend_in_blocks
from ifcurate.influence.probe import require_scorable

SMALL = {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}


def built(config):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.mark.parametrize("family", [*FAMILIES, "olmoe", "gpt_oss"])
def test_what_can_be_scored_is_let_through(family):
    assert require_scorable(tiny_model(family)).share > 0.9


def test_a_model_that_looks_ahead_is_refused():
    with pytest.raises(InputError, match="depends on later ones"):
        require_scorable(built(BertConfig(**SMALL, is_decoder=False)))
    require_scorable(built(BertConfig(**SMALL, is_decoder=True)))


def test_layers_without_a_part_in_reading_are_refused():
    config = TrOCRConfig(
        vocab_size=60, d_model=16, decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=16,
        max_position_embeddings=32, cross_attention_hidden_size=16,
    )  # fmt: skip
    with pytest.raises(InputError, match=r"encoder_attn\.k_proj\.weight has no part in reading text"):
        require_scorable(built(config))


def test_an_architecture_without_forward_mode_is_refused_in_one_sentence():
    with pytest.raises(InputError, match=r"^BloomForCausalLM: cannot be scored \(.*\); give another model\.$"):
        require_scorable(built(BloomConfig(vocab_size=60, hidden_size=16, n_layer=1, n_head=2)))


def test_attention_sinks_are_part_of_the_derivative():
    model = built(GraniteSWAConfig(**SMALL, num_key_value_heads=1, max_position_embeddings=32, sliding_window=4))
    sinks = [parameter for name, parameter in model.named_parameters() if "sink" in name]
    assert sinks
    with torch.no_grad():
        for own in sinks:
            own.fill_(2.0)
    assert require_scorable(model).share > 0.9


def test_an_attention_that_we_do_not_know_is_refused():
    heads = torch.randn(1, 2, 3, 4)
    attend_in_blocks(torch.nn.Identity(), heads, heads, heads, None, position_ids=torch.arange(3))
    with pytest.raises(InputError, match="its attention takes `position_bias`"):
        attend_in_blocks(torch.nn.Identity(), heads, heads, heads, None, position_bias=torch.zeros(1, 2, 3, 3))


def test_forward_mode_that_is_of_another_function_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "_shares", lambda scores, sinks: 1.1 * scores.softmax(-1))
    with pytest.raises(InputError, match="forward and backward mode disagree"):
        require_scorable(tiny_model("llama"))
