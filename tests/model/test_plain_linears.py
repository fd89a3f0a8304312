import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, FalconConfig, GPT2Config

from ifcurate.model.layers import tracked_linears
from ifcurate.model.plain_linears import use_plain_linears

CONFIGS = {
    "Conv1D": GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=50),
    "FalconLinear": FalconConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, vocab_size=50),
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_other_kinds_become_equal_linear_layers(kind):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS[kind]).eval()
    assert any(type(module).__name__ == kind for module in model.modules())
    ids = torch.arange(20)[None]
    with torch.no_grad():
        before = model(input_ids=ids).logits
        use_plain_linears(model)
        after = model(input_ids=ids).logits
    assert not any(type(module).__name__ == kind for module in model.modules())
    assert torch.allclose(before, after, atol=1e-6)
    assert len(tracked_linears(model)) == 2 * 4


class Scaled(nn.Linear):
    def forward(self, rows):
        return 2 * super().forward(rows)


class Chooser(nn.Linear):
    def forward(self, rows):
        return super().forward(rows).topk(1)


def test_what_computes_something_else_stays():
    kept = nn.Sequential(Scaled(3, 4), Chooser(3, 4), nn.Linear(3, 4))
    before = list(kept)
    use_plain_linears(kept)
    assert all(one is other for one, other in zip(kept, before, strict=True))
