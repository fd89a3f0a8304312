from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import Field

from ifcurate.config import Config, build
from ifcurate.errors import InputError


class Pot(Config):
    size: int = Field(1, ge=1)
    preset: str | None = None


PRESETS: dict[str, dict[str, Any]] = {"large": {"size": 9}}


def stored(folder: Path, content: Any) -> Path:
    (folder / "pot.yaml").write_text(yaml.safe_dump(content))
    return folder / "pot.yaml"


def test_options_win_over_the_file_and_the_file_over_its_preset(tmp_path: Path) -> None:
    file = stored(tmp_path, {"preset": "large"})
    assert build(Pot, {}, file, PRESETS).size == 9
    assert build(Pot, {"size": 2}, file, PRESETS).size == 2
    assert build(Pot, {}, stored(tmp_path, {"preset": "large", "size": 3}), PRESETS).size == 3


@pytest.mark.parametrize("preset", [["large"], {"large": 1}, 3])
def test_a_preset_that_is_no_name_is_one_sentence(tmp_path: Path, preset: Any) -> None:
    with pytest.raises(InputError) as refused:
        build(Pot, {}, stored(tmp_path, {"preset": preset}), PRESETS)
    assert "pot.yaml: option --preset: " in str(refused.value)
    assert "\n" not in str(refused.value)


class Rack(Config):
    pots: list[str] = Field([])


def test_a_list_of_one_may_be_written_without_brackets(tmp_path: Path) -> None:
    assert build(Rack, {}, stored(tmp_path, {"pots": 1})).pots == ["1"]
    assert build(Rack, {}, stored(tmp_path, {"pots": ["a", "b"]})).pots == ["a", "b"]
