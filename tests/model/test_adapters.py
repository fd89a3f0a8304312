"""LoRA adapters: the model runs with one, and influence is over its layers alone."""

import json

import pytest
import torch
from oracles import influence_by_autograd, random_direction, random_windows
from tiny_models import VOCABULARY, save_tiny_model, tiny_model

from ifcurate.errors import InputError
from ifcurate.influence.engines.finite_difference import FiniteDifference
from ifcurate.influence.engines.forward_mode import ForwardMode
from ifcurate.influence.probe import require_scorable
from ifcurate.model.checkpoints import load_causal_lm
from ifcurate.model.hashes import hash_model
from ifcurate.model.layers import coverage, tracked_parameters
from ifcurate.model.stored import Stored
from ifcurate.model.windows import collate

peft = pytest.importorskip("peft")
IDS = torch.arange(12)[None]


def save_adapter(folder, alpha=8, **settings):
    torch.manual_seed(1)
    config = peft.LoraConfig(
        r=4, lora_alpha=alpha, target_modules=["q_proj", "down_proj"], init_lora_weights=False, **settings
    )
    model = peft.get_peft_model(tiny_model("llama"), config)
    model.save_pretrained(folder)
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits


@pytest.fixture
def base(tmp_path):
    return str(save_tiny_model(tmp_path / "base", ["some text"], "llama"))


def test_the_model_runs_with_it_and_its_layers_alone_are_tracked(base, tmp_path):
    expected = save_adapter(tmp_path / "adapter")
    model = load_causal_lm(base, stored=Stored(adapter=str(tmp_path / "adapter")))
    with torch.no_grad():
        assert torch.allclose(model(input_ids=IDS).logits, expected, atol=1e-5)
    names = list(tracked_parameters(model))
    assert len(names) == 2 * 2 * 2
    assert all(".lora_" in name for name in names)
    found = coverage(model)
    assert (found.share, found.what, found.left_out) == (1.0, "the adapter", {})


def test_every_engine_is_exact_along_it(base, tmp_path):
    save_adapter(tmp_path / "adapter")
    model = load_causal_lm(base, stored=Stored(adapter=str(tmp_path / "adapter"))).double()
    assert require_scorable(model).what == "the adapter"
    direction, batch = random_direction(model), collate(random_windows([9, 5], VOCABULARY), 0)
    expected = influence_by_autograd(model, direction, batch)
    for engine, tolerance in (
        (ForwardMode(model, [direction]), 1e-6),
        (FiniteDifference(model, [direction], [1e-3]), 1e-3),
    ):
        found = engine.score(batch).influence[0]
        assert float((found - expected).norm() / expected.norm()) < tolerance


def test_another_scale_is_another_model(base, tmp_path):
    save_adapter(tmp_path / "a")
    save_adapter(tmp_path / "b", alpha=16)
    hashes = {hash_model(load_causal_lm(base, stored=Stored(adapter=str(tmp_path / name)))) for name in "ab"}
    assert len(hashes | {hash_model(load_causal_lm(base))}) == 3


def test_what_is_no_adapter_of_this_kind_is_refused(base, tmp_path):
    save_adapter(tmp_path / "dora", use_dora=True)
    with pytest.raises(InputError, match=r"option --adapter: .*dora is DoRA"):
        load_causal_lm(base, stored=Stored(adapter=str(tmp_path / "dora")))
    with pytest.raises(InputError, match=r"option --adapter: .*none cannot be loaded"):
        load_causal_lm(base, stored=Stored(adapter=str(tmp_path / "none")))
    save_adapter(tmp_path / "other")
    settings = json.loads((tmp_path / "other/adapter_config.json").read_text())
    (tmp_path / "other/adapter_config.json").write_text(json.dumps({**settings, "target_modules": ["no_such_layer"]}))
    with pytest.raises(InputError, match=r"option --adapter: .*other cannot be loaded"):
        load_causal_lm(base, stored=Stored(adapter=str(tmp_path / "other")))
