from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the repository; tests that need it skip where it is absent."""
    folder = Path(__file__).parents[2] / "shared"
    if not (folder / "DESIGN.md").is_file():
        pytest.skip("needs the real corpus, which is not part of the repository")
    return folder
