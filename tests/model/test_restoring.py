"""Models in fewer bits than floating point has: refused, and restored where that is asked for."""

import json

import pytest
import torch
from gguf_files import write_gguf
from mxfp4_files import save_mxfp4
from safetensors.torch import load_file, save_file
from tiny_models import save_tiny_model, tiny_model

from ifcurate.errors import InputError
from ifcurate.model.checkpoints import load_causal_lm, load_tokenizer
from ifcurate.model.layers import tracked_linears
from ifcurate.model.stored import Stored

BLOCK = 16
FP8 = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [BLOCK, BLOCK]}


def quantized(folder, method):
    """A model that says it is quantized by `method`; its weights are as they were."""
    save_tiny_model(folder, ["some text"], "llama", tie_word_embeddings=False)
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "quantization_config": method}))
    return folder


def store_in_fp8(folder):
    """The linear layers of the blocks in blocks of one scale, as DeepSeek-V3 is published."""
    tensors = load_file(folder / "model.safetensors")
    for name in [name for name in tensors if name.endswith("_proj.weight")]:
        weight = tensors[name].float()
        rows, columns = (size // BLOCK for size in weight.shape)
        blocks = weight.reshape(rows, BLOCK, columns, BLOCK)
        scales = blocks.abs().amax((1, 3)) / 448
        tensors[name] = (blocks / scales[:, None, :, None]).reshape(weight.shape).to(torch.float8_e4m3fn)
        tensors[f"{name}_scale_inv"] = scales
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_quantized_model_is_refused_before_its_weights_are_read(tmp_path):
    folder = quantized(tmp_path / "model", FP8)
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"is quantized \(fp8\), its weights have no derivative.*--dequantize"):
        load_causal_lm(str(folder))


def test_it_is_restored_on_request(tmp_path):
    folder = quantized(tmp_path / "model", FP8)
    store_in_fp8(folder)
    model = load_causal_lm(str(folder), stored=Stored(dequantize=True))
    expected = tracked_linears(tiny_model("llama", tie_word_embeddings=False))
    found = tracked_linears(model)
    assert found.keys() == expected.keys()
    for name, linear in found.items():
        assert linear.weight.dtype == torch.float32
        assert torch.allclose(linear.weight, expected[name].weight, rtol=0.07, atol=0.01)
    assert not hasattr(model.config, "quantization_config")


def test_mxfp4_is_restored_to_the_numbers_it_stands_for(tmp_path):
    expected = dict(save_mxfp4(tmp_path / "model").named_parameters())
    with pytest.raises(InputError, match=r"is quantized \(mxfp4\), its weights have no derivative.*--dequantize"):
        load_causal_lm(str(tmp_path / "model"))
    found = load_causal_lm(str(tmp_path / "model"), stored=Stored(dequantize=True))
    assert any("experts" in name for name in expected)
    for name, parameter in found.named_parameters():
        assert parameter.dtype == torch.float32
        assert torch.equal(parameter, expected.pop(name)), name
    assert not expected


@pytest.mark.parametrize("dequantize", [False, True])
@pytest.mark.parametrize("method", ["gptq", "awq", "bitsandbytes", "fbgemm_fp8"])
def test_what_cannot_be_restored_is_refused_in_one_sentence(method, dequantize, tmp_path):
    folder = quantized(tmp_path / "model", {"quant_method": method, "bits": 4, "load_in_4bit": True})
    said = (
        rf"model: is quantized \({method}\), its .* cannot be restored to floating point \([^;]*\); give the unq[^;]*$"
    )
    with pytest.raises(InputError, match=said):
        load_causal_lm(str(folder), stored=Stored(dequantize=dequantize))


def test_scales_that_are_not_read_are_refused(tmp_path):
    folder = quantized(tmp_path / "model", FP8)
    store_in_fp8(folder)
    tensors = load_file(folder / "model.safetensors")
    renamed = {name.removesuffix("_inv"): tensor for name, tensor in tensors.items()}
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"another way than its configuration says, .*weight_scale was not read"):
        load_causal_lm(str(folder), stored=Stored(dequantize=True))


def test_a_checkpoint_without_some_weight_is_refused(tmp_path):
    folder = save_tiny_model(tmp_path / "model", ["some text"], "llama", tie_word_embeddings=False)
    tensors = load_file(folder / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lacks 1 of the model's weights \(lm_head\.weight first\); give a whole"):
        load_causal_lm(str(folder))


def test_gguf_is_read_as_floating_point(tmp_path):
    save_tiny_model(tmp_path / "plain", ["some text of it"], "qwen2", intermediate_size=64)
    tokenizer = load_tokenizer(str(tmp_path / "plain"))
    expected = tiny_model("qwen2", intermediate_size=64)
    (tmp_path / "packed").mkdir()
    write_gguf(expected, tokenizer, tmp_path / "packed/tiny.gguf")
    stored = Stored(gguf_file="tiny.gguf")
    found = tracked_linears(load_causal_lm(str(tmp_path / "packed"), stored=stored))
    for name, linear in tracked_linears(expected).items():
        assert torch.allclose(found[name].weight, linear.weight, atol=4e-3), name
    again = load_tokenizer(str(tmp_path / "packed"), stored=stored)
    assert again("some text").input_ids == tokenizer("some text").input_ids


def test_a_gguf_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be loaded as a causal language model"):
        load_causal_lm(str(tmp_path), stored=Stored(gguf_file="none.gguf"))
