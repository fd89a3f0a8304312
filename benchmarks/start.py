"""CPU seconds of commands that need no model, from their start to their end: `python benchmarks/start.py RUN`.

RUN is a finished run, of which a copy is used; every command is called `--rounds` times, and does its work each time.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

COMMANDS = {
    "select": ("select", "RUN", "--quantile", "QUANTILE"),
    "write": ("write", "RUN", "--workers", "1"),
    "report": ("report", "RUN"),
    "export --format fast-llm": ("export", "RUN", "--format", "fast-llm", "--out", "EXPORT", "--overwrite"),
    "export --format megatron (needs a tokenizer)": (
        *("export", "RUN", "--format", "megatron", "--out", "EXPORT", "--overwrite"),
    ),
}


def seconds(words: list[str]) -> float:
    """User and system time of one command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([str(Path(sys.executable).parent / "ifcurate"), "-q", *words], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "run"
        shutil.copytree(asked.run, copy)
        print("| command | CPU s, median | lowest | highest |\n|---|---|---|---|")
        for name, pattern in COMMANDS.items():
            found = []
            for number in range(asked.rounds):
                if name == "write":
                    shutil.rmtree(copy / "data")
                values = {"RUN": str(copy), "QUANTILE": f"0.9{number}", "EXPORT": str(Path(folder) / "export")}
                found.append(seconds([values.get(word, word) for word in pattern]))
            print(f"| `{name}` | {statistics.median(found):.1f} | {min(found):.1f} | {max(found):.1f} |", flush=True)


if __name__ == "__main__":
    main()
