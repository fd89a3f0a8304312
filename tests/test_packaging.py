"""What is installed, how fast the command line answers, and which way imports run."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = (
    "root",
    "storage",
    "corpus",
    "model",
    "influence",
    "selection",
    "screening",
    "distilling",
    "annotation",
    "planning",
    "training",
    "export",
    "evaluation",
    "annotators",
    "studies",
    "report",
    "pipelines",
    "cli",
)
BESIDE = {"demo": ROOMS.index("report") + 0.5}
KNOWN_ONLY_FROM = {"datatrove": "pipelines", "typer": "cli"}
HEAVY = ("torch", "transformers", "pyarrow", "datatrove", "kronfluence", "duckdb", "datasets", "accelerate")
SECONDS_FOR_HELP = 0.5


@dataclass(frozen=True)
class Environment:
    """A virtual environment that had nothing but pip in it before the wheel of this package was installed."""

    root: Path
    site_packages: Path
    added: set[str]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("packaging")
    wheel = build_wheel(folder)
    root = folder / "venv"
    venv.create(root, with_pip=True)
    (site_packages,) = root.glob("lib/python*/site-packages")
    before = names(site_packages)
    run(root / "bin" / "python", "-m", "pip", "install", "--no-deps", "--no-index", wheel)
    return Environment(root, site_packages, names(site_packages) - before)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def build_wheel(folder: Path) -> Path:
    """Built from a copy, so that no build folder of the checkout gets into it or stays behind."""
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("ifcurate", "pipelines", "cli"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source)
    (wheel,) = folder.glob("*.whl")
    return wheel


def run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_nothing_but_ifcurate_lands_in_site_packages(environment: Environment) -> None:
    (metadata,) = environment.site_packages.glob("ifcurate-*.dist-info")
    assert environment.added == {"ifcurate", metadata.name}
    assert (environment.root / "bin" / "ifcurate").is_file()


@pytest.mark.parametrize(("source", "package"), [("ifcurate", ""), ("cli", "cli"), ("pipelines", "pipelines")])
def test_every_file_of_a_package_is_in_the_wheel(environment: Environment, source: str, package: str) -> None:
    installed = environment.site_packages / "ifcurate" / package
    files = [path.relative_to(ROOT / source) for path in (ROOT / source).rglob("*") if path.is_file()]
    wanted = [path for path in files if path.suffix in {".py", ".txt", ".typed", ".j2", ".css", ".js"}]
    assert wanted
    assert [path for path in wanted if not (installed / path).is_file()] == []


def test_the_package_says_it_is_typed(environment: Environment) -> None:
    assert (environment.site_packages / "ifcurate" / "py.typed").is_file()


def test_help_imports_nothing_heavy() -> None:
    shown = run(
        sys.executable,
        "-c",
        "import sys\n"
        "from ifcurate.cli import app\n"
        "app(['--help'], standalone_mode=False)\n"
        f"print('HEAVY', [name for name in {HEAVY} if name in sys.modules])",
    )
    assert "annotate" in shown
    assert "HEAVY []" in shown


def test_help_is_instant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)  # compiling every module again takes most of the time
    assert min(cpu_seconds_for_help() for _ in range(5)) < SECONDS_FOR_HELP


def cpu_seconds_for_help() -> float:
    """Processor time, not time on the clock: the same whatever else the machine is doing."""
    before = os.times()
    run(Path(sys.executable).parent / "ifcurate", "--help")
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def test_imports_run_one_way() -> None:
    """Every module imports from its own room and from those before it in the order of the rooms."""
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in modules()
        for line, module in imports(path)
        if module.split(".")[0] == "ifcurate" and place(module) > place(dotted(path))
    ]
    assert found == []


def test_only_outer_rooms_know_their_libraries() -> None:
    """datatrove is the pipelines', Typer the command line's."""
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in modules()
        for line, module in imports(path)
        if place(dotted(path)) < place(f"ifcurate.{KNOWN_ONLY_FROM.get(module.split('.')[0], 'root')}")
    ]
    assert found == []


def modules() -> list[Path]:
    found = {folder: sorted((ROOT / folder).rglob("*.py")) for folder in ("ifcurate", "pipelines", "cli")}
    assert all(found.values()), "nothing is found in a folder that is gone"
    return [path for paths in found.values() for path in paths]


def dotted(path: Path) -> str:
    """`pipelines/fit.py` is `ifcurate.pipelines.fit`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts if parts[0] == "ifcurate" else ("ifcurate", *parts))


def place(module: str) -> float:
    """Where a module's room stands in the order; modules outside of all rooms are the root."""
    room = (*module.split("."), "")[1]
    return BESIDE.get(room, ROOMS.index(room) if room in ROOMS else 0)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that `path` imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} is a relative import; write it out"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
