"""Makes single mistakes in the code that the method stands on, one at a time, and says which of them no test notices.

    python tests/mutants/run.py [--count 150] [--seed 0] [--only PART_OF_A_PATH]

Every mutant runs the tests that cover its file, until one fails; an error and a timeout are failures. Ends with status
1 when a mutant survives that is not in `equivalent.txt`, where mutants stand that compute the same.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from covering import COVERING
from mutations import Mutant, mutants_of
from trials import ROOT, Outcome, PackageCopy

EQUIVALENT = Path(__file__).with_name("equivalent.txt")
LONGEST = 5.0
"""Times the unmutated code's, which the tests may take, and as many seconds more."""


def main() -> int:
    asked = _arguments()
    sources = {path: (ROOT / path).read_text(encoding="utf-8") for path in COVERING if asked.only in path}
    every = [mutant for path, source in sources.items() for mutant in mutants_of(path, source)]
    chosen = sorted(random.Random(asked.seed).sample(every, min(asked.count, len(every))), key=every.index)
    known = equivalent()
    survivors, outcomes = [], Counter[Outcome]()
    with tempfile.TemporaryDirectory() as folder:
        package = PackageCopy(Path(folder))
        allowed: dict[tuple[str, ...], float] = {}
        for number, mutant in enumerate(chosen, start=1):
            tests = tuple(dict.fromkeys(COVERING[mutant.path]))
            if tests not in allowed:
                allowed[tests] = _seconds_allowed(package, mutant.path, sources[mutant.path], tests)
            began = time.monotonic()
            outcome = package.run(mutant.path, mutant.of(sources[mutant.path]), tests, allowed[tests])
            outcomes[outcome] += 1
            if outcome is Outcome.PASSED:
                survivors.append(mutant)
            print(f"{number}/{len(chosen)} {outcome.value} {time.monotonic() - began:.1f} s  {mutant}", flush=True)
    unknown = [mutant for mutant in survivors if name_of(mutant, sources[mutant.path]) not in known]
    counts = ", ".join(f"{number} {outcome.value}" for outcome, number in outcomes.items())
    print(f"\n{len(chosen)} of {len(every)} mutants: {counts}")
    print(f"{len(survivors) - len(unknown)} survivors compute the same, {len(unknown)} no test notices:")
    for mutant in unknown:
        print(name_of(mutant, sources[mutant.path]))
    return 1 if unknown else 0


def name_of(mutant: Mutant, source: str) -> str:
    """The mutant without its line's number, which other changes move."""
    begin = source.rfind("\n", 0, mutant.start) + 1
    end = source.find("\n", mutant.end)
    mutated = source[begin : mutant.start] + mutant.after + source[mutant.end : end]
    return f"{mutant.path}: {' '.join(source[begin:end].split())}  =>  {' '.join(mutated.split())}"


def equivalent() -> set[str]:
    """Names of the mutants that compute the same; reasons stand above them."""
    if not EQUIVALENT.is_file():
        return set()
    lines = EQUIVALENT.read_text(encoding="utf-8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def _seconds_allowed(package: PackageCopy, path: str, source: str, tests: tuple[str, ...]) -> float:
    began = time.monotonic()
    if package.run(path, source, tests, 600) is not Outcome.PASSED:
        sys.exit((package.folder / "tests.log").read_text() + "\nThe tests fail without any mutant.")
    took = time.monotonic() - began
    package.import_libraries()
    print(f"{took:.0f} s for {' '.join(tests)}", flush=True)
    return LONGEST * took + LONGEST


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=150, help="mutants, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--only", default="", help="part of the path of the files to mutate")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
