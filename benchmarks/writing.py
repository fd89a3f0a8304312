"""How fast annotated shards are written, and in how much memory.

    python benchmarks/writing.py RUN --out FOLDER [--rounds 1 4 16] [--workers 1 2]

RUN is an annotated run, whose shards are written again, all of them in every round: input read, its texts compared with
those that were scored, columns of the annotation appended, file compressed. Each worker is a process of its own and
does all rounds. Printed: seconds, CPU seconds, tokens a second of all workers together, peak memory of the largest.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

WORKER = """
import json, sys, time
from pathlib import Path
from ifcurate.pipelines.corpus_record import present_shards
from ifcurate.pipelines.run import open_run
from ifcurate.pipelines.steps.write_annotations import WriteAnnotations
from ifcurate.pipelines.write import prepare_writing
from ifcurate.selection.table import Selection

run, config = open_run(sys.argv[1])
shards = present_shards(run)
metadata = prepare_writing(run, config, shards)
tokens = Selection.load(run.selection, config.behaviour).tokens
began, used = time.perf_counter(), time.process_time()
for number in range(int(sys.argv[3])):
    step = WriteAnnotations(shards, run.scores, run.selection, Path(sys.argv[2]), list(metadata), metadata,
                            config.token_ids, config.with_loss, None, config.output_format, config.text_column)
    assert list(step.run()) == []
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"tokens": tokens * int(sys.argv[3]), "seconds": time.perf_counter() - began,
                  "cpu": time.process_time() - used, "peak": peak / 1024}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    asked = parser.parse_args()
    for workers in asked.workers:
        for rounds in asked.rounds:
            report(workers, measured(asked.run, asked.out, workers, rounds))


def measured(run: Path, out: Path, workers: int, rounds: int) -> list[dict[str, Any]]:
    """What each worker said of itself."""
    folders = [out / str(number) for number in range(workers)]
    commands = [[sys.executable, "-c", WORKER, str(run), str(folder), str(rounds)] for folder in folders]
    began = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    said = [process.communicate()[0] for process in began]
    for process, folder in zip(began, folders, strict=True):
        if process.returncode:
            raise SystemExit(f"a worker ended with {process.returncode}")
        shutil.rmtree(folder)
    return [json.loads(lines) for lines in said]


def report(workers: int, found: list[dict[str, Any]]) -> None:
    """A line for all workers of one measurement."""
    tokens, cpu = (sum(each[what] for each in found) for what in ("tokens", "cpu"))
    seconds, peak = (max(each[what] for each in found) for what in ("seconds", "peak"))
    print(
        f"{workers} workers, {tokens:>12,} tokens: {seconds:,.1f} s, {cpu:,.1f} CPU s, "
        f"{tokens / seconds / 1e6:,.2f} M tokens/s, {peak:,.0f} MiB",
        flush=True,
    )


if __name__ == "__main__":
    main()
