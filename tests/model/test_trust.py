"""Nothing that is loaded runs code of its own, unless whoever gives the command says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny_models import save_tiny_model, tiny_model

from ifcurate.config import build, save
from ifcurate.errors import InputError
from ifcurate.evaluation.config import EvaluationConfig, ImplicitConfig, MiningConfig
from ifcurate.export.config import ExportConfig
from ifcurate.model.checkpoints import load_causal_lm, load_tokenizer
from ifcurate.model.hashes import hash_model
from ifcurate.model.trust import NOBODY, Trust
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.training.config import TrainConfig

CODE = """
from pathlib import Path
from transformers import LlamaConfig, LlamaForCausalLM
Path("RAN").touch()
class Brought(LlamaConfig):
    model_type = "brought"
class BroughtModel(LlamaForCausalLM):
    config_class = Brought
"""


def test_pickled_weights_are_refused_unless_allowed(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "model", ["some text"], "llama")
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="give --model a folder") as nothing:
        load_causal_lm(str(folder))
    assert "--allow-pickle" not in str(nothing.value)
    model = tiny_model("llama")
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pickled ones may run any code .* give --allow-pickle if you trust"):
        load_causal_lm(str(folder))
    assert hash_model(load_causal_lm(str(folder), trust=Trust(allow_pickle=True))) == hash_model(model)


def test_a_models_own_code_is_refused_unless_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.chdir(tmp_path)
    folder = save_tiny_model(tmp_path / "brought_model", ["some text"], "llama")
    (folder / "modeling_brought.py").write_text(CODE)
    config = json.loads((folder / "config.json").read_text())
    names = {"AutoConfig": "modeling_brought.Brought", "AutoModelForCausalLM": "modeling_brought.BroughtModel"}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "brought", "auto_map": names}))
    with pytest.raises(InputError, match="give --trust-remote-code if you want it to run"):
        load_causal_lm(str(folder))
    assert not (tmp_path / "RAN").exists()
    model = load_causal_lm(str(folder), trust=Trust(trust_remote_code=True))
    assert type(model).__name__ == "BroughtModel" and (tmp_path / "RAN").exists()
    load_tokenizer(str(folder), trust=Trust(trust_remote_code=True))


def test_every_command_that_loads_a_model_can_be_told_and_no_file_remembers_it(tmp_path: Path) -> None:
    kinds = (RunConfig, TrainConfig, EvaluationConfig, ImplicitConfig, MiningConfig, ExportConfig)
    for kind in kinds:
        fields = kind.model_fields
        assert {"allow_pickle", "trust_remote_code"} <= fields.keys(), kind
        for name in ("allow_pickle", "trust_remote_code"):
            assert fields[name].default is False and fields[name].exclude
    asked = RunConfig(corpus="c", out="o", model="m", allow_pickle=True, trust_remote_code=True)
    assert asked.trust == Trust(allow_pickle=True, trust_remote_code=True)
    save(asked, tmp_path / "run.yaml", {})
    assert build(RunConfig, {}, tmp_path / "run.yaml").trust == NOBODY
