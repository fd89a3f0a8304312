"""A command that needs no model does not wait for what loads one: most of its time, before."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from commands import environment
from comparisons import write_small_comparison
from runs import Workshop

from ifcurate.pipelines.run import Run

WAITED_FOR = ("torch", "transformers", "kronfluence", "datasets", "huggingface_hub")


def test_commands_without_a_model_import_neither_torch_nor_transformers(
    workshop: Workshop, finished: Run, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished.root, run)
    (run / "evaluation").mkdir()
    write_small_comparison(run / "evaluation")
    commands = [
        ["select", str(run), "--quantile", "0.8"],
        ["write", str(run), "--workers", "1"],
        ["report", str(run)],
        ["inspect", str(run), "--top", "1", "--plain"],
        ["export", str(run), "--format", "fast-llm", "--out", str(tmp_path / "export")],
    ]
    script = (
        "import json, sys\n"
        "from ifcurate.cli import main\n"
        "for words in json.loads(sys.argv.pop()):\n"
        "    sys.argv[1:] = words\n"
        "    try:\n"
        "        main()\n"
        "    except SystemExit as stop:\n"
        "        assert not stop.code, words\n"
        f"    print('AFTER', words[0], [name for name in {WAITED_FOR} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(commands)],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("AFTER")]
    assert said == [f"AFTER {words[0]} []" for words in commands]
